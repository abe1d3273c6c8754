"""Labels from tables, names of folders and arrays: whole numbers stay numbers, everything else is a name."""

import re
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from waypoint.errors import WaypointError
from waypoint.store.types import Values

NUMBER = re.compile(r"[0-9]+(\.0*)?", re.ASCII)  # 7, 07 and 7.0, as pandas writes a column that once lacked a value
MOST_NAMED = 100_000  # classes: a label of eight digits is somebody's own number, and no place in a list


# labels (n,), and the names of their classes, or None where the numbers are too large to list
Labels: TypeAlias = tuple[NDArray[np.int64], list[str] | None]


def labels_of(labels: Sequence[str]) -> Labels:
    """Labels and the names of their classes.

    Where all labels are whole numbers from 0 on, they stay those numbers. Otherwise every label, even a negative
    number, is a name, and stands for its place among the sorted names.

    Args:
        labels: (n,) texts.

    Returns:
        labels (n,) int64, class names by label; None where the numbers are too large to list.
    """
    texts = [text.strip() for text in labels]
    names = sorted(set(texts))
    if all(NUMBER.fullmatch(name) for name in names):
        return numbered([int(name.partition(".")[0]) for name in texts])
    place = {name: k for k, name in enumerate(names)}
    return np.array([place[text] for text in texts], np.int64), names


def numbered(numbers: Sequence[int]) -> Labels:
    """Labels that are numbers from 0 on, (n,) int64, and their class names, which are the same numbers as texts.

    Raises:
        WaypointError: a number beyond 63 bits.
    """
    largest = max(numbers)
    if largest >= 1 << 63:
        raise WaypointError(f"label: {largest} is too large; labels are class numbers from 0 on")
    names = [str(k) for k in range(largest + 1)] if largest < MOST_NAMED else None
    return np.array(numbers, np.int64), names


def labels_of_array(array: Values, where: str) -> Labels:
    """``labels_of`` for an array.

    Args:
        array: (n,) whole numbers, also as floats, truth values, or texts. where: begins error messages.

    Raises:
        WaypointError: it holds something else.
    """
    kind = array.dtype.kind
    if kind in "SUT":
        return labels_of(texts_of(array, where, "label"))
    if kind not in "iubf" or (kind == "f" and not (np.isfinite(array) & (array == np.floor(array))).all()):
        raise WaypointError(f"{where}: label must be integers or names, but it holds {array.dtype}")
    return labels_of([str(int(number)) for number in array])


def texts_of(array: Values, where: str, key: str) -> list[str]:
    """An array of texts, or of bytes that are UTF-8, as a list.

    Raises:
        WaypointError: it holds something else.
    """
    if array.dtype.kind not in "SUT":
        raise WaypointError(f"{where}: {key} must be text, but it holds {array.dtype}")
    texts: list[str | bytes] = array.tolist()
    try:
        return [text.decode("utf-8") if isinstance(text, bytes) else str(text) for text in texts]
    except UnicodeDecodeError as error:
        raise WaypointError(f"{where}: {key} holds bytes that are no UTF-8 ({error}); store it as text") from error
