"""Which networks are known, judged from their configuration alone, without a model library."""

import importlib
import pkgutil

from waypoint.errors import WaypointError
from waypoint.science.networks import kinds
from waypoint.science.networks.network import Network
from waypoint.science.types import Settings

UNNAMED = "UNet2DModel"  # what a configuration without a class's name is of
# what networks with more channels in than out are for
PURPOSES = {5: "depth to image", 7: "an upscaler", 8: "editing (InstructPix2Pix)", 9: "inpainting"}


def networks() -> dict[str, Network]:
    """{name of a class: ``Network``} of the files of the folder ``kinds``."""
    names = (name for _, name, _ in pkgutil.iter_modules(kinds.__path__))
    modules = [importlib.import_module(f"{kinds.__name__}.{name}") for name in names]
    return {module.NETWORK.name: module.NETWORK for module in modules}


NETWORKS = networks()
NAMES = " and ".join(NETWORKS)  # as messages have them


def network_of(config: Settings) -> Network:
    """The ``Network`` of a stored configuration.

    Args:
        config: its config.json, as a mapping; one without a name is a UNet2DModel's.

    Raises:
        WaypointError: another network.
    """
    name: str = config.get("_class_name", UNNAMED)
    if name not in NETWORKS:
        raise WaypointError(f"network {name} is not supported; {NAMES} are")
    return NETWORKS[name]


def network_of_new(unet: Settings) -> Network:
    """The ``Network`` that the config section ``model.unet`` describes."""
    return next(network for network in NETWORKS.values() if network.is_new(unet))


def require_supported(config: Settings) -> None:
    """Refuse a stored network that is known, but of a kind that is not computed with.

    Args:
        config: its config.json, as a mapping.

    Raises:
        WaypointError: quantised weights, other channels out than in, further conditions; names which.
    """
    network = network_of(config)
    if config.get("quantization_config") is not None:
        raise WaypointError("its weights are quantised (quantization_config); store them in float32 or float16")
    takes, gives = (config.get(key, network.channels) for key in ("in_channels", "out_channels"))
    if takes != gives:
        purpose = PURPOSES.get(takes) if gives in (3, 4) else None
        kind = f": a model for {purpose}, which is not supported" if purpose else ""
        raise WaypointError(
            f"its network takes {takes} channels and gives {gives}{kind}; as many channels as it takes are needed"
        )
    network.check(config)
