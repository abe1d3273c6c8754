"""The training images of another experiment of Waypoint, as its store holds them."""

from pathlib import Path

import numpy as np

from waypoint.errors import WaypointError
from waypoint.store.data.image_names import ImageNames
from waypoint.store.data.images import Images
from waypoint.store.data.source import Source
from waypoint.store.zarr.reader import Rows, open_store, read

ARRAYS = ("image", "file", "label", "caption", "group")


class StoredImages(Images):
    """Images of an open store.

    Args:
        section: the config section ``data``; its path is an experiment's folder.
    """

    def __init__(self, section):
        store = opened(section)
        self._rows, self._store = Rows(store["image"]), store
        options = {"groups": read(store["group"]).tolist()} if "group" in store else {}
        if "label" in store:
            options["labels"] = read(store["label"]).astype(np.int64)
            options["class_names"] = store["label"].attrs.get("class_names")
        if "caption" in store:
            options["captions"] = read(store["caption"]).tolist()
        super().__init__(section, ImageNames(store).files, **options)

    def pixels(self, i):
        return self._rows[[i]][0]

    def grey(self, i):
        return self._rows.array.shape[1] == 1

    def read_from(self, rows):
        # chunks alone: what is written about them, times and versions, is other in every run
        root = self._store.store_path.store.root
        return [file for name in ARRAYS for file in sorted(Path(root, name).glob("c/**/*")) if file.is_file()]


def opened(section):
    """The open store of an experiment's training images.

    Raises:
        WaypointError: there is none, or it is damaged.
    """
    path = Path(section["path"], "data/train.zarr")
    if not path.is_dir():
        raise WaypointError(f"data.path: {section['path']} is no experiment's folder: it holds no data/train.zarr")
    return open_store(path)


def captioned(section):
    """Whether the images have captions."""
    return "caption" in opened(section)


SOURCE = Source(
    StoredImages,
    needs={"path": "the experiment's folder"},
    folder=True,
    check=opened,
    captioned=captioned,
    caption_help="its experiment has none",
)
