"""Captions, whatever they come from: which count, and which are missing."""

# cells that pandas, numpy or a database wrote for none; in other columns None may be a class
EMPTY = {"", "nan", "<na>", "nat"}
NONE = EMPTY | {"none", "null", "n/a"}


def missing(text):
    """Whether a caption is none: blank, or the word that libraries write for a missing value."""
    return text is None or text.strip().lower() in NONE


def empty(text):
    """Whether a cell of another column holds nothing."""
    return text is None or text.strip().lower() in EMPTY


def usable(texts):
    """Those of an image's captions that say something."""
    return [text for text in texts if not missing(text)]


def one_or_several(texts):
    """A text alone, several as a list: the form in which sources have captions."""
    return texts[0] if len(texts) == 1 else texts
