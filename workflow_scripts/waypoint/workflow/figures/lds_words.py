"""The LDS of a method in words, from tables/lds_overall.csv, read without pandas because every run ends with it."""

import csv


def overall_lds(path, method):
    """Return (mean, low, high) of a method's LDS over targets and steps with all its checkpoints, or None.

    Args:
        path: path of the table.
    """
    with open(path, newline="", encoding="utf-8") as table:
        rows = [row for row in csv.DictReader(table) if row["method"] == method]
    if not rows:
        return None
    row = max(rows, key=lambda row: float(row["checkpoints"] or 0))
    return tuple(float(row[column]) for column in ("mean", "low", "high"))


def lds_in_words(lds):
    """Return an LDS with its interval, and whether it is above zero, in words."""
    mean, low, high = (f"{value:.2f}".replace("-", "−") for value in lds)
    verdict = "above zero" if lds[1] > 0 else "below zero" if lds[2] < 0 else "not shown to be above zero"
    return f"LDS {mean} ({low} … {high}): {verdict}"
