"""Functions of zarr whose types pyright cannot infer, with the types relied on here."""

# pyright: reportUnknownMemberType=false

from typing import Literal

import zarr

from waypoint.store.types import StrPath


def open_group(path: StrPath, mode: Literal["r", "r+"] = "r") -> zarr.Group:
    """Open an existing group."""
    return zarr.open_group(path, mode=mode)


def create_group(path: StrPath) -> zarr.Group:
    """Create a group of Zarr format 3 in a folder that contains none."""
    return zarr.open_group(path, mode="w-", zarr_format=3)


def consolidate_metadata(path: StrPath) -> None:
    """Copy the metadata of a group's arrays into the group's own file."""
    zarr.consolidate_metadata(path)
