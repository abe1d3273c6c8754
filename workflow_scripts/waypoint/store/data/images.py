"""The base class of all sources' images, with the rules that apply to all of them."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from waypoint.errors import WaypointError
from waypoint.store.data.captions import Caption
from waypoint.store.data.fitting import fitted, with_channels
from waypoint.store.types import Attributes, Values


class ImageOptions(TypedDict, total=False):
    """Labels, captions and the like of a source's images; see ``Images``."""

    labels: NDArray[np.int64] | None
    class_names: Sequence[str] | None
    captions: Sequence[Caption] | None
    groups: Sequence[str] | None
    channels: int | None


class Images(ABC):
    """The images of a source, in its order. Each source implements reading the pixels of one image.

    Attributes:
        n: number of images. files: (n) names in the source, relative and with '/'.
        labels: (n,) int64 or None. class_names: names of the labels 0, 1, …, or None.
        captions: (n) texts or lists of texts to draw from; or None.
        groups: (n) names of the images' groups, "" for none; or None.
        of_several: indices of images read so far whose files hold further pictures, which are not read.

    Args:
        section: the section ``data`` of the configuration; only size, fit and channels are used here.
        channels: number of channels if ``data.channels`` is not set; None means one if all images are grey, else three.
    """

    def __init__(
        self,
        section: Attributes,
        files: Sequence[str],
        labels: NDArray[np.int64] | None = None,
        class_names: Sequence[str] | None = None,
        captions: Sequence[Caption] | None = None,
        groups: Sequence[str] | None = None,
        channels: int | None = None,
    ):
        self.files, self.labels, self.class_names, self.captions = files, labels, class_names, captions
        self.groups = groups
        self.of_several: set[int] = set()
        self.size: int | None = section.get("size")
        self.fit: str = section.get("fit") or "crop"
        self.channels: int | None = section.get("channels") or channels
        self.n = len(files)
        self._first: tuple[str, tuple[int, ...]] | None = None

    @abstractmethod
    def pixels(self, i: int) -> Values:
        """Read image i at its own size, (1 or 3, H, W), uint8 or float32 in [-1, 1]."""

    @abstractmethod
    def grey(self, i: int) -> bool:
        """Whether image i is grey, without reading it completely."""

    def read_from(self, rows: Sequence[int]) -> Sequence[str]:
        """Return the paths of the files from which some images, with their labels and captions, were read."""
        return []

    def read(self, i: int) -> NDArray[np.float32]:
        """Read image i in the form in which models see it, float32 (C, H, W) in [-1, 1].

        Raises:
            WaypointError: it cannot be read, or, without ``data.size``, differs in size from the first image read.
        """
        if self.channels is None:
            self.channels = 1 if all(map(self.grey, range(self.n))) else 3
        image = fitted(with_channels(self.pixels(i), self.channels), self.size, self.fit)
        name, shape = self._first = self._first or (self.files[i], image.shape)
        if image.shape != shape:
            raise WaypointError(
                f"data.size: {self.location(i)} is {_extent(image.shape)}, but {name} is {_extent(shape)}; "
                "set data.size, and data.fit, to bring all images to one size"
            )
        return image

    def location(self, i: int) -> str:
        """Return the name of image i for messages."""
        return self.files[i]


def _extent(shape: Sequence[int]) -> str:
    return f"{shape[2]} × {shape[1]} pixels"
