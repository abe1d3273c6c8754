"""Users' own trajectories: npz files with the noised images on which a model was called, and the steps."""

import numpy as np
from numpy.typing import NDArray

from waypoint.errors import WaypointError
from waypoint.store.data.arrays import as_images
from waypoint.store.data.fitting import unit
from waypoint.store.data.listing import readable, suffix_of
from waypoint.store.data.npz import NPZ_ERRORS
from waypoint.store.types import StrPath, Values

LARGEST = 100.0  # value of a noised image or latent; rules out pixels from 0 to 255
NEEDED = "a trajectory is an npz file with the keys x_t (steps, channel, y, x), what the model was called on, and step"


class GivenTrajectory:
    """A user's trajectory, checked without a model.

    Attributes:
        steps: (S) training-time steps in the order of the file.
        x_t: (S, C, H, W) float32.
        image: (C, H, W) float32 in [-1, 1], or None.

    Args:
        path: an npz file. context: begins error messages.

    Raises:
        WaypointError: the file is not an npz or lacks a key, or an array is not what its key says.
    """

    def __init__(self, path: StrPath, context: str):
        context = f"{context}: trajectory"
        arrays = _arrays(path, context)
        steps, x_t = arrays["step"], arrays["x_t"]
        if steps.ndim != 1 or not len(steps) or steps.dtype.kind not in "iu":
            raise WaypointError(f"{context}: step in {path} must be a list of whole training-time steps")
        self.steps: list[int] = steps.tolist()
        if len(set(self.steps)) < len(self.steps) or min(self.steps) < 0:
            raise WaypointError(f"{context}: step in {path} must list distinct training-time steps from 0 on")
        if x_t.dtype.kind != "f":
            raise WaypointError(
                f"{context}: x_t in {path} holds {x_t.dtype}, but must be floats: the noised images, or latents, that "
                "the model was called on, not pictures of them"
            )
        if x_t.ndim != 4 or len(x_t) != len(steps):
            raise WaypointError(
                f"{context}: x_t in {path} has shape {x_t.shape}, but must be (steps, channel, y, x) with the "
                f"{len(steps)} steps of step"
            )
        if not np.isfinite(x_t).all():
            raise WaypointError(f"{context}: x_t in {path} is not finite")
        low, high = (float(x_t.min()), float(x_t.max())) if x_t.size else (0.0, 0.0)
        if max(-low, high) > LARGEST or (low >= 0 and high > low):
            raise WaypointError(
                f"{context}: x_t in {path} runs from {low:.4g} to {high:.4g}; the noised images that the model was "
                "called on lie around 0, and their images in [-1, 1]"
            )
        self.x_t: NDArray[np.float32] = x_t.astype(np.float32)
        self.image: NDArray[np.float32] | None = None
        if "image" in arrays:
            # a leading axis gives one image the form of many
            self.image = unit(as_images(arrays["image"][None], f"{context}: image in {path}", 1)[0])


def _arrays(path: StrPath, context: str) -> dict[str, Values]:
    """Read the arrays of the file by key."""
    if suffix_of(str(path)) in readable():
        raise WaypointError(
            f"{context}: {path} is a picture; {NEEDED}. A picture alone does not tell how it was made; give "
            "the seed instead, where this model made it"
        )
    try:
        with np.load(path, allow_pickle=False) as archive:
            missing = {"x_t", "step"} - set(archive.files)
            key_list = ", ".join(archive.files)
            present = [key for key in ("x_t", "step", "image") if key in archive.files and not missing]
            arrays: dict[str, Values] = {key: archive[key] for key in present}
    except NPZ_ERRORS as error:
        raise WaypointError(f"{context}: {path} is not a readable npz file ({error}); {NEEDED}") from error
    if missing:
        raise WaypointError(f"{context}: {path} has no key {sorted(missing)[0]!r}; it has {key_list}")
    return arrays
