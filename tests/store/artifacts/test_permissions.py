"""A store that cannot be written is refused with one sentence, before anything in it is touched."""

import os
import pwd
from pathlib import Path

import pytest

from waypoint.errors import WaypointError
from waypoint.store.artifacts import permissions
from waypoint.store.artifacts.permissions import require_writable


@pytest.fixture
def store(tmp_path, monkeypatch):
    """A store of which some folders cannot be written; the user that runs tests may be allowed everything."""
    (tmp_path / "e/logs").mkdir(parents=True)
    (tmp_path / "e/scores/trak/a.zarr").mkdir(parents=True)
    closed = set()
    monkeypatch.setattr(permissions.os, "access", lambda folder, mode: str(folder) not in closed)
    return tmp_path / "e", closed


def test_what_can_be_written_is_not_spoken_of(store):
    root, _ = store
    require_writable([root / "logs/x.log", root / "scores/trak/a.zarr", root / "new/folder/x.csv"], "s", 3)


@pytest.mark.parametrize("closed", ["logs", "scores/trak", "scores/trak/a.zarr", "."])
def test_a_closed_folder_is_named_and_a_store_of_ones_own_offered(store, closed):
    root, folders = store
    folders.add(str(root / closed))
    paths = [root / "logs/x.log", root / "scores/trak/a.zarr", root / "tables/x.csv"]
    with pytest.raises(WaypointError) as refused:
        require_writable(paths, "results", 3)
    text = str(refused.value)
    assert text.startswith(f"{root / closed} cannot be written") and "3 planned jobs" in text
    assert "store: [mine, results]" in text and "\n" not in text
    require_writable([root / "scores/other.zarr"] if closed not in (".",) else [], "results", 1)


def test_a_file_in_a_folders_place_is_named(tmp_path):
    (tmp_path / "logs").write_text("")
    with pytest.raises(WaypointError, match="logs is not a folder"):
        require_writable([tmp_path / "logs/a/x.log"], "results", 1)


def test_the_owner_is_named_where_it_is_somebody_else(tmp_path, monkeypatch):
    assert permissions.owner(tmp_path) == ""
    monkeypatch.setattr(permissions.os, "geteuid", lambda: 12345)
    name = pwd.getpwuid(os.stat(tmp_path).st_uid).pw_name
    assert permissions.owner(tmp_path) == f" (it belongs to {name})"
    assert permissions.owner(Path("nowhere")) == ""
