"""The part of a store inside a packed page: one target's scores of the images in its lists, and their names."""

from collections.abc import Sequence
from pathlib import Path

from waypoint.store.zarr.reader import read
from waypoint.store.zarr.writer import create_store


def write_part(opened, folder: Path, images: Sequence[int]) -> None:
    """Write stores with the names and arrays of the experiment's, restricted to ``images``.

    Args:
        opened: a ``content.Opened``. images: ascending indices of training images.
    """
    rows = list(images)
    with create_store(folder / "data/train.zarr", dict) as part:
        for name in ("file", "label", "caption"):
            if name in opened.data:
                part.write(name, ["train"], read(opened.data[name])[rows])
    with create_store(folder / "data/near_duplicates.zarr", dict) as part:
        part.write("first", ["train"], read(opened.near["first"])[rows])
    for (method, target), store in opened.scores.items():
        identity = store.attrs["identity"]
        with create_store(folder / f"scores/{method}/{target}.zarr", lambda: {"identity": identity}) as part:  # noqa: B023
            part.write("step", ["step"], read(store["step"]))
            for name in ("score", "score_se"):
                if name in store:
                    part.write(name, ["step", "train"], read(store[name])[:, rows])
