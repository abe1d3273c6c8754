"""The training images in the store of another Waypoint experiment."""

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np
import zarr

from waypoint.errors import WaypointError
from waypoint.store.data.image_names import ImageNames
from waypoint.store.data.images import ImageOptions, Images
from waypoint.store.data.source import DataSection, Source, path_of
from waypoint.store.types import Values, array_of
from waypoint.store.zarr.reader import Rows, folder_of, open_store, read

ARRAYS = ("image", "file", "label", "caption", "group")


class StoredImages(Images):
    """Images of another experiment's store.

    Args:
        section: the section ``data`` of the configuration; its path is the experiment's folder.
    """

    def __init__(self, section: DataSection):
        store = open_training_store(section)
        self._rows, self._store = Rows(array_of(store, "image")), store
        options: ImageOptions = {}
        if "group" in store:
            options["groups"] = read(array_of(store, "group")).tolist()
        if "label" in store:
            labels = array_of(store, "label")
            options["labels"] = read(labels).astype(np.int64)
            options["class_names"] = cast(list[str] | None, labels.attrs.get("class_names"))
        if "caption" in store:
            options["captions"] = read(array_of(store, "caption")).tolist()
        super().__init__(section, ImageNames(store).files, **options)

    def pixels(self, i: int) -> Values:
        return self._rows[[i]][0]

    def grey(self, i: int) -> bool:
        return self._rows.array.shape[1] == 1

    def read_from(self, rows: Sequence[int]) -> list[str]:
        # only chunks: metadata contains times and versions, which differ in every run
        root = folder_of(self._store)
        return [str(file) for name in ARRAYS for file in sorted(Path(root, name).glob("c/**/*")) if file.is_file()]


def open_training_store(section: DataSection) -> zarr.Group:
    """Open the store of an experiment's training images.

    Raises:
        WaypointError: there is none, or it is damaged.
    """
    path = Path(path_of(section), "data/train.zarr")
    if not path.is_dir():
        raise WaypointError(f"data.path: {section['path']} is not an experiment's folder: it has no data/train.zarr")
    return open_store(path)


def captioned(section: DataSection) -> bool:
    """Whether the images have captions."""
    return "caption" in open_training_store(section)


SOURCE = Source(
    StoredImages,
    needs={"path": "the experiment's folder"},
    folder=True,
    check=open_training_store,
    captioned=captioned,
    caption_help="its experiment has none",
)
