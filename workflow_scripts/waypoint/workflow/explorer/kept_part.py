"""The part of a store inside a packed page: a target's process, its scores of the images in its lists, and their names.

Pictures of the process are stored as bytes and no larger than shown, because those of large images fill a message.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from waypoint.store.types import array_of
from waypoint.store.zarr.reader import read
from waypoint.store.zarr.writer import create_store
from waypoint.workflow.explorer.content import Opened, process_of
from waypoint.workflow.explorer.pictures import as_pixels, cell

PROCESS, SAMPLE = 256, 128  # pixels of the longer side: x_t and x̂0_t, samples


def write_part(opened: Opened, folder: Path, images: Sequence[int]) -> None:
    """Write stores with the names and arrays of the experiment's, restricted to ``images``.

    Args:
        images: ascending indices of training images.
    """
    rows = list(images)
    with create_store(folder / "data/train.zarr", dict) as part:
        for name in ("file", "label", "caption"):
            if name in opened.data:
                part.write(name, ["train"], read(array_of(opened.data, name))[rows])
    with create_store(folder / "data/near_duplicates.zarr", dict) as part:
        part.write("first", ["train"], read(array_of(opened.near, "first"))[rows])
    for (method, target), store in opened.scores.items():
        identity = store.attrs["identity"]
        with create_store(folder / f"scores/{method}/{target}.zarr", lambda: {"identity": identity}) as part:  # noqa: B023
            part.write("step", ["step"], read(array_of(store, "step")))
            for name in ("score", "score_se"):
                if name in store:
                    part.write(name, ["step", "train"], read(array_of(store, name))[:, rows])
    for target in opened.trajectories:
        process = process_of(opened, target)
        with create_store(folder / f"targets/{target}/trajectory.zarr", dict) as part:
            part.write("step", ["step"], np.array(process.steps))
            for name, images_of in (("x_t", process.x_t()), ("x0_hat", process.x0_hat())):
                part.write(name, ["step", "channel", "y", "x"], _as_bytes(images_of, PROCESS))
        with create_store(folder / f"targets/{target}/samples.zarr", dict) as part:
            part.write("step", ["step"], np.array(process.steps))
            samples = np.stack([_as_bytes(of_step, SAMPLE) for of_step in process.samples()])
            part.write("sample", ["step", "sample", "channel", "y", "x"], samples)


def _as_bytes(images: NDArray[np.float32], longest: int) -> NDArray[np.uint8]:
    """Return images (B, C, H, W) in [-1, 1] as bytes (B, 3, h, w), at most ``longest`` pixels wide and high."""
    size = cell(images.shape[2:], longest)
    return np.stack([as_pixels(image, size).transpose(2, 0, 1) for image in images])
