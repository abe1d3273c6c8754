"""Patterns that name several files: * ? [ ] as in a shell, and webdataset's braces, shard-{000000..000012}.tar."""

import glob
import os
import re
from fnmatch import fnmatchcase
from pathlib import PurePath

from waypoint.errors import WaypointError

RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")
MOST = 1_000_000  # files per pattern


def expanded(pattern: str) -> list[str]:
    """List the files that a path or a pattern names, in order; an existing path is never taken for a pattern.

    Raises:
        WaypointError: there is no such file, or a file of a range is missing.
    """
    if os.path.exists(pattern):
        return [pattern]
    if range_match := RANGE.search(pattern):
        first, last = range_match.groups()
        if not 0 <= int(last) - int(first) < MOST:
            raise WaypointError(
                f"data.path: {range_match.group()} in {pattern} is not a range from a smaller to a larger number"
            )
        numbers = [f"{k:0{len(first)}}" for k in range(int(first), int(last) + 1)]
        before, after = pattern[: range_match.start()], pattern[range_match.end() :]
        return [file for k in numbers for file in expanded(before + k + after)]
    files = sorted(glob.glob(pattern, recursive=True))
    if not files:
        problem = "no file matches" if glob.has_magic(pattern) else "there is no"
        raise WaypointError(f"data.path: {problem} {pattern}")
    return files


def is_pattern(path: str) -> bool:
    """Whether a path contains a pattern."""
    return bool(RANGE.search(path) or glob.has_magic(path))


def covers(place: str, path: str) -> bool:
    """Whether a place in the configuration is a path that was read, one of its parents, or a pattern for it."""
    if place == path or PurePath(place) in PurePath(path).parents:
        return True
    return fnmatchcase(path, RANGE.sub("*", place))
