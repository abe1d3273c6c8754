"""Labels that people write, in tables, names of folders and arrays: numbers stay numbers, all else is a name."""

import re

import numpy as np

from waypoint.errors import WaypointError

NUMBER = re.compile(r"[0-9]+(\.0*)?", re.ASCII)  # 7, 07 and 7.0, as pandas writes a column that once lacked a value
MOST_NAMED = 100_000  # classes: a label of eight digits is somebody's own number, and no place in a list


def labels_of(given):
    """Labels and the names of their classes.

    Whole numbers from 0 on stay those numbers where all labels are such. Else every label is a name, a negative number
    too, and the label is its place among the sorted names.

    Args:
        given: (n,) texts.

    Returns:
        labels (n,) int64, class names by label; None where the numbers are too large to list.
    """
    texts = [text.strip() for text in given]
    names = sorted(set(texts))
    if all(NUMBER.fullmatch(name) for name in names):
        return numbered([int(name.partition(".")[0]) for name in texts])
    place = {name: k for k, name in enumerate(names)}
    return np.array([place[text] for text in texts], np.int64), names


def numbered(numbers):
    """Labels that are numbers from 0 on, (n,) int64, and their class names, which are the same numbers as texts.

    Raises:
        WaypointError: a number beyond 63 bits.
    """
    largest = max(numbers)
    if largest >= 1 << 63:
        raise WaypointError(f"label: {largest} is too large; labels are class numbers from 0 on")
    names = [str(k) for k in range(largest + 1)] if largest < MOST_NAMED else None
    return np.array(numbers, np.int64), names


def labels_of_array(array, where):
    """The same of an array's labels.

    Args:
        array: (n,) whole numbers, also as floats, truth values, or texts. where: begins error messages.

    Raises:
        WaypointError: something else.
    """
    kind = array.dtype.kind
    if kind in "SUT":
        return labels_of(texts_of(array, where, "label"))
    if kind not in "iubf" or (kind == "f" and not (np.isfinite(array) & (array == np.floor(array))).all()):
        raise WaypointError(f"{where}: label must be integers or names, but it holds {array.dtype}")
    return labels_of([str(int(number)) for number in array])


def texts_of(array, where, key):
    """An array of texts, or of bytes that are UTF-8, as a list.

    Raises:
        WaypointError: it holds something else.
    """
    if array.dtype.kind not in "SUT":
        raise WaypointError(f"{where}: {key} must be text, but it holds {array.dtype}")
    try:
        return [text.decode("utf-8") if isinstance(text, bytes) else str(text) for text in array.tolist()]
    except UnicodeDecodeError as error:
        raise WaypointError(f"{where}: {key} holds bytes that are no UTF-8 ({error}); store it as text") from error
