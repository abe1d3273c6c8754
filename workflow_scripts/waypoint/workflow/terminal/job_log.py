"""Parsing of a job's log: its progress, its warnings, and the sentence with which it failed."""

import os
import re

TAIL = 8192  # bytes, ample for a progress line or a sentence with the lines below it
SAYS, WARNS = "Waypoint: ", "Waypoint: warning: "
PROGRESS = re.compile(r"^progress (?P<done>\S+)/(?P<total>\S+) (?P<unit>\S+) rate=\S+ eta=(?P<eta>[0-9.]+)s", re.M)


def tail(path, since=0.0):
    """Return the last lines of a log, or an empty string if nothing was written since the time ``since``."""
    try:
        with open(path, "rb") as log:
            if _is_old(log, since):
                return ""
            log.seek(max(os.fstat(log.fileno()).st_size - TAIL, 0))
            return log.read().decode("utf-8", "replace")
    except OSError:
        return ""


def progress(text):
    """Return ('done/total unit', seconds left) of the last progress line, or None."""
    lines = list(PROGRESS.finditer(text))
    return ("{done}/{total} {unit}".format(**lines[-1].groupdict()), float(lines[-1]["eta"])) if lines else None


def warnings(path, since=0.0):
    """Return the distinct warnings of a log in order, or none if nothing was written since the time ``since``."""
    try:
        with open(path, encoding="utf-8", errors="replace") as log:
            if _is_old(log, since):
                return []
            return list(dict.fromkeys(line.removeprefix(WARNS).strip() for line in log if line.startswith(WARNS)))
    except OSError:
        return []


def sentence(text):
    """Return the sentence with which a job failed, from the last line that begins with 'Waypoint: ', or None."""
    lines = text.rstrip().splitlines()
    starts = [k for k, line in enumerate(lines) if line.startswith(SAYS) and not line.startswith(WARNS)]
    return "\n".join(lines[starts[-1] :]) if starts else None


def _is_old(log, since):
    """Return whether a log is from an earlier run: it stays until its job has imported its libraries and reopens it."""
    return os.fstat(log.fileno()).st_mtime < since - 1
