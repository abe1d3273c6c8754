"""Words under training images: a score, the image's name and its class, each no wider than the image."""

from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

SIZE = 6.3  # points of the lines under an image
LINE = 0.108  # inches that a line takes


def signed(score):
    """A score in two digits with its sign, as figures have it."""
    return f"{score:+.2g}".replace("-", "−")


def plain(text):
    """A text in which no character begins a formula of matplotlib's."""
    return text.replace("$", r"\$")


def shortened(text, width, size=SIZE):
    """A text with … in its middle where it is wider than ``width`` inches at ``size`` points; in one line.

    The end is kept as long as the beginning: there names of files differ most.
    """
    text = " ".join(text.split())
    if width_of(text, size) <= width:
        return text
    left, right = 0, len(text) - 1  # characters that fit, and that do not
    while right - left > 1:
        middle = (left + right) // 2
        left, right = (middle, right) if width_of(_cut(text, middle), size) <= width else (left, middle)
    return _cut(text, left)


def _cut(text, length):
    """The first and the last ``length`` characters of a text."""
    end = (length + 1) // 2
    return text[: length - end] + "…" + text[len(text) - end :]


def width_of(text, size):
    """Inches that a text takes at ``size`` points."""
    return text_to_path.get_text_width_height_descent(text, FontProperties(size=size), ismath=False)[0] / 72


class Captions:
    """The captions under training images, or beside them.

    Args:
        names: an ``ImageNames``. width: inches that a line may take. size: points.
    """

    def __init__(self, names, width, size=SIZE):
        self.names, self.width, self.size = names, width, size

    @property
    def lines(self):
        """How many lines ``of`` gives."""
        return 1 + self.names.labelled

    @property
    def words(self):
        """A description of the lines, for a figure's header."""
        file = "file" if self.names.named else "index"
        return f"{file} and class" if self.names.labelled else file

    def of(self, i):
        """An image's name and, where there are labels, its class, as lines that fit; no character is a formula.

        Of a name that begins with a folder of the class's name that is left out: the class says it.
        """
        file, of_class = self.names.files[i], self.names.class_of(i)
        lines = [file.removeprefix(f"{of_class}/"), of_class] if self.names.labelled else [file]
        return [plain(shortened(line, self.width, self.size)) for line in lines]

    def below(self, axes, i, *first):
        """Write ``first``, then the lines of image i, below its axes."""
        axes.set_xlabel("\n".join([*first, *self.of(i)]), size=self.size, labelpad=1.8, linespacing=1.15)
