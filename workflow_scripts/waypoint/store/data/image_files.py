"""Images that come as files."""

import numpy as np
from PIL import Image, UnidentifiedImageError

from waypoint.errors import WaypointError


class ImageFiles:
    """Image files, opened one at a time. Transparency is laid on white; an image is cropped to a centred square
    only when ``data.size`` asks for a resize.

    Args:
        size: ``data.size``.
        mode: "L" or "RGB"; None: what the first image has.
        root: folder within which files are named; None: by their last part. class_names: of labels 0, 1, …
        groups: of each image, "" for none.

    Raises:
        WaypointError: an unreadable image, or images of different shapes without ``data.size``.
    """

    def __init__(self, size, files, labels=None, captions=None, mode=None, root=None, class_names=None, groups=None):
        self.files, self.labels, self.captions, self.class_names = files, labels, captions, class_names
        self.names = [file.relative_to(root).as_posix() if root else file.name for file in files]
        self.groups = groups
        self.n, self.size, self.shape = len(files), size, None
        self.mode = mode or ("L" if self._open(0).mode in ("1", "L") else "RGB")
        self.shape = self.read(0).shape

    def _open(self, i):
        try:
            image = Image.open(self.files[i])
            image.load()
        except (OSError, UnidentifiedImageError) as error:
            raise WaypointError(f"data.path: {self.files[i]} is no readable image ({error})") from error
        if image.mode.startswith("I;16"):  # PIL would clip 16-bit grey levels, not scale them
            image = Image.fromarray((np.asarray(image) / 257).round().astype(np.uint8))
        if "A" in image.getbands() or "transparency" in image.info:
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
        return image

    def read(self, i):
        """Image i, float32 (C, H, W) in [-1, 1]."""
        image = self._open(i)
        if self.mode == "L" and image.mode not in ("1", "L"):
            raise WaypointError(f"data.path: {self.files[i]} is in colour, the first image is grey; make them alike")
        image = image.convert(self.mode)
        if self.size:
            side = min(image.size)
            left, top = (image.width - side) // 2, (image.height - side) // 2
            image = image.crop((left, top, left + side, top + side))
        pixels = np.asarray(image, np.uint8).reshape(image.height, image.width, -1).transpose(2, 0, 1)
        if self.shape and not self.size and pixels.shape != self.shape:
            raise WaypointError(
                f"data.size: {self.files[i]} is {pixels.shape}, the first image {self.shape}; set data.size to resize"
            )
        return pixels.astype(np.float32) / 127.5 - 1


def resized(image, size):
    """A float32 (C, H, W) image at ``size`` × ``size``, antialiased, within [-1, 1]."""
    if size is None or image.shape[1:] == (size, size):
        return image
    channels = [Image.fromarray(c, mode="F").resize((size, size), Image.Resampling.BICUBIC) for c in image]
    return np.clip(np.stack([np.asarray(c, np.float32) for c in channels]), -1, 1)
