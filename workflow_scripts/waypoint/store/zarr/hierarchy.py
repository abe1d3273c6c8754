"""An experiment's folders as groups of one Zarr hierarchy, so that ``zarr.open_group(experiment)`` finds its stores.

A group is a file ``zarr.json`` in a folder, and says nothing but that there are stores below it.
"""

import contextlib
import json
import os
from pathlib import Path

from waypoint.store.artifacts.inventory import OTHERS

FILE = "zarr.json"
GROUP = {"zarr_format": 3, "node_type": "group", "attributes": {}}


def mark_groups(root, name):
    """Make groups of an experiment's folder and of those between it and one of its stores.

    In an experiment that is no group yet, also of those above the stores that are there.

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


def _stores(root):
    """Paths within an experiment of its finished stores."""
    for folder, inside, _ in os.walk(root):
        here = Path(folder).relative_to(root)
        stores = [name for name in inside if name.endswith(".zarr")]
        inside[:] = [name for name in inside if name not in stores and ".tmp-" not in name]
        if not here.parts:
            inside[:] = [name for name in inside if name not in OTHERS]
        yield from (here / name for name in stores)
