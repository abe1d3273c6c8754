"""An experiment's folders as groups of one Zarr hierarchy, so that ``zarr.open_group(experiment)`` finds its stores.

A group is a file ``zarr.json`` in a folder, which only says that there are stores below it.
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

    Where the experiment is no group yet, also the folders above all its existing stores.

    Args:
        root: the experiment's folder. name: the store's path within it.
    """
    root, parts = Path(root), Path(name).parts
    if parts[0] in OTHERS:
        return
    names = [Path(name)] if (root / FILE).exists() else [Path(name), *_stores(root)]
    folders = {root / parent for store in names for parent in store.parents}
    for folder in sorted(folders, key=lambda folder: -len(folder.parts)):  # the root last: then all is marked
        if not (folder / FILE).exists():
            with contextlib.suppress(OSError):  # somebody else's folder; results are whole without it
                tmp = folder / f"{FILE}.tmp-{os.getpid()}"
                tmp.write_text(json.dumps(GROUP))
                os.replace(tmp, folder / FILE)


def _stores(root: Path) -> Iterator[Path]:
    """Paths within an experiment of its finished stores."""
    for folder, inside, _ in os.walk(root):
        here = Path(folder).relative_to(root)
        stores = [name for name in inside if name.endswith(".zarr")]
        inside[:] = [name for name in inside if name not in stores and ".tmp-" not in name]
        if not here.parts:
            inside[:] = [name for name in inside if name not in OTHERS]
        yield from (here / name for name in stores)
