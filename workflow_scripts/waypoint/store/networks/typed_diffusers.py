"""Typed wrappers of diffusers' methods whose types pyright cannot infer."""

from typing import Any, TypeVar, cast

from waypoint.science.types import Device
from waypoint.store.types import Attributes, Config, StrPath

Kind = TypeVar("Kind")


def from_config(kind: type[Kind], config: Attributes) -> Kind:
    """Build a network or scheduler of a class from a configuration."""
    return cast(Any, kind).from_config(config)


def load_config(kind: type, folder: StrPath, subfolder: str = "") -> Config:
    """Read the configuration of a network or scheduler class from a local folder."""
    return cast(Any, kind).load_config(folder, subfolder=subfolder, local_files_only=True)


def on_device(network: Kind, device: Device) -> Kind:
    """Move a network to a device and return it."""
    return cast(Any, network).to(device)
