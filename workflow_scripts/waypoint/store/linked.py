"""A finished store under a second path."""

import os
import shutil
import warnings
from pathlib import Path

import zarr

from .whole import whole_directory


def link_store(source, path, attributes):
    """The arrays of a finished store also at ``path``, under attributes of their own (a function, called last).

    Chunks are hard links, so that they take no space twice; copies where the file system has no links.
    """
    with whole_directory(path) as tmp, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Consolidated metadata")
        # hidden files are not the store's: Snakemake's time stamp, were it linked, would be one for both
        shutil.copytree(
            source, tmp, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".*"), copy_function=_link_or_copy
        )
        zarr.open_group(tmp, mode="r+").attrs.put(attributes())
        zarr.consolidate_metadata(tmp)


def _link_or_copy(source, path):
    if Path(source).name != "zarr.json":  # metadata is written anew
        try:
            return os.link(source, path)
        except OSError:
            pass
    shutil.copyfile(source, path)
