"""Rules for captions from any source: which texts count as captions, and which as missing."""

from collections.abc import Sequence
from typing import TypeAlias

Caption: TypeAlias = str | Sequence[str]  # of one image: a text, or several to draw from

# missing values as written by pandas, numpy or a database; in columns other than captions, None may be a class
EMPTY = {"", "nan", "<na>", "nat"}
NONE = EMPTY | {"none", "null", "n/a"}


def is_missing(text: str | None) -> bool:
    """Whether a caption is blank, or a word that libraries write for a missing value."""
    return text is None or text.strip().lower() in NONE


def is_empty(text: str | None) -> bool:
    """Whether a cell of another column is empty."""
    return text is None or text.strip().lower() in EMPTY


def usable(texts: Sequence[str | None]) -> list[str]:
    """Return an image's captions without the missing ones, with single spaces between words and none around them."""
    return [" ".join(text.split()) for text in texts if text is not None and not is_missing(text)]


def one_or_several(texts: Sequence[str]) -> Caption:
    """Return an image's captions in the form that sources use: a single text, or a list of several."""
    return texts[0] if len(texts) == 1 else texts
