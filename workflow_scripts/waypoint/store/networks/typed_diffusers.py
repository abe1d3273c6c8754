"""Methods of diffusers whose types pyright cannot tell, with the types that are relied on here."""

from typing import Any, TypeVar, cast

from waypoint.science.types import Device
from waypoint.store.types import Attributes, Config, StrPath

Kind = TypeVar("Kind")


def from_config(kind: type[Kind], config: Attributes) -> Kind:
    """A network or scheduler of a class with the settings of a configuration."""
    return cast(Any, kind).from_config(config)


def load_config(kind: type, folder: StrPath, subfolder: str = "") -> Config:
    """The configuration that lies in a local folder, for a class of networks or schedulers."""
    return cast(Any, kind).load_config(folder, subfolder=subfolder, local_files_only=True)


def on_device(network: Kind, device: Device) -> Kind:
    """A network, moved to a device."""
    return cast(Any, network).to(device)
