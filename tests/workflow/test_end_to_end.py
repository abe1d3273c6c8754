"""One tiny experiment through Snakemake, then what reruns when something changes, as in the design's table.

The run is made once; the dry runs that follow see its store and Snakemake's records.
"""

import copy
import json
import os
import re
import shutil
import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from support import SCRIPTS
from workspace import CONFIG, REPOSITORY, Workspace, panels, scores


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    workspace = Workspace(tmp_path_factory.mktemp("tiny") / "work", CONFIG)
    done = workspace.snakemake()
    assert done.returncode == 0, done.stdout + done.stderr
    workspace.output = done.stdout + done.stderr
    return workspace


@pytest.fixture
def copied(tiny, tmp_path):
    """A copy that a test may damage; times and records are kept."""
    shutil.copytree(tiny.folder, tmp_path / "work", symlinks=True, copy_function=shutil.copy2)
    return Workspace(tmp_path / "work", copy.deepcopy(CONFIG))


TABLES = ["top_influences"]


def test_run_says_where_the_results_are(tiny):
    assert "Everything is in store/tiny/" in tiny.output
    for part in ("figures/*/*.png", "pandas.read_csv(", "xarray.open_zarr(", "report.zip"):
        assert part in tiny.output


def test_closing_commands_work(tiny):
    for command in re.findall(r'-c "(.*)"$', tiny.output, re.M):
        done = subprocess.run([sys.executable, "-c", command], cwd=tiny.folder, capture_output=True, text=True)
        assert done.returncode == 0 and done.stdout, done.stderr


def test_scores_open_in_xarray_and_pandas_without_a_warning(tiny):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = xr.open_zarr(tiny.store / "scores/trak/a.zarr")
    frame = found["score"].to_dataframe()
    assert frame.index.names == ["step", "train"] and len(frame) == 2 * 40
    assert list(found["score"].to_pandas().index) == [100, 500]
    each = found["score_by_checkpoint"]
    assert each.dims == ("checkpoint", "step", "train") and list(each["checkpoint"].values) == ["full/0", "full/1"]
    assert np.allclose(each.mean("checkpoint"), found["score"], atol=1e-6 * abs(found["score"]).max())
    assert np.allclose(each.std("checkpoint", ddof=1) / 2**0.5, found["score_se"], rtol=1e-3)


def test_every_array_has_named_dimensions_and_provenance(tiny):
    shapes = {
        "data/train.zarr": {"image": ("train", "channel", "y", "x"), "label": ("train",)},
        "features/full/0.zarr": {"phi": ("train", "feature")},
        "kernels/full/1.zarr": {"gram": ("row", "column"), "factor": ("row", "column")},
        "targets/a/trajectory.zarr": {"x_t": ("step", "channel", "y", "x"), "x0_hat": ("step", "channel", "y", "x")},
        "targets/b/gradients.zarr": {"g": ("checkpoint", "step", "feature")},
        "scores/pixel/a.zarr": {"score": ("step", "train")},
        "scores/random/b.zarr": {"score": ("step", "train")},
    }
    for path, arrays in shapes.items():
        found = xr.open_zarr(tiny.store / path)
        for name, dims in arrays.items():
            assert found[name].dims == dims, path
        for key in ("stage", "spec", "packages", "commit", "device", "seconds", "peak_memory_mb"):
            assert key in found.attrs, (path, key)
    assert json.loads((tiny.store / "checkpoints/full/0/waypoint.json").read_text())["stage"] == "train"


def test_table_lists_top_images_by_rank(tiny):
    table = pd.read_csv(tiny.store / "tables/top_influences.csv")
    assert list(table) == ["method", "target", "step", "rank", "sign", "train", "score", "score_se", "label"]
    assert set(table.method) == {"trak", "pixel", "random"} and set(table.target) == {"a", "b"}
    row = table.query("method == 'trak' and target == 'a' and step == 500 and sign == '+' and `rank` == 1").iloc[0]
    score = xr.open_zarr(tiny.store / "scores/trak/a.zarr")["score"].sel(step=500)
    assert row.train == np.argmax(score.values) and np.isclose(row.score, float(score.max()), rtol=1e-5)


def test_loss_curve_is_stored(tiny):
    curve = pd.read_csv(tiny.store / "checkpoints/full/0/loss.csv")
    assert list(curve.epoch) == [1, 2] and np.isfinite(curve.loss).all()


def test_nothing_is_left_over(tiny):
    assert not (tiny.store / "resume").exists() and not list(tiny.store.rglob("*.tmp-*"))


def test_second_run_plans_nothing(tiny):
    assert tiny.planned() == []


def test_added_target_plans_only_its_jobs_and_the_tables(tiny):
    more = tiny.changed(targets=[*CONFIG["targets"], {"id": "c", "seed": 3}])
    expected = ["sample_trajectory target=c", "target_gradients target=c", *scores("c"), *panels("c"), *TABLES]
    assert more.planned() == sorted(expected)


def test_added_checkpoint_plans_its_stages_and_what_reads_them(tiny):
    expected = [f"{rule} checkpoint=full/2" for rule in ("train", "featurize", "factor_kernel")]
    expected.append("plot_regions target=b")
    for target in "ab":
        expected += [f"target_gradients target={target}", f"score_trak target={target}", panels(target)[2]]
    assert tiny.changed(checkpoints={"count": 3}).planned() == sorted(expected + TABLES)


def test_added_step_plans_gradients_and_scores_of_its_target(tiny):
    rows = copy.deepcopy(CONFIG["targets"])
    rows[0]["steps"] = [100, 300, 500]
    expected = ["target_gradients target=a", *scores("a"), *panels("a"), *TABLES]
    assert tiny.changed(targets=rows).planned() == sorted(expected)


def test_damping_plans_kernels_and_scores(tiny):
    expected = [f"factor_kernel checkpoint=full/{m}" for m in (0, 1)] + TABLES + ["plot_regions target=b"]
    for target in "ab":
        expected += [f"score_trak target={target}", f"trajectory_panel target={target}, method=trak"]
    # panels of other methods read the same data and stay
    assert tiny.changed(kernel={"damping": 0.5}).planned() == sorted(expected)


def test_deleted_features_plan_themselves_and_what_follows(copied):
    shutil.rmtree(copied.store / "features/full/1.zarr")
    expected = ["featurize checkpoint=full/1", "factor_kernel checkpoint=full/1", *TABLES, "plot_regions target=b"]
    for target in "ab":
        expected += [f"score_trak target={target}", f"trajectory_panel target={target}, method=trak"]
    assert copied.planned() == sorted(expected)


def test_deleted_trajectory_is_asked_for_again(copied):
    shutil.rmtree(copied.store / "targets/a/trajectory.zarr")
    planned = copied.planned()
    assert "sample_trajectory target=a" in planned and "target_gradients target=a" in planned
    assert not [job for job in planned if "target=b" in job or "featurize" in job or "train" == job.split()[0]]


@pytest.fixture
def clone(tmp_path):
    """A fresh clone of the workflow: new modification times everywhere."""
    for part in ("rules", "workflow_scripts", "schemas", "envs", "docs"):
        shutil.copytree(REPOSITORY / part, tmp_path / "clone" / part, copy_function=shutil.copy)
    shutil.copy(REPOSITORY / "Snakefile", tmp_path / "clone")
    return tmp_path / "clone"


def test_fresh_clone_and_a_comment_plan_nothing(tiny, clone):
    for file in clone.rglob("*.py"):
        file.write_text(file.read_text() + "# another comment\n")
    assert tiny.planned("-s", str(clone / "Snakefile")) == []


def test_raised_stage_version_plans_the_stage_and_what_follows(tiny, clone):
    stages = clone / "workflow_scripts/waypoint/workflow/plan/stages.py"
    stages.write_text(stages.read_text().replace('"kernel": 1', '"kernel": 2'))
    rules = {job.split()[0] for job in tiny.planned("-s", str(clone / "Snakefile"))}
    assert rules == {"factor_kernel", "score_trak", "trajectory_panel", "plot_regions", "top_influences"}


def test_second_working_directory_on_the_same_store_plans_nothing(tiny, tmp_path):
    other = Workspace(tmp_path / "other", {**CONFIG, "store": str(tiny.folder / "store")})
    assert other.planned() == []


@pytest.mark.parametrize(
    "section,key,old",
    [
        ({"projection": {"dim": 32}}, "projection.dim", "16"),
        ({"training": {**CONFIG["training"], "epochs": 3}}, "training.epochs", "2"),
        ({"kernel": {"damping": 0.7}}, "kernel.damping", "0.03"),
        ({"targets": [{"id": "a", "trajectory": "own.npz"}]}, "target.seed", "1"),
        ({"targets": [{"id": "a", "seed": 2}]}, "target.seed", "1"),
        ({"checkpoints": {"paths": ["existing"]}}, "checkpoint", "'nothing'"),
    ],
    ids=lambda value: json.dumps(value) if isinstance(value, dict) else "",
)
def test_changed_setting_from_another_working_directory_is_refused(tiny, tmp_path, section, key, old):
    """It has no Snakemake records, and must not be served the old arrays."""
    other = Workspace(tmp_path / "other", {**CONFIG, "store": str(tiny.folder / "store"), **section})
    np.savez(other.folder / "own.npz", x_t=np.zeros((2, 1, 8, 8)), step=[100, 500])
    shutil.copytree(tiny.store / "checkpoints/full/0", other.folder / "existing")
    done = other.snakemake("-n")
    text = done.stdout + done.stderr
    assert done.returncode != 0 and "Traceback" not in text and "Exception" not in text
    assert f"was made with {key} = {old}" in text and "another experiment name, or delete" in text
    assert other.planned("--forceall")


def test_what_a_refusal_asks_to_delete_may_be_deleted(copied, tmp_path):
    other = Workspace(tmp_path / "other", {**CONFIG, "store": str(copied.folder / "store"), "tables": {"top": 3}})
    refused = other.snakemake("-n")
    assert "top_influences.csv was made with tables.top = 20" in refused.stdout + refused.stderr
    (copied.store / "tables/top_influences.csv").unlink()
    assert other.planned() == ["top_influences"]


def test_changed_raw_data_is_refused_but_not_touched_or_missing_data(tmp_path):
    """What is in the store needs no raw data any more."""
    source = tmp_path / "raw.npz"
    np.savez(source, image=np.zeros((20, 8, 8), np.uint8), label=np.arange(20))
    workspace = Workspace(tmp_path / "work", {**copy.deepcopy(CONFIG), "data": {"source": "npz", "path": str(source)}})
    assert workspace.snakemake("store/tiny/data/train.zarr").returncode == 0
    source.touch()
    assert workspace.planned("store/tiny/data/train.zarr") == []
    source.rename(tmp_path / "away.npz")
    assert workspace.planned("store/tiny/data/train.zarr") == []
    np.savez(source, image=np.zeros((20, 8, 8), np.uint8), label=np.arange(20)[::-1])
    refused = workspace.snakemake("-n", "store/tiny/data/train.zarr")
    assert refused.returncode != 0 and "raw.npz changed since" in refused.stdout + refused.stderr


def test_settings_changed_by_somebody_else_are_noticed(copied, tmp_path):
    """Our records say that all is well, but another working directory has remade an artifact since."""
    other = Workspace(
        tmp_path / "other", {**CONFIG, "store": str(copied.folder / "store"), "kernel": {"damping": 0.7}}, warm=True
    )
    for path in ("kernels", "scores/trak"):
        shutil.rmtree(copied.store / path)
    other.config["methods"] = ["trak"]
    done = other.snakemake("scores")
    assert done.returncode == 0, done.stdout + done.stderr
    refused = copied.snakemake("-n")
    assert refused.returncode != 0 and "kernel.damping = 0.7, this run has 0.03" in refused.stdout + refused.stderr


def test_mtime_only_triggers_do_not_serve_old_arrays(tiny):
    done = tiny.changed(kernel={"damping": 0.5}).snakemake("-n", "--rerun-triggers", "mtime")
    assert done.returncode != 0 and "kernel.damping" in done.stdout + done.stderr


def test_script_refuses_an_input_of_other_settings(tiny):
    """The same check inside the jobs, for whoever runs a script by hand."""
    spec = json.loads((tiny.store / "kernels/full/0.zarr/zarr.json").read_text())["attributes"]["spec"]
    spec["projection"]["dim"] = 99
    script = SCRIPTS / "features/factor_kernel.py"
    command = [sys.executable, script, "--spec", json.dumps(spec), "--features", tiny.store / "features/full/0.zarr"]
    command += ["--out", tiny.folder / "x.zarr"]
    environment = {**os.environ, "PYTHONPATH": str(SCRIPTS)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 1 and "projection.dim = 16, this run has 99" in done.stderr
    assert not (tiny.folder / "x.zarr").exists()


def test_bad_config_stops_before_the_first_job_with_one_message(tiny):
    done = tiny.changed(projection={"dimm": 16}).snakemake()
    text = done.stdout + done.stderr
    assert done.returncode != 0 and "unknown key 'projection.dimm'; did you mean 'dim'?" in text
    assert "Traceback" not in text and "rule " not in text.replace("(rule", "")


def test_shards_give_the_same_features(tiny, tmp_path):
    sharded = Workspace(tmp_path / "sharded", {**copy.deepcopy(CONFIG), "features": {"shards": 3}})
    shutil.copytree(tiny.store / "data", sharded.store / "data", copy_function=shutil.copy2)
    shutil.copytree(tiny.store / "checkpoints", sharded.store / "checkpoints", copy_function=shutil.copy2)
    done = sharded.snakemake("store/tiny/features/full/0.zarr")
    assert done.returncode == 0, done.stdout + done.stderr
    one, three = (xr.open_zarr(w.store / "features/full/0.zarr")["phi"].values for w in (tiny, sharded))
    assert np.abs(one - three).max() <= 1e-5 * np.abs(one).max()
    assert "featurize_shard" in done.stdout + done.stderr and not list((sharded.store / "shards").rglob("*.zarr"))
    assert sharded.planned("store/tiny/features/full/0.zarr") == []


def test_two_cores_give_the_same_arrays(tiny, tmp_path):
    both = Workspace(tmp_path / "both", copy.deepcopy(CONFIG))
    wanted = [f"store/tiny/features/full/{m}.zarr" for m in (0, 1)]
    done = both.snakemake(*wanted, cores="2")
    assert done.returncode == 0, done.stdout + done.stderr
    for m in (0, 1):
        one, two = (xr.open_zarr(w.store / f"features/full/{m}.zarr")["phi"].values for w in (tiny, both))
        assert np.abs(one - two).max() <= 1e-5 * np.abs(one).max()


def test_mask_changes_the_gradients_only_of_its_target(tiny, tmp_path):
    whole = tmp_path / "plain"
    plain = Workspace(
        whole, {**copy.deepcopy(CONFIG), "targets": [{"id": "a", "seed": 1}, {"id": "b", "seed": 2}]}, warm=True
    )
    for part in ("data", "checkpoints"):
        shutil.copytree(tiny.store / part, plain.store / part, copy_function=shutil.copy2)
    done = plain.snakemake("store/tiny/targets/a/gradients.zarr", "store/tiny/targets/b/gradients.zarr")
    assert done.returncode == 0, done.stdout + done.stderr
    for target, same in (("a", True), ("b", False)):
        g = [xr.open_zarr(w.store / f"targets/{target}/gradients.zarr")["g"].values for w in (tiny, plain)]
        assert (np.abs(g[0] - g[1]).max() <= 1e-5 * np.abs(g[1]).max()) == same


def test_report_builds(tiny):
    done = tiny.snakemake("--report", "report.zip")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tiny.folder / "report.zip").stat().st_size > 100_000


def test_failed_job_names_its_reason_and_keeps_what_was_done(copied):
    weights = copied.store / "checkpoints/full/1/unet/diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    for m in (0, 1):
        shutil.rmtree(copied.store / f"features/full/{m}.zarr")
    done = copied.snakemake("features", "--keep-going")
    text = done.stdout + done.stderr
    assert done.returncode != 0 and "full/1/unet/diffusion_pytorch_model.safetensors is damaged" in text
    assert (copied.store / "features/full/0.zarr").exists() and not (copied.store / "features/full/1.zarr").exists()
    assert not list(copied.store.rglob("*.tmp-*"))


def test_existing_models_stand_in_for_training(tiny, tmp_path):
    """Bring your own checkpoints: scores to the end, and a swapped path is not served old features."""
    paths = [str(tiny.store / f"checkpoints/full/{m}") for m in (0, 1)]
    config = {**copy.deepcopy(CONFIG), "checkpoints": {"paths": paths}, "model": None, "methods": ["trak"]}
    config["targets"] = [{"id": "a", "seed": 1}]
    own = Workspace(tmp_path / "own", config, warm=True)
    done = own.snakemake("scores")
    assert done.returncode == 0, done.stdout + done.stderr
    mine, theirs = (xr.open_zarr(w.store / "scores/trak/a.zarr")["score"] for w in (own, tiny))
    assert np.abs(mine - theirs).max() <= 1e-4 * np.abs(theirs).max()
    swapped = own.changed(checkpoints={"paths": paths[::-1]}).planned("scores")
    assert {"import_checkpoint checkpoint=full/0", "featurize checkpoint=full/1", "score_trak target=a"} <= set(swapped)
