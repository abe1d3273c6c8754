"""The size that a network works at, which may differ from the one in its configuration."""

# diffusers declares a configuration, whose keys are its attributes, as a dict
# pyright: reportAttributeAccessIssue=false, reportUnknownMemberType=false, reportUnknownVariableType=false

import re
from typing import TYPE_CHECKING, cast

from waypoint.errors import WaypointError
from waypoint.science.networks.known import NETWORKS
from waypoint.store.types import Attributes

if TYPE_CHECKING:  # planning imports no model library
    from waypoint.science.types import UNet

Size = int | list[int] | tuple[int, ...]  # side of a square, or height and width

OLD = (0, 9)  # diffusers before this version wrote a smaller size than Stable Diffusion's pipeline works at


def stored_size(config: Attributes) -> Size | None:
    """Return a stored UNet's size as diffusers' pipelines read it: a side, [height, width] or None.

    Args:
        config: the content of its config.json.
    """
    size = config.get("sample_size")
    written = re.match(r"(\d+)\.(\d+)", str(config.get("_diffusers_version", "")))
    old = written is not None and (int(written[1]), int(written[2])) < OLD
    network = NETWORKS.get(config.get("_class_name", ""))
    least = (network.old_size or 0) if network and old else 0
    return least if isinstance(size, int) and size < least else size


def set_size(unet: "UNet", cells: int | None = None) -> tuple[str, ...]:
    """Set the size that a loaded network works at, and return notes on it.

    Args:
        cells: the size that the experiment asks for, or None.
    """
    old_size = unet.config.sample_size
    config = {"_class_name": type(unet).__name__, **unet.config}
    size = stored_size(config) if cells is None else cells
    if size in (old_size, [old_size] * 2) or old_size == [size] * 2 or old_size == (size, size):
        return ()
    unet.register_to_config(sample_size=size)
    reason = "diffusers' pipeline does so with a config of its version" if cells is None else "as sampling.size says"
    return (f"it works at {size}, not at {old_size} (unet's sample_size): {reason}",)


def cells_of(size: int, vae: Attributes | None) -> int:
    """Return the side of a network's inputs for images of a given side.

    Args:
        size: side of the images in pixels. vae: the configuration of the autoencoder, or None without one.

    Raises:
        WaypointError: no latents correspond to this size.
    """
    factor = 1 if vae is None else 2 ** (len(vae.get("block_out_channels", [64])) - 1)
    if size % factor:
        raise WaypointError(
            f"sampling.size: {size} is not a multiple of {factor}, the side of a latent cell of the vae"
        )
    return size // factor


def require_divisible(unet: "UNet", key: str) -> None:
    """Refuse a size that the levels of a UNet2DModel do not halve evenly; UNet2DConditionModel resizes by itself.

    Args:
        key: the size's name in errors.

    Raises:
        WaypointError: names the key and the sides that are possible.
    """
    size = cast("Size | None", unet.config.sample_size)
    levels = len(cast(list[int], unet.config.block_out_channels))
    if type(unet).__name__ != "UNet2DModel" or size is None:
        return
    factor = 2 ** (levels - 1)
    sides: tuple[int, ...] = (size,) if isinstance(size, int) else tuple(size)
    if any(side % factor for side in sides):
        raise WaypointError(
            f"{key}: the network works at {size}, which its {levels} levels cannot halve "
            f"evenly; multiples of {factor} are possible"
        )
