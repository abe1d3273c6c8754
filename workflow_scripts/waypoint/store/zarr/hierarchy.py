"""An experiment's folders as groups of one Zarr hierarchy, so that ``zarr.open_group(experiment)`` finds its stores.

A file ``zarr.json`` makes a folder a group; it says only that there are stores below.
"""

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

from waypoint.store.artifacts.inventory import OTHERS
from waypoint.store.types import Attributes, StrPath

FILE = "zarr.json"
GROUP: Attributes = {"zarr_format": 3, "node_type": "group", "attributes": {}}


def mark_groups(root: StrPath, name: StrPath) -> None:
    """Turn an experiment's folder, and the folders between it and one of its stores, into groups.

    If the experiment is not a group yet, also turn the folders above all its existing stores into groups.

    Args:
        root: the experiment's folder. name: the store's path within it.
    """
    root, parts = Path(root), Path(name).parts
    if parts[0] in OTHERS:
        return
    names = [Path(name)] if (root / FILE).exists() else [Path(name), *_stores(root)]
    folders = {root / parent for store in names for parent in store.parents}
    for folder in sorted(folders, key=lambda folder: -len(folder.parts)):  # root last: it marks completion
        if not (folder / FILE).exists():
            with contextlib.suppress(OSError):  # somebody else's folder; results are complete without it
                tmp = folder / f"{FILE}.tmp-{os.getpid()}"
                tmp.write_text(json.dumps(GROUP))
                os.replace(tmp, folder / FILE)


def _stores(root: Path) -> Iterator[Path]:
    """Yield the paths of an experiment's finished stores, relative to it."""
    for folder, subfolders, _ in os.walk(root):
        relative = Path(folder).relative_to(root)
        stores = [name for name in subfolders if name.endswith(".zarr")]
        subfolders[:] = [name for name in subfolders if name not in stores and ".tmp-" not in name]
        if not relative.parts:
            subfolders[:] = [name for name in subfolders if name not in OTHERS]
        yield from (relative / name for name in stores)
