"""Rules for captions from any source: which texts count, and which stand for none."""

from collections.abc import Sequence
from typing import TypeAlias

# cells that pandas, numpy or a database wrote for none; in other columns None may be a class
Caption: TypeAlias = str | Sequence[str]  # of one image: a text, or several to draw from

EMPTY = {"", "nan", "<na>", "nat"}
NONE = EMPTY | {"none", "null", "n/a"}


def missing(text: str | None) -> bool:
    """Whether a caption is blank, or the word that libraries write for a missing value."""
    return text is None or text.strip().lower() in NONE


def empty(text: str | None) -> bool:
    """Whether a cell of another column holds nothing."""
    return text is None or text.strip().lower() in EMPTY


def usable(texts: Sequence[str | None]) -> list[str]:
    """An image's captions without the missing ones."""
    return [text for text in texts if text is not None and not missing(text)]


def one_or_several(texts: Sequence[str]) -> Caption:
    """The form in which sources hold an image's captions: a single text, or a list of several."""
    return texts[0] if len(texts) == 1 else texts
