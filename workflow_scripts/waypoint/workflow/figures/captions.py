"""Captions of training images: a score, the image's name and its class, each no wider than the image."""

from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

SIZE = 6.3  # font size in points
LINE = 0.108  # line height in inches


def signed(score):
    """Return a score in two digits with its sign, as figures show it."""
    return f"{score:+.2g}".replace("-", "−")


def plain(text):
    """Return the text with dollar signs escaped, so that matplotlib sees no formula."""
    return text.replace("$", r"\$")


def shortened(text, width, size=SIZE):
    """Return the text on one line, with … in its middle if it is wider than ``width`` inches at ``size`` points.

    As much is kept of the end as of the beginning, since the ends of file names differ most.
    """
    text = " ".join(text.split())
    if width_of(text, size) <= width:
        return text
    left, right = 0, len(text) - 1  # numbers of characters that fit, and that do not
    while right - left > 1:
        middle = (left + right) // 2
        left, right = (middle, right) if width_of(_cut(text, middle), size) <= width else (left, middle)
    return _cut(text, left)


def _cut(text, length):
    """Return ``length`` characters of a text, half from its beginning and half from its end, with … between them."""
    end = (length + 1) // 2
    return text[: length - end] + "…" + text[len(text) - end :]


def width_of(text, size):
    """Return the width of a text in inches at ``size`` points."""
    return text_to_path.get_text_width_height_descent(text, FontProperties(size=size), ismath=False)[0] / 72


class Captions:
    """The captions under or beside training images.

    Args:
        names: an ``ImageNames``. width: maximal width of a line in inches. size: font size in points.
    """

    def __init__(self, names, width, size=SIZE):
        self.names, self.width, self.size = names, width, size

    @property
    def lines(self):
        """The number of lines that ``of`` returns."""
        return 1 + self.names.labelled

    @property
    def words(self):
        """A description of the lines, for a figure's header."""
        file = "file" if self.names.named else "index"
        return f"{file} and class" if self.names.labelled else file

    def of(self, i):
        """Return an image's name and, if there are labels, its class, as lines that fit and contain no formula.

        A leading folder with the class's name is left out, since the class follows.
        """
        file, class_name = self.names.files[i], self.names.class_of(i)
        lines = [file.removeprefix(f"{class_name}/"), class_name] if self.names.labelled else [file]
        return [plain(shortened(line, self.width, self.size)) for line in lines]

    def below(self, axes, i, *first):
        """Write ``first``, then the lines of image i, below its axes."""
        axes.set_xlabel("\n".join([*first, *self.of(i)]), size=self.size, labelpad=1.8, linespacing=1.15)
