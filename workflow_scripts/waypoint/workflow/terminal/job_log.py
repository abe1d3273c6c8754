"""Reads a job's log for people: its progress, its warnings, and the sentence that it failed with."""

import os
import re

TAIL = 8192  # bytes: a progress line is short, a sentence with the lines below it hardly longer
SAYS, WARNS = "Waypoint: ", "Waypoint: warning: "
PROGRESS = re.compile(r"^progress (?P<done>\S+)/(?P<total>\S+) (?P<unit>\S+) rate=\S+ eta=(?P<eta>[0-9.]+)s", re.M)


def tail(path, since=0.0):
    """The last lines of a log, or an empty string where nothing was written since then."""
    try:
        with open(path, "rb") as log:
            if _old(log, since):
                return ""
            log.seek(max(os.fstat(log.fileno()).st_size - TAIL, 0))
            return log.read().decode("utf-8", "replace")
    except OSError:
        return ""


def progress(text):
    """('done/total unit', seconds left) of the last progress line, or None."""
    lines = list(PROGRESS.finditer(text))
    return ("{done}/{total} {unit}".format(**lines[-1].groupdict()), float(lines[-1]["eta"])) if lines else None


def warnings(path, since=0.0):
    """Every warning in a log that somebody has written into since then, each once, in their order."""
    try:
        with open(path, encoding="utf-8", errors="replace") as log:
            if _old(log, since):
                return []
            return list(dict.fromkeys(line.removeprefix(WARNS).strip() for line in log if line.startswith(WARNS)))
    except OSError:
        return []


def sentence(text):
    """The sentence with which a job failed, from the last line that begins with 'Waypoint: ' on, or None."""
    lines = text.rstrip().splitlines()
    begins = [k for k, line in enumerate(lines) if line.startswith(SAYS) and not line.startswith(WARNS)]
    return "\n".join(lines[begins[-1] :]) if begins else None


def _old(log, since):
    """Whether a log is an earlier run's: it stays until its job, which first imports its libraries, opens it anew."""
    return os.fstat(log.fileno()).st_mtime < since - 1
