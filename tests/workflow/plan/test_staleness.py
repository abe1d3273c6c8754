"""Nothing stale is ever used: artifacts and raw data are compared with the configuration before any job."""

import copy
import os
import time

import numpy as np
import pytest
from support import UNET

from waypoint.errors import WaypointError
from waypoint.store.artifacts.fingerprint import source_record
from waypoint.store.zarr.writer import create_store
from waypoint.workflow.config.complete import complete
from waypoint.workflow.plan.plan import Plan
from waypoint.workflow.plan.stages import VERSIONS
from waypoint.workflow.plan.staleness import refuse_changed_source, refuse_stale

BASE = {
    "experiment": "test",
    "data": {"source": "digits"},
    "model": {"unet": UNET},
    "checkpoints": {"count": 1},
    "targets": [{"id": "a", "seed": 1}],
}


def plan(change=lambda c: None):
    made = copy.deepcopy(BASE)
    change(made)
    return Plan(complete(made))


def artifact(path, **attributes):
    with create_store(path, lambda: attributes):
        pass
    return path


# ---- artifacts


def test_an_artifact_of_these_settings_is_used(tmp_path):
    spec = plan().kernel("full/0")
    refuse_stale(artifact(tmp_path / "0.zarr", spec=spec), spec)


def test_what_is_not_there_is_not_stale(tmp_path):
    refuse_stale(tmp_path / "0.zarr", plan().kernel("full/0"))


def test_an_artifact_of_other_settings_is_refused(tmp_path):
    made, wanted = (plan(lambda c, d=d: c.update(kernel={"damping": d})).kernel("full/0") for d in (0.1, 0.2))
    stored = artifact(tmp_path / "0.zarr", spec=made)
    with pytest.raises(WaypointError) as caught:
        refuse_stale(stored, wanted)
    for word in (str(stored), "kernel.damping = 0.1", "0.2", "another experiment name", "delete"):
        assert word in str(caught.value)


def test_an_artifact_of_another_stage_version_is_refused(tmp_path):
    spec = plan().kernel("full/0")
    stored = artifact(tmp_path / "0.zarr", spec={**spec, "versions": {**spec["versions"], "features": 0}})
    with pytest.raises(WaypointError, match=f"stage version features = 0, this run has {VERSIONS['features']}"):
        refuse_stale(stored, spec)


def test_a_figure_and_a_table_are_compared_too(tmp_path):
    (tmp_path / "trak.png").touch()
    (tmp_path / ".trak.png.json").write_text('{"spec": {"figures": {"top": 9}}}')
    with pytest.raises(WaypointError, match="figures.top = 9"):
        refuse_stale(tmp_path / "trak.png", plan().panel("a"))


def own_trajectory(c):
    c["targets"] = [{"id": "a", "trajectory": "own.npz", "steps": [100]}]


def own_trajectory_seeded(c):
    c["targets"] = [{"id": "a", "seed": 1, "steps": [100]}]


@pytest.mark.parametrize(
    "stage, name, before, after, key",
    [
        ("train", "full/0", lambda c: None, lambda c: c["model"]["unet"].update(dropout=0.1), r"model\.unet\.dropout"),
        ("train", "full/0", lambda c: c["model"]["unet"].update(dropout=0.1), lambda c: None, r"model\.unet\.dropout"),
        ("train", "full/0", lambda c: None, lambda c: c.update(checkpoints={"paths": ["m"]}), "checkpoint|training"),
        ("kernel", "full/0", lambda c: c.update(checkpoints={"paths": ["m"]}), lambda c: None, "checkpoint|training"),
        ("trajectory", "a", own_trajectory_seeded, own_trajectory, r"target\.(seed|trajectory)"),
        ("gradients", "a", own_trajectory, own_trajectory_seeded, r"target\.(seed|trajectory)"),
    ],
    ids=["key added", "key left out", "imported", "trained", "own trajectory", "seed"],
)
def test_a_key_that_only_one_side_has_is_a_difference(tmp_path, monkeypatch, stage, name, before, after, key):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m").mkdir()
    np.savez("own.npz", x_t=np.zeros((1, 1, 8, 8)), step=np.array([100]))
    stored = artifact(tmp_path / "0.zarr", spec=getattr(plan(before), stage)(name))
    with pytest.raises(WaypointError, match=f"{stored}.*({key})"):
        refuse_stale(stored, getattr(plan(after), stage)(name))


def test_a_store_of_someone_else_is_refused(tmp_path):
    with pytest.raises(WaypointError, match="0.zarr"):
        refuse_stale(artifact(tmp_path / "0.zarr", made_by="another program"), plan().data())


# ---- raw data


@pytest.fixture
def file(tmp_path):
    """A raw file and the store that was read from it."""
    raw = tmp_path / "raw.npz"
    raw.write_bytes(b"content")
    return raw, artifact(tmp_path / "of_file.zarr", spec={}, source=source_record([raw]))


@pytest.fixture
def folder(tmp_path):
    """A raw folder and the store that was read from it."""
    raw = tmp_path / "raw"
    for name in ("cat/a.png", "dog/b.png", "c.png"):
        (raw / name).parent.mkdir(parents=True, exist_ok=True)
        (raw / name).write_bytes(name.encode())
    return raw, artifact(tmp_path / "of_folder.zarr", spec={}, source=source_record([raw]))


def later(path, seconds=10):
    """As if the file had been written after the store."""
    now = os.stat(path).st_mtime + seconds
    os.utime(path, (now, now))


def refused(raw, stored):
    with pytest.raises(WaypointError) as caught:
        refuse_changed_source(stored, [str(raw)])
    for word in (str(raw), "changed", str(stored), "another experiment name", "delete"):
        assert word in str(caught.value)


def test_an_untouched_source_is_accepted(file, folder):
    for raw, stored in (file, folder):
        refuse_changed_source(stored, [str(raw)])


def test_a_touched_source_is_accepted(file, folder):
    later(file[0])
    later(folder[0] / "cat/a.png")
    later(folder[0])
    for raw, stored in (file, folder):
        refuse_changed_source(stored, [str(raw)])


def test_an_untouched_source_is_not_read_again(file, monkeypatch):
    monkeypatch.setattr("waypoint.workflow.plan.staleness.content_hash", lambda sources: pytest.fail("read"))
    refuse_changed_source(file[1], [str(file[0])])  # reading all images at every start would take minutes


def test_a_changed_file_is_refused(file):
    file[0].write_bytes(b"contenT")
    later(file[0])
    refused(*file)


def test_a_file_replaced_by_an_older_one_is_refused(file):
    other = file[0].with_name("other.npz")
    other.write_bytes(b"contenT")
    later(other, -3600)
    other.replace(file[0])  # mv keeps the modification time
    refused(*file)


@pytest.mark.parametrize(
    "change",
    [
        lambda raw: (raw / "cat/new.png").touch(),
        lambda raw: (raw / "new.png").touch(),
        lambda raw: (raw / "cat/a.png").write_bytes(b"longer than before"),
        lambda raw: (raw / "cat/a.png").write_bytes(b"cat/b.png"),
        lambda raw: (raw / "cat/a.png").unlink(),
        lambda raw: (raw / "c.png").unlink(),
        lambda raw: (raw / "c.png").rename(raw / "d.png"),
        lambda raw: (raw / "cat/a.png").rename(raw / "dog/a.png"),
    ],
    ids=["added in class", "added", "rewritten", "same size", "deleted in class", "deleted", "renamed", "moved"],
)
def test_a_changed_folder_is_refused(folder, change):
    time.sleep(0.03)  # longer than a tick of the file system's clock
    change(folder[0])
    refused(*folder)


def test_without_a_source_or_a_store_there_is_nothing_to_compare(tmp_path, file):
    later(file[0])
    refuse_changed_source(file[1], [])
    refuse_changed_source(tmp_path / "absent.zarr", [str(file[0])])
    refuse_changed_source(artifact(tmp_path / "digits.zarr", spec={}, source=None), [str(file[0])])
