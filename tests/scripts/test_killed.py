"""SIGKILL in the middle of a job: nothing half written, and the rerun equals an undisturbed run."""

import copy
import fcntl
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file
from support import SCRIPTS, run_script, script_arguments, script_path, tiny_config

from waypoint.store.zarr.reader import open_store
from waypoint.workflow.plan.plan import Plan

HERE = Path(__file__).parent


@pytest.fixture
def plan(tiny_model):
    return Plan(tiny_config(tiny_model))


@pytest.fixture
def data(plan, tmp_path):
    given = {"spec": plan.asked("prepare_data"), "places": json.dumps(plan.data_places)}
    run_script("prepare_data", **given, out=tmp_path / "train.zarr")
    return tmp_path / "train.zarr"


def killed(moment, count, script, /, **arguments):
    """The exit status of a run that dies at ``moment``."""
    command = [sys.executable, HERE / "killed.py", moment, str(count), script_path(script)]
    environment = {**os.environ, "PYTHONPATH": str(SCRIPTS)}
    command += script_arguments(script, **arguments)
    return subprocess.run(command, env=environment, capture_output=True, text=True).returncode


def training(plan):
    """The spec of a model of the full set, to be changed."""
    return copy.deepcopy(plan.spec("train", checkpoint="full/0"))


def weights(folder):
    return load_file(folder / "unet/diffusion_pytorch_model.safetensors")


def same(a, b):
    return a.keys() == b.keys() and all((a[key] == b[key]).all() for key in a)


@pytest.mark.parametrize(
    "moment,count", [("epoch", 1), ("epoch", 3), ("epoch", 5), ("save", 2), ("save", 5), ("model", 1), ("model", 2)]
)
def test_training_of_two_models_continues_after_a_kill(plan, data, tmp_path, moment, count):
    """Epochs 4-6 and saves 4-6 belong to the second model of the job."""

    def arguments(place):
        outs = [tmp_path / place / name for name in ("full-0", "full-1")]
        common = {"spec": training(plan), "data": data, "name": ["full/0", "full/1"]}
        return {**common, "resume": tmp_path / place / "resume", "out": outs}

    disturbed = arguments("disturbed")
    assert killed(moment, count, "train", **disturbed) == -signal.SIGKILL
    assert not any(out.exists() for out in disturbed["out"])
    epochs_kept = moment != "epoch" or count > 1
    assert bool(list((tmp_path / "disturbed/resume").rglob("state.pt"))) == epochs_kept
    run_script("train", **disturbed)
    undisturbed = arguments("undisturbed")
    run_script("train", **undisturbed)
    for a, b in zip(disturbed["out"], undisturbed["out"]):
        assert same(weights(a), weights(b)) and (a / "loss.csv").read_text() == (b / "loss.csv").read_text()
    assert not (tmp_path / "disturbed/resume").exists()


def test_a_finished_epoch_is_not_trained_again(plan, data, tmp_path):
    arguments = {"spec": training(plan), "data": data, "name": ["full/0"], "resume": tmp_path / "resume"}
    arguments["out"] = [tmp_path / "model"]
    assert killed("epoch", 3, "train", **arguments) == -signal.SIGKILL
    run_script("train", **arguments, log=tmp_path / "log")
    assert "full/0: resumes after epoch 2" in (tmp_path / "log").read_text()


def test_nothing_begun_with_other_settings_is_used(plan, data, tmp_path):
    """Killed in the second model: neither the first, finished one nor the second's state may be taken up."""
    outs = [tmp_path / "a", tmp_path / "b"]
    arguments = {"data": data, "name": ["full/0", "full/1"], "resume": tmp_path / "resume", "out": outs}
    assert killed("epoch", 6, "train", spec=training(plan), **arguments) == -signal.SIGKILL
    other = training(plan)
    other["train"]["training"]["epochs"] = 2
    run_script("train", spec=other, **arguments, log=tmp_path / "log")
    assert "resumes" not in (tmp_path / "log").read_text()
    assert [len((out / "loss.csv").read_text().splitlines()) for out in outs] == [3, 3]


def test_nothing_begun_with_other_images_is_used(plan, data, tmp_path):
    outs = [tmp_path / "a", tmp_path / "b"]
    arguments = {"data": data, "name": ["full/0", "full/1"], "resume": tmp_path / "resume", "out": outs}
    assert killed("epoch", 6, "train", spec=training(plan), **arguments) == -signal.SIGKILL
    half = training(plan) | {"item": {"images": {"subset": 0, "fraction": 0.5}}}
    run_script("train", spec=half, **arguments, log=tmp_path / "log")
    assert "resumes" not in (tmp_path / "log").read_text()
    assert [json.loads((out / "waypoint.json").read_text())["images"] for out in outs] == [15, 15]


def test_a_second_process_does_not_train_the_same_model(plan, data, tmp_path):
    (tmp_path / "resume/full-0").mkdir(parents=True)
    with open(tmp_path / "resume/full-0/lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        arguments = {"data": data, "name": ["full/0"], "resume": tmp_path / "resume", "out": [tmp_path / "a"]}
        with pytest.raises(SystemExit):
            run_script("train", spec=training(plan), **arguments, log=tmp_path / "log")
    assert "is locked: another process is training this model" in (tmp_path / "log").read_text()


@pytest.mark.parametrize("count", [1, 2, 4])
def test_featurizing_after_a_kill_equals_an_undisturbed_run(plan, data, tmp_path, count):
    spec, model = training(plan), tmp_path / "model"
    run_script("train", spec=spec, data=data, name=["full/0"], resume=tmp_path / "resume", out=[model])
    spec = plan.asked("featurize", basis="plain", checkpoint="full/0")
    common = {"spec": spec, "data": data, "checkpoint": model, "name": "full/0"}
    out = tmp_path / "phi.zarr"
    assert killed("put", count, "featurize", **common, out=out) == -signal.SIGKILL
    assert not out.exists()
    assert killed("never", 0, "featurize", **common, out=out) == 0
    assert killed("never", 0, "featurize", **common, out=tmp_path / "undisturbed.zarr") == 0
    assert (open_store(out)["phi"][:] == open_store(tmp_path / "undisturbed.zarr")["phi"][:]).all()
    assert not list(tmp_path.glob("*.tmp-*"))
