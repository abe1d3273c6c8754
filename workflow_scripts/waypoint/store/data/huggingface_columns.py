"""Which columns of a data set hold images, labels and captions, and what labels and captions they hold."""

from types import SimpleNamespace

import numpy as np

from waypoint.errors import WaypointError
from waypoint.store.data.captions import one_or_several, usable
from waypoint.store.data.faults import some
from waypoint.store.data.labels import labels_of

LABELS = ("label", "labels", "class")  # of columns that are no ClassLabel
TEXT = ("string", "large_string")
CAPTIONS = ("text", "caption", "captions", "prompt")


def chosen_columns(features, section):
    """The columns ``image``, ``label`` and ``caption``; None where there is none, or none is wanted.

    Those that ``data.columns`` does not name are found: the only column of images, the only one of class labels or else
    one with a common name, and a column of texts with a common name.

    Args:
        features: {column: type}, ``datasets.Features``.

    Raises:
        WaypointError: a named column does not exist or has another type, several come into question, or no images.
    """
    asked, found = section.get("columns") or {}, {}
    for role, fits, guess in (
        ("image", _is_image, _image),
        ("label", _is_label, _label),
        ("caption", _is_caption, _caption),
    ):
        if role not in asked:
            found[role] = guess(features)
            continue
        name = found[role] = asked[role]
        if name is not None and name not in features:
            raise WaypointError(
                f"data.columns.{role}: there is no column {name}; the columns are {', '.join(features)}"
            )
        if name is not None and not fits(features[name]):
            raise WaypointError(f"data.columns.{role}: column {name} holds {_told(features[name])}, no {role}s")
    return SimpleNamespace(**found)


def _dtype(feature):
    """The type of a plain column, or an empty word."""
    from datasets import Value

    return feature.dtype if isinstance(feature, Value) else ""


def _is_image(feature):
    from datasets import Image

    if isinstance(feature, dict):
        return "bytes" in feature or set(feature) == {"path"}
    return isinstance(feature, Image) or _dtype(feature) in ("binary", "large_binary")


def _is_label(feature):
    from datasets import ClassLabel

    return isinstance(feature, ClassLabel) or _dtype(feature).startswith(("int", "uint", "bool", *TEXT))


def _is_caption(feature):
    inner = getattr(feature, "feature", None) or (feature[0] if isinstance(feature, list) and feature else feature)
    return _dtype(inner) in TEXT


def _image(features):
    from datasets import Image

    found = [name for name, feature in features.items() if isinstance(feature, Image)]
    found = found or [name for name, feature in features.items() if _is_image(feature)]
    if not found:
        there = ", ".join(f"{name} ({_told(feature)})" for name, feature in features.items())
        raise WaypointError(f"data.columns.image: no column holds encoded images; there are {there}")
    return _only(found, "image")


def _label(features):
    from datasets import ClassLabel

    found = [name for name, feature in features.items() if isinstance(feature, ClassLabel)]
    if len(found) > 1 and "label" in found:
        return "label"
    found = found or [name for name in LABELS if name in features and _is_label(features[name])]
    return _only(found, "label")


def _caption(features):
    return _only([name for name in CAPTIONS if name in features and _is_caption(features[name])], "caption")


def _only(names, role):
    if len(names) > 1:
        none = "" if role == "image" else f", or {role}: null for none"
        raise WaypointError(
            f"data.columns.{role}: the columns {', '.join(names)} come into question; name one, as in columns: "
            f"{{{role}: {names[0]}}}{none}"
        )
    return names[0] if names else None


def _told(feature):
    return _dtype(feature) or type(feature).__name__


def labels_in(data, column):
    """Labels and class names of a column; None and None without one.

    Raises:
        WaypointError: rows without a label.
    """
    from datasets import ClassLabel

    if column is None:
        return None, None
    given, feature = list(data[column]), data.features[column]
    named = isinstance(feature, ClassLabel)
    _require_all(column, "label", [value is None or (named and value < 0) for value in given])
    if named:
        return np.array(given, np.int64), list(feature.names)
    return labels_of([str(int(value)) if isinstance(value, bool) else str(value) for value in given])


def captions_in(data, column):
    """A text or a list of texts for each row; None without a column.

    Raises:
        WaypointError: rows without a caption.
    """
    if column is None:
        return None
    texts = [usable([cell] if cell is None or isinstance(cell, str) else cell) for cell in data[column]]
    _require_all(column, "caption", [not several for several in texts])
    return [one_or_several(several) for several in texts]


def _require_all(column, role, missing):
    """Refuse rows that lack something."""
    if any(missing):
        rows = [k for k, gone in enumerate(missing) if gone]
        raise WaypointError(
            f"data.columns.{role}: column {column} holds no {role} in {len(rows):,} of {len(missing):,} rows: "
            f"{some(rows)}. Fill them, or leave {role}s out with columns: {{{role}: null}}"
        )
