"""Folders and files with checksums: whatever byte changes, they are refused by name."""

import json
import random

import pytest
from support import tiny_denoiser

from waypoint.errors import WaypointError
from waypoint.store.artifacts.atomic import atomic_file
from waypoint.store.artifacts.checksums import require_intact, rewrite_marker, write_marker
from waypoint.store.artifacts.fingerprint import weights_hash
from waypoint.store.artifacts.provenance import MARKER, read_attributes
from waypoint.store.networks import checkpoints


@pytest.fixture
def model(tmp_path, tiny_model):
    """A model's folder as a job writes it."""
    denoiser, folder = tiny_denoiser(tiny_model), tmp_path / "model"
    checkpoints.save(denoiser.unet, denoiser.scheduler, folder)
    (folder / "loss.csv").write_text("epoch,loss\n1,0.5\n")
    write_marker(folder, {"spec": {}, "weights": weights_hash(folder)})
    return folder


@pytest.fixture
def table(tmp_path):
    with atomic_file(tmp_path / "lds.csv", lambda: {"spec": {}}) as tmp:
        tmp.write_text("method,lds\ntrak,0.5\n")
    return tmp_path / "lds.csv"


def damage(file, how, seed):
    raw, rng = bytearray(file.read_bytes()), random.Random(seed)
    if how == "flip":
        raw[rng.randrange(len(raw))] ^= 1 << rng.randrange(8)
    elif how == "truncate":
        del raw[rng.randrange(len(raw)) :]
    file.write_bytes(raw) if how != "remove" else file.unlink()


@pytest.mark.parametrize("name", ["unet/config.json", "unet/diffusion_pytorch_model.safetensors", "model_index.json"])
@pytest.mark.parametrize("how", ["flip", "truncate", "remove"])
def test_a_damaged_model_is_refused_by_the_file(model, name, how):
    checkpoints.load(model)
    damage(model / name, how, seed=0)
    with pytest.raises(WaypointError, match=rf"{name} is (damaged|missing).*; delete {model} and rerun"):
        checkpoints.load(model)


def test_a_setting_that_changes_no_shape_is_noticed(model):
    """Its weights still fill it exactly."""
    file = model / "scheduler/scheduler_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "beta_end": 0.03}))
    with pytest.raises(WaypointError, match="scheduler_config.json is damaged"):
        checkpoints.load(model)


def test_a_loss_curve_may_be_edited_and_files_may_be_added(model):
    (model / "loss.csv").unlink()
    (model / ".snakemake_timestamp").touch()
    (model / "notes.txt").write_text("mine")
    checkpoints.load(model)


def test_somebody_elses_model_has_no_checksums(model):
    (model / "waypoint.json").unlink()
    index = model / "model_index.json"
    index.write_text(index.read_text() + "\n")
    checkpoints.load(model)


@pytest.mark.parametrize("seed", range(5))
def test_a_damaged_table_is_refused(table, seed):
    require_intact(table)
    damage(table, "flip", seed)
    with pytest.raises(WaypointError, match="lds.csv is damaged .*; delete .*lds.csv and rerun"):
        require_intact(table)


def test_a_table_of_the_users_has_no_checksums(tmp_path):
    (tmp_path / "own.csv").write_text("a\n1\n")
    require_intact(tmp_path / "own.csv")


def test_a_finished_folder_gets_other_attributes_and_keeps_its_files(model):
    made = read_attributes(model)
    rewrite_marker(model, {**made, "identity": "new"})
    assert read_attributes(model) == {**made, "identity": "new"}
    assert not list(model.glob(f"{MARKER}.tmp-*"))
    checkpoints.load(model)


def test_attributes_that_cannot_be_written_leave_the_old_ones(model, monkeypatch):
    made = read_attributes(model)

    def failing(source, to):
        raise OSError("no space")

    monkeypatch.setattr("os.replace", failing)
    with pytest.raises(OSError, match="no space"):
        rewrite_marker(model, {**made, "identity": "new"})
    assert read_attributes(model) == made
