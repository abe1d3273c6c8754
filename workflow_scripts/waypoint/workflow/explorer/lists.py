"""The page's data on one target and method: the lists of tables/top_influences.csv, and the sums of groups."""

from collections import defaultdict
from collections.abc import Iterable
from typing import NotRequired, TypeAlias, TypedDict

NUMBERS = ("score", "se", "random_mean", "random_sd", "z", "p", "q", "percentile")
SIDES = "+-"

# the listed training images, ascending; "alike" counts those that show the same
Images = TypedDict(
    "Images",
    {
        "train": list[int],
        "file": list[str],
        "class": list[str],
        "alike": list[int],
        "caption": NotRequired[list[str]],
    },
)
# {step: {side: {"at", "low", "high", "found"}}}
Lists: TypeAlias = dict[str, dict[str, dict[str, list[int]]]]


class Content(TypedDict):
    """The lists of one target and method as the page reads them."""

    images: Images
    lists: Lists
    judged: NotRequired[bool]
    by: NotRequired[str]


def by_method_and_target(rows: Iterable[dict[str, str]]) -> dict[tuple[str, str], list[dict[str, str]]]:
    """Return the rows of a table by method and target."""
    grouped: dict[tuple[str, str], list[dict[str, str]]] = defaultdict(list)
    for row in rows:
        grouped[row["method"], row["target"]].append(row)
    return grouped


def listed(rows: Iterable[dict[str, str]]) -> Content:
    """Return the lists of one target and method.

    Args:
        rows: rows of tables/top_influences.csv, in its order.

    Returns:
        ``images``: every listed training image once, ascending, with name and class; ``lists``: for each step and side
        ("+", "-") the positions of its images in ``images`` and, if judged by halves, ``low``, ``high`` and ``found``.
    """
    rows = list(rows)
    row_of = {int(row["train"]): row for row in rows}
    position = {train: k for k, train in enumerate(sorted(row_of))}
    lists: Lists = {}
    for row in rows:
        sides = lists.setdefault(row["step"], {side: {"at": [], "low": [], "high": [], "found": []} for side in SIDES})
        side = sides[row["sign"]]
        side["at"].append(position[int(row["train"])])
        if row["found"]:
            side["low"].append(int(row["rank_low"]))
            side["high"].append(int(row["rank_high"]))
            side["found"].append(int(row["found"] == "True"))
    images: Images = {
        "train": list(position),
        "file": [row_of[train]["file"] for train in position],
        "class": [row_of[train]["class"] for train in position],
        "alike": [int(row_of[train]["alike"]) for train in position],
    }
    return {"images": images, "lists": lists}


def summed(rows: Iterable[dict[str, str]]) -> list[dict[str, object]]:
    """Return one target and method's rows of tables/group_influences.csv with numbers parsed; an empty cell is None."""
    return [
        {
            "step": int(row["step"]),
            "group": row["group"],
            "size": int(row["size"]),
            "null": row["null"],
            "p_kind": row["p_kind"],
            "found": {"True": True, "False": False}.get(row["found"]),
            **{name: float(row[name]) if row[name] else None for name in NUMBERS},
        }
        for row in rows
    ]
