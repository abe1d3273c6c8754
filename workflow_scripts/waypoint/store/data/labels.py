"""Labels from tables, folder names and arrays: whole numbers stay numbers, everything else is a name."""

import re
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from waypoint.errors import WaypointError
from waypoint.store.data.captions import is_empty
from waypoint.store.data.faults import some
from waypoint.store.types import Values

NUMBER = re.compile(r"[0-9]+(\.0*)?", re.ASCII)  # 7, 07 and 7.0, as pandas writes a column that once lacked a value
MOST_NAMED = 100_000  # classes; a label of eight digits is an arbitrary number, not a position in a list


# labels (n,), and the names of their classes, or None if the numbers are too large to list
Labels: TypeAlias = tuple[NDArray[np.int64], list[str] | None]


def labels_of(labels: Sequence[str]) -> Labels:
    """Return numeric labels and the names of their classes.

    If all labels are non-negative whole numbers, they keep those numbers. Otherwise every label, even a negative
    number, is a name, and becomes its position among the sorted names.

    Args:
        labels: (n,) texts.

    Returns:
        labels (n,) int64, and class names by label, or None if the numbers are too large to list.
    """
    texts = [text.strip() for text in labels]
    names = sorted(set(texts))
    if all(NUMBER.fullmatch(name) for name in names):
        return numbered([int(name.partition(".")[0]) for name in texts])
    position = {name: k for k, name in enumerate(names)}
    return np.array([position[text] for text in texts], np.int64), names


def numbered(numbers: Sequence[int]) -> Labels:
    """Return labels that are non-negative numbers, (n,) int64, and their class names, the same numbers as texts.

    Raises:
        WaypointError: a number has more than 63 bits.
    """
    largest = max(numbers)
    if largest >= 1 << 63:
        raise WaypointError(f"label: {largest} is too large; labels are class numbers from 0 on")
    names = [str(k) for k in range(largest + 1)] if largest < MOST_NAMED else None
    return np.array(numbers, np.int64), names


def require_labels(labels: Sequence[str], context: str) -> None:
    """Refuse labels that are blank, or a word for a missing value.

    Args:
        labels: (n,) texts. context: begins error messages.

    Raises:
        WaypointError: names their rows.
    """
    if empty := [k for k, text in enumerate(labels) if is_empty(text)]:
        raise WaypointError(
            f"{context}: {len(empty):,} of {len(labels):,} images have no label (blank, or nan): {some(empty)}; leave "
            "them out, or give them labels"
        )


def labels_of_array(array: Values, context: str) -> Labels:
    """``labels_of`` for an array.

    Args:
        array: (n,) whole numbers, which may be floats; booleans; or texts. context: begins error messages.

    Raises:
        WaypointError: it contains anything else.
    """
    kind = array.dtype.kind
    if kind in "SUT":
        texts = texts_of(array, context, "label")
        require_labels(texts, context)
        return labels_of(texts)
    if kind not in "iubf" or (kind == "f" and not (np.isfinite(array) & (array == np.floor(array))).all()):
        raise WaypointError(f"{context}: label must be integers or names, but it holds {array.dtype}")
    return labels_of([str(int(number)) for number in array])


def texts_of(array: Values, context: str, key: str) -> list[str]:
    """Convert an array of texts, or of bytes in UTF-8, to a list.

    Raises:
        WaypointError: it contains anything else.
    """
    if array.dtype.kind not in "SUT":
        raise WaypointError(f"{context}: {key} must be text, but it holds {array.dtype}")
    texts: list[str | bytes] = array.tolist()
    try:
        return [text.decode("utf-8") if isinstance(text, bytes) else str(text) for text in texts]
    except UnicodeDecodeError as error:
        raise WaypointError(f"{context}: {key} holds bytes that are no UTF-8 ({error}); store it as text") from error
