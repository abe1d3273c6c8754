"""The size that a network works at, where its configuration says another, or was written by an old diffusers."""

# diffusers declares a configuration, whose keys are its attributes, as a dict
# pyright: reportAttributeAccessIssue=false, reportUnknownMemberType=false, reportUnknownVariableType=false

import re
from typing import TYPE_CHECKING

from waypoint.errors import WaypointError
from waypoint.science.networks.known import NETWORKS
from waypoint.store.types import Attributes

if TYPE_CHECKING:  # planning imports no model library
    from waypoint.science.types import UNet

Size = int | list[int] | tuple[int, ...]  # of a square, or height and width

OLD = (0, 9)  # versions of diffusers before this wrote a smaller size than Stable Diffusion's pipeline works at


def stored_size(config: Attributes) -> Size | None:
    """The size in a stored UNet's configuration as diffusers' pipelines read it: a number, [height, width], or None.

    Args:
        config: its config.json, as a mapping.
    """
    size = config.get("sample_size")
    written = re.match(r"(\d+)\.(\d+)", str(config.get("_diffusers_version", "")))
    old = written is not None and (int(written[1]), int(written[2])) < OLD
    network = NETWORKS.get(config.get("_class_name", ""))
    least = (network.old_size or 0) if network and old else 0
    return least if isinstance(size, int) and size < least else size


def set_size(unet: "UNet", cells: int | None = None) -> tuple[str, ...]:
    """Set the size that a loaded network works at, and what to say about it.

    Args:
        cells: that the configuration wants, or None.
    """
    before = unet.config.sample_size
    named = {"_class_name": type(unet).__name__, **unet.config}
    size = stored_size(named) if cells is None else cells
    if size in (before, [before] * 2) or before == [size] * 2 or before == (size, size):
        return ()
    unet.register_to_config(sample_size=size)
    why = "diffusers' pipeline does so with a config of its version" if cells is None else "as sampling.size says"
    return (f"it works at {size}, not at {before} (unet's sample_size): {why}",)


def cells_of(size: int, vae: Attributes | None) -> int:
    """Side of what a network works on, for images of a side in pixels.

    Args:
        size: pixels. vae: the configuration of the autoencoder, a mapping, or None without one.

    Raises:
        WaypointError: latents have no such size.
    """
    factor = 1 if vae is None else 2 ** (len(vae.get("block_out_channels", [64])) - 1)
    if size % factor:
        raise WaypointError(f"sampling.size: {size} is no multiple of {factor}, the side of a latent cell of the vae")
    return size // factor
