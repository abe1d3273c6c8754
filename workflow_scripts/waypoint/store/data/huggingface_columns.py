"""Finds the columns of images, labels and captions in a data set, and reads labels and captions."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias, cast

# datasets has no type hints
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false
import numpy as np
from numpy.typing import NDArray

from waypoint.errors import WaypointError, WaypointWarning
from waypoint.store.data.captions import Caption, is_empty, one_or_several, usable
from waypoint.store.data.faults import some
from waypoint.store.data.labels import labels_of
from waypoint.store.data.source import DataSection

Features: TypeAlias = Mapping[str, object]  # datasets.Features: types of columns by name


class Table(Protocol):
    """The part of ``datasets.Dataset`` that is used here."""

    @property
    def features(self) -> Features:
        """Return the types of the columns by name."""
        ...

    def __getitem__(self, column: str, /) -> Sequence[object]:
        """Return the cells of a column."""
        ...


LABELS = ("label", "labels", "class")  # names of columns that are not ClassLabel
TEXT = ("string", "large_string")
CAPTIONS = ("text", "caption", "captions", "prompt")


@dataclass(frozen=True)
class ChosenColumns:
    """Names of the columns of images, labels and captions; None if there is none, or none is wanted."""

    image: str
    label: str | None
    caption: str | None


def chosen_columns(features: Features, section: DataSection) -> ChosenColumns:
    """Return the columns that ``data.columns`` names, and guess those that it does not mention.

    The guesses are the only column of images, the only one of class labels or else one with a common name, and a column
    of texts with a common name.

    Args:
        features: types of the columns by name, ``datasets.Features``.

    Raises:
        WaypointError: a named column does not exist or has the wrong type, several columns are possible, or none
            contains images.
    """
    requested = section.get("columns") or {}
    columns: dict[str, str | None] = {}
    for role, fits, guess in (
        ("image", _is_image, _guess_image),
        ("label", _is_label, _guess_label),
        ("caption", _is_caption, _guess_caption),
    ):
        if role not in requested:
            columns[role] = guess(features)
            continue
        name = columns[role] = requested[role]
        if name is not None and name not in features:
            raise WaypointError(
                f"data.columns.{role}: there is no column {name}; the columns are {', '.join(features)}"
            )
        if name is not None and not fits(features[name]):
            raise WaypointError(f"data.columns.{role}: column {name} holds {type_name(features[name])}, no {role}s")
    if columns["image"] is None:
        raise WaypointError("data.columns.image: null leaves no images; name a column of images")
    return ChosenColumns(columns["image"], columns["label"], columns["caption"])


def _dtype(feature: object) -> str:
    """Return the type of a plain column, or an empty text."""
    from datasets import Value

    return feature.dtype if isinstance(feature, Value) else ""


def _is_image(feature: object) -> bool:
    from datasets import Image

    if isinstance(feature, dict):
        return "bytes" in feature or set(feature) == {"path"}
    return isinstance(feature, Image) or _dtype(feature) in ("binary", "large_binary")


def _is_label(feature: object) -> bool:
    from datasets import ClassLabel

    return isinstance(feature, ClassLabel) or _dtype(feature).startswith(("int", "uint", "bool", "float", *TEXT))


def _is_caption(feature: object) -> bool:
    inner = getattr(feature, "feature", None) or (feature[0] if isinstance(feature, list) and feature else feature)
    return _dtype(inner) in TEXT


def _guess_image(features: Features) -> str | None:
    from datasets import Image

    names = [name for name, feature in features.items() if isinstance(feature, Image)]
    names = names or [name for name, feature in features.items() if _is_image(feature)]
    if not names:
        available = ", ".join(f"{name} ({type_name(feature)})" for name, feature in features.items())
        raise WaypointError(f"data.columns.image: no column holds encoded images; there are {available}")
    return _single(names, "image")


def _guess_label(features: Features) -> str | None:
    from datasets import ClassLabel

    names = [name for name, feature in features.items() if isinstance(feature, ClassLabel)]
    if len(names) > 1 and "label" in names:
        return "label"
    return _single(names or _usable(features, LABELS, _is_label, "label"), "label")


def _guess_caption(features: Features) -> str | None:
    return _single(_usable(features, CAPTIONS, _is_caption, "caption"), "caption")


def _usable(features: Features, common: Sequence[str], fits: Callable[[object], bool], role: str) -> list[str]:
    """Return the columns with a common name, in capitals or not, whose type fits.

    Raises:
        WaypointError: there are such columns, but none fits.
    """
    names = [name for known in common for name in features if name.lower() == known]
    usable_names = [name for name in names if fits(features[name])]
    if names and not usable_names:
        raise WaypointError(
            f"data.columns.{role}: column {names[0]} holds {type_name(features[names[0]])}, which are no {role}s; "
            f"name another column, or leave {role}s out with columns: {{{role}: null}}"
        )
    if unusable := [name for name in names if name not in usable_names]:
        warnings.warn(
            f"data.columns.{role}: column {unusable[0]} holds {type_name(features[unusable[0]])}, which are no "
            f"{role}s; {usable_names[0]} is read instead",
            WaypointWarning,
            stacklevel=2,
        )
    return usable_names


def _single(names: Sequence[str], role: str) -> str | None:
    if len(names) > 1:
        opt_out = "" if role == "image" else f", or {role}: null for none"
        raise WaypointError(
            f"data.columns.{role}: the columns {', '.join(names)} are possible; name one, as in columns: "
            f"{{{role}: {names[0]}}}{opt_out}"
        )
    return names[0] if names else None


def type_name(feature: object) -> str:
    """Return the name of a column's type, for messages."""
    inner = getattr(feature, "feature", None) or (feature[0] if isinstance(feature, list) and feature else None)
    if inner is not None:
        return f"lists of {type_name(inner)}"
    return _dtype(feature) or ("structs" if isinstance(feature, dict) else type(feature).__name__)


def labels_in(data: Table, column: str | None) -> tuple[NDArray[np.int64] | None, list[str] | None]:
    """Read labels and class names from a column; None and None without one.

    Raises:
        WaypointError: rows have no label.
    """
    from datasets import ClassLabel

    if column is None:
        return None, None
    labels, feature = list(data[column]), data.features[column]
    if isinstance(feature, ClassLabel):
        numbers = cast(list[int | None], labels)
        _require_all(column, "label", [number is None or number < 0 for number in numbers])
        return np.array(numbers, np.int64), list(feature.names)
    _require_all(column, "label", [value is None or is_empty(str(value)) for value in labels])
    if parts := [k for k, value in enumerate(labels) if isinstance(value, float) and not value.is_integer()]:
        raise WaypointError(
            f"data.columns.label: column {column} holds {labels[parts[0]]} in row {parts[0]}, which is no label; "
            "labels are whole numbers or names"
        )
    return labels_of([str(int(value)) if isinstance(value, bool | float) else str(value) for value in labels])


def captions_in(data: Table, column: str | None) -> list[Caption] | None:
    """Read a text or a list of texts for each row; None without a column.

    Raises:
        WaypointError: rows have no caption.
    """
    if column is None:
        return None
    cells = cast(Sequence[str | Sequence[str | None] | None], data[column])
    texts = [usable([cell] if cell is None or isinstance(cell, str) else cell) for cell in cells]
    _require_all(column, "caption", [not row_texts for row_texts in texts])
    return [one_or_several(row_texts) for row_texts in texts]


def _require_all(column: str, role: str, missing: Sequence[bool]) -> None:
    """Refuse rows without a label or a caption."""
    if any(missing):
        rows = [k for k, is_missing in enumerate(missing) if is_missing]
        raise WaypointError(
            f"data.columns.{role}: column {column} holds no {role} in {len(rows):,} of {len(missing):,} rows: "
            f"{some(rows)}. Fill them, or leave {role}s out with columns: {{{role}: null}}"
        )
