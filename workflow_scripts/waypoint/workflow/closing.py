"""What a run ends with: how much of what it lists is found, and what retraining says of its scores."""

import csv
from pathlib import Path

from waypoint.workflow.figures.lds_words import lds_in_words, overall_lds


def trust_in_words(root, method):
    """Where influences are found by a method, and its LDS, in one line; None where no table says either.

    Args:
        root: the experiment's folder.
    """
    said, tables = [], Path(root, "tables")
    if (tables / "top_influences.csv").exists():
        said.append(_found(tables / "top_influences.csv", method))
    if (tables / "lds_overall.csv").exists() and (lds := overall_lds(tables / "lds_overall.csv", method)):
        said.append(lds_in_words(lds))
    return "; ".join(part for part in said if part) or None


def _found(table, method):
    """At how many steps any image is found, or that nothing could be judged; None without rows of the method."""
    judged, found, steps, targets = False, set(), set(), set()
    with open(table, newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["method"] != method:
                continue
            steps.add((row["target"], row["step"]))
            targets.add(row["target"])
            judged |= bool(row["found"])
            if row["found"] == "True":
                found.add((row["target"], row["step"]))
    if not steps:
        return None
    if not judged:
        return "no scores by checkpoint or half of the draws to tell influences from noise by"
    of = f" of {len(targets)} targets" if len(targets) > 1 else ""
    return f"found influences at {len(found)} of {len(steps)} step{'' if len(steps) == 1 else 's'}{of}"
