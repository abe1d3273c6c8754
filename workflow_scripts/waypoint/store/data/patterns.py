"""Several files by one word: * ? [ ] as in a shell, and the braces of webdataset, shard-{000000..000012}.tar."""

import glob
import os
import re
from fnmatch import fnmatchcase
from pathlib import PurePath

from waypoint.errors import WaypointError

RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")
MOST = 1_000_000  # files of one pattern


def expanded(pattern):
    """The files that a path or a pattern names, in order; a path that exists is that file whatever signs are in it.

    Raises:
        WaypointError: there is no such file, or one of a range is missing.
    """
    if os.path.exists(pattern):
        return [pattern]
    if found := RANGE.search(pattern):
        first, last = found.groups()
        if not 0 <= int(last) - int(first) < MOST:
            raise WaypointError(
                f"data.path: {found.group()} in {pattern} is no range from a smaller to a larger number"
            )
        numbers = [f"{k:0{len(first)}}" for k in range(int(first), int(last) + 1)]
        return [file for k in numbers for file in expanded(pattern[: found.start()] + k + pattern[found.end() :])]
    files = sorted(glob.glob(pattern, recursive=True))
    if not files:
        what = "no file matches" if glob.has_magic(pattern) else "there is no"
        raise WaypointError(f"data.path: {what} {pattern}")
    return files


def is_pattern(path):
    """Whether a path names several files, unless there is one of that very name."""
    return bool(RANGE.search(path) or glob.has_magic(path))


def covers(place, path):
    """Whether a place of the configuration is a path that was read, the folder around it, or a pattern of it."""
    if place == path or PurePath(place) in PurePath(path).parents:
        return True
    return fnmatchcase(path, RANGE.sub("*", place))
