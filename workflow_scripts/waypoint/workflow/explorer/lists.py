"""What the page says of one target and method: lists as tables/top_influences.csv has them, and sums of groups."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

NUMBERS = ("score", "se", "random_mean", "random_sd", "z", "p", "q", "percentile")
SIDES = "+-"


def by_scores(rows: Iterable[dict[str, str]]) -> dict[tuple[str, str], list[dict[str, str]]]:
    """Rows of a table by their method and target."""
    found: dict[tuple[str, str], list[dict[str, str]]] = defaultdict(list)
    for row in rows:
        found[row["method"], row["target"]].append(row)
    return found


def listed(rows: Iterable[dict[str, str]]) -> dict[str, Any]:
    """The lists of one target and method.

    Args:
        rows: of tables/top_influences.csv, in its order.

    Returns:
        ``images``: every listed training image once, ascending, with what it is called; ``lists``: by step and side
        ("+", "-") the places of its images in ``images``, and where halves judge them ``low``, ``high`` and ``found``.
    """
    rows = list(rows)
    known = {int(row["train"]): row for row in rows}
    place = {train: k for k, train in enumerate(sorted(known))}
    lists: dict[str, dict[str, dict[str, list[int]]]] = {}
    for row in rows:
        sides = lists.setdefault(row["step"], {side: {"at": [], "low": [], "high": [], "found": []} for side in SIDES})
        side = sides[row["sign"]]
        side["at"].append(place[int(row["train"])])
        if row["found"]:
            side["low"].append(int(row["rank_low"]))
            side["high"].append(int(row["rank_high"]))
            side["found"].append(int(row["found"] == "True"))
    images = {
        "train": list(place),
        "file": [known[train]["file"] for train in place],
        "class": [known[train]["class"] for train in place],
        "alike": [int(known[train]["alike"]) for train in place],
    }
    return {"images": images, "lists": lists}


def summed(rows: Iterable[dict[str, str]]) -> list[dict[str, object]]:
    """Rows of tables/group_influences.csv of one target and method, numbers as numbers; an empty cell is None."""
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
