"""What every source gives: images after the rules that hold for all of them."""

from waypoint.errors import WaypointError
from waypoint.store.data.fitting import fitted, with_channels


class Images:
    """The images of a source, in its order. A source says how the pixels of one image are read (``pixels``).

    Attributes:
        n: how many. files: (n) names in the source, relative and with '/'.
        labels: (n,) int64 or None. class_names: what labels 0, 1, … are called, or None.
        captions: (n) texts, or lists of texts to draw from; or None.
        groups: (n) whose an image is, "" for nobody's; or None.

    Args:
        section: the config section ``data``: size, fit and channels count here.
        channels: what images of this source have, where ``data.channels`` does not say it; None: what they come with,
            which is grey where all are grey.
    """

    def __init__(self, section, files, labels=None, class_names=None, captions=None, groups=None, channels=None):
        self.files, self.labels, self.class_names, self.captions = files, labels, class_names, captions
        self.groups = groups
        self.n, self.size, self.fit = len(files), section.get("size"), section.get("fit") or "crop"
        self.channels = section.get("channels") or channels
        self._first = None

    def pixels(self, i):
        """Image i as it comes, (1 or 3, H, W), uint8 or float32 in [-1, 1]."""
        raise NotImplementedError

    def grey(self, i):
        """Whether image i is grey, without reading all of it."""
        raise NotImplementedError

    def read_from(self, rows):
        """Places of the files that some of the images, and what is said about them, were read from."""
        return []

    def read(self, i):
        """Image i as models see it, float32 (C, H, W) in [-1, 1].

        Raises:
            WaypointError: it cannot be read, or, without ``data.size``, is of another size than the first one read.
        """
        if self.channels is None:
            self.channels = 1 if all(map(self.grey, range(self.n))) else 3
        image = fitted(with_channels(self.pixels(i), self.channels), self.size, self.fit)
        name, shape = self._first = self._first or (self.files[i], image.shape)
        if image.shape != shape:
            raise WaypointError(
                f"data.size: {self.where(i)} is {_told(image.shape)}, but {name} is {_told(shape)}; set data.size, "
                "and data.fit, to bring all images to one size"
            )
        return image

    def where(self, i):
        """Image i in messages."""
        return self.files[i]


def _told(shape):
    return f"{shape[2]} × {shape[1]} pixels"
