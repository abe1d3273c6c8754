"""The supported networks, recognised from their configuration alone, without a model library."""

import importlib
import pkgutil

from waypoint.errors import WaypointError
from waypoint.science.networks import kinds
from waypoint.science.networks.network import Network
from waypoint.science.types import Settings

UNNAMED = "UNet2DModel"  # class of a configuration that names none
# purposes of networks with more input than output channels
PURPOSES = {5: "depth to image", 7: "an upscaler", 8: "editing (InstructPix2Pix)", 9: "inpainting"}


def networks() -> dict[str, Network]:
    """Return {class name: ``Network``} for the files in the folder ``kinds``."""
    names = (name for _, name, _ in pkgutil.iter_modules(kinds.__path__))
    modules = [importlib.import_module(f"{kinds.__name__}.{name}") for name in names]
    return {module.NETWORK.name: module.NETWORK for module in modules}


NETWORKS = networks()
NAMES = " and ".join(NETWORKS)  # as listed in messages


def network_of(config: Settings) -> Network:
    """Return the ``Network`` of a stored configuration.

    Args:
        config: its config.json, as a mapping; without a class name, a UNet2DModel's.

    Raises:
        WaypointError: the network is not supported.
    """
    name: str = config.get("_class_name", UNNAMED)
    if name not in NETWORKS:
        raise WaypointError(f"network {name} is not supported; {NAMES} are")
    return NETWORKS[name]


def network_of_new(unet: Settings) -> Network:
    """Return the ``Network`` that the config section ``model.unet`` describes."""
    return next(network for network in NETWORKS.values() if network.is_new(unet))


def require_supported(config: Settings) -> None:
    """Refuse a stored network of a known class in a variant that is not supported.

    Args:
        config: its config.json, as a mapping.

    Raises:
        WaypointError: quantised weights, different numbers of input and output channels, or further conditions.
    """
    network = network_of(config)
    if config.get("quantization_config") is not None:
        raise WaypointError("its weights are quantised (quantization_config); store them in float32 or float16")
    inputs, outputs = (config.get(key, network.channels) for key in ("in_channels", "out_channels"))
    if inputs != outputs:
        purpose = PURPOSES.get(inputs) if outputs in (3, 4) else None
        kind = f": a model for {purpose}, which is not supported" if purpose else ""
        raise WaypointError(f"its network takes {inputs} channels and gives {outputs}{kind}; the numbers must be equal")
    network.check(config)
