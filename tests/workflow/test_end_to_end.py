"""One tiny experiment through Snakemake: what it leaves, and what becomes of it in other hands."""

import copy
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import warnings
import zipfile

import numpy as np
import pandas as pd
import pytest
import xarray as xr
import yaml
from browser import Watched, chromium
from support import SCRIPTS
from workspace import CONFIG, Workspace, of_checkpoint, scores

from waypoint.store.artifacts.inventory import artifacts
from waypoint.store.artifacts.provenance import read_attributes


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
        "features/plain/full/0.zarr": {"phi": ("train", "feature")},
        "kernels/trak/full/1.zarr": {"gram": ("row", "column"), "factor": ("row", "column")},
        "targets/a/trajectory.zarr": {"x_t": ("step", "channel", "y", "x"), "x0_hat": ("step", "channel", "y", "x")},
        "targets/b/gradients/plain.zarr": {"g": ("checkpoint", "step", "feature")},
        "scores/pixel/a.zarr": {"score": ("step", "train")},
        "scores/random/b.zarr": {"score": ("step", "train")},
    }
    for path, arrays in shapes.items():
        found = xr.open_zarr(tiny.store / path)
        for name, dims in arrays.items():
            assert found[name].dims == dims, path
        for key in ("stage", "spec", "identity", "reads", "packages", "commit", "device", "seconds", "peak_memory_mb"):
            assert key in found.attrs, (path, key)
    assert json.loads((tiny.store / "checkpoints/full/0/waypoint.json").read_text())["stage"] == "train"


def test_table_lists_top_images_by_rank(tiny):
    table = pd.read_csv(tiny.store / "tables/top_influences.csv")
    columns = ["method", "target", "step", "rank", "sign", "train", "score", "score_se", "label", "file", "class"]
    assert list(table) == [*columns, "rank_low", "rank_high", "found", "alike"]
    data = xr.open_zarr(tiny.store / "data/train.zarr")
    assert list(table.file) == list(data["file"].values[table.train])
    names = data["label"].attrs["class_names"]
    assert list(table["class"].astype(str)) == [names[label] for label in table.label]
    assert set(table.method) == {"trak", "pixel", "random"} and set(table.target) == {"a", "b"}
    row = table.query("method == 'trak' and target == 'a' and step == 500 and sign == '+' and `rank` == 1").iloc[0]
    score = xr.open_zarr(tiny.store / "scores/trak/a.zarr")["score"].sel(step=500)
    first = xr.open_zarr(tiny.store / "data/near_duplicates.zarr")["first"].values
    assert row.train == first[np.argmax(np.where(first == np.arange(len(first)), score.values, -np.inf))]
    assert np.isclose(row.score, float(score[row.train]), rtol=1e-5)


def shown_image(workspace, *words, **sections):
    """`make image` for a workspace's config, in another working directory's place for its CSV."""
    (workspace.folder / "image.yaml").write_text(yaml.safe_dump({**workspace.config, **sections}))
    command = [sys.executable, str(SCRIPTS / "image.py"), "--configfile", "image.yaml", *words]
    environment = {**os.environ, "PYTHONPATH": str(SCRIPTS)}
    return subprocess.run(command, cwd=workspace.folder, capture_output=True, text=True, env=environment)


def test_one_images_scores_are_shown_from_a_store_that_is_only_read(tiny):
    before = {path: path.stat().st_mtime_ns for path in tiny.store.rglob("*")}
    file = str(xr.open_zarr(tiny.store / "data/train.zarr")["file"].values[7])
    done = shown_image(tiny, file)
    assert done.returncode == 0 and not done.stderr, done.stderr
    assert f"training image 7 of 40: {file}, class " in done.stdout
    table = pd.read_csv(tiny.folder / f"scores_of_tiny_{file.replace('/', '_')}.csv")
    assert list(table) == ["file", "train", "target", "method", "step", "score", "score_se", "rank"]
    assert len(table) == 2 * 3 * 2 and set(table.train) == {7} and set(table.file) == {file}
    for row in table.itertuples():
        stored = xr.open_zarr(tiny.store / f"scores/{row.method}/{row.target}.zarr").sel(step=row.step)
        assert np.isclose(row.score, stored["score"][7], rtol=1e-5)
        assert row.rank == 1 + int((stored["score"] > stored["score"][7]).sum())
        assert np.isnan(row.score_se) if row.method != "trak" else np.isclose(row.score_se, stored["score_se"][7])
        assert f"{row.score:.6g}" in done.stdout
    assert shown_image(tiny, "7").stdout == done.stdout  # and its own CSV is written again
    assert {path: path.stat().st_mtime_ns for path in tiny.store.rglob("*")} == before


def test_an_image_that_cannot_be_shown_is_told_in_a_sentence(tiny):
    (tiny.folder / "notes.csv").write_text("mine\n")
    for words, said in {
        (): "which training image? `make image FILE=name`",
        ("digit-x",): "no training image is called 'digit-x'; the nearest names are 'digit",
        ("digit*",): "'digit*' fits 40 training images; give one of their whole names",
        ("40",): "there is no training image 40; their indices are 0 to 39",
        ("7", "--out", "notes.csv"): "notes.csv is there already and is not a table of scores; name another file",
        ("7", "--out", "nowhere/notes.csv"): "nowhere/notes.csv cannot be written",
    }.items():
        done = shown_image(tiny, *words)
        assert done.returncode == 1 and said in done.stderr and "Traceback" not in done.stderr, done.stderr
    assert (tiny.folder / "notes.csv").read_text() == "mine\n"
    missing = shown_image(tiny, "7", experiment="other")
    assert "there is no store/other/data/train.zarr yet; run the experiment first" in missing.stderr


def test_scores_of_other_settings_are_left_out(tiny):
    done = shown_image(tiny, "7", "--out", "some.csv", kernel={"damping": 9})
    assert "left out: trak/a, trak/b (kernel.damping was 0.03 and is now 9)" in done.stderr
    assert set(pd.read_csv(tiny.folder / "some.csv").method) == {"pixel", "random"}
    done = shown_image(tiny, "7", attribution={**CONFIG["attribution"], "steps": [100]})
    assert done.returncode == 1 and "store/tiny holds no scores of this config" in done.stderr


def test_listed_images_have_a_table_of_all_their_scores(copied):
    file = str(xr.open_zarr(copied.store / "data/train.zarr")["file"].values[7])
    listed = copied.changed(tables={"images": [file, 3]})
    assert listed.planned() == ["scores_of_images"]
    done = listed.snakemake()
    assert done.returncode == 0, done.stdout + done.stderr
    table = pd.read_csv(copied.store / "tables/scores_of_images.csv")
    assert len(table) == 2 * 2 * 3 * 2 and set(table.train) == {3, 7} and listed.planned() == []
    done = copied.changed(tables={"images": [f"{file}0"]}).snakemake("-n")
    text = done.stdout + done.stderr
    assert done.returncode != 0 and "Traceback" not in text
    assert f"config: tables.images[0]: no training image is called '{file}0'; the nearest names are '{file}'" in text


def test_loss_curve_is_stored(tiny):
    curve = pd.read_csv(tiny.store / "checkpoints/full/0/loss.csv")
    assert list(curve.epoch) == [1, 2] and np.isfinite(curve.loss).all()


def test_nothing_is_left_over(tiny):
    assert not (tiny.store / "resume").exists() and not list(tiny.store.rglob("*.tmp-*"))


def test_script_refuses_an_input_of_other_settings(tiny):
    """The same check inside the jobs, for whoever runs a script by hand."""
    made = read_attributes(tiny.store / "kernels/trak/full/0.zarr")
    made["spec"]["featurize"]["projection"]["dim"] = 99
    script, features = SCRIPTS / "features/factor_kernel.py", tiny.store / "features/plain/full/0.zarr"
    command = [sys.executable, script, "--spec", json.dumps(made), "--features", features]
    command += ["--out", tiny.folder / "x.zarr"]
    environment = {**os.environ, "PYTHONPATH": str(SCRIPTS)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 1 and "was made when projection.dim was 16; here it is 99" in done.stderr
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
    done = sharded.snakemake("store/tiny/features/plain/full/0.zarr")
    assert done.returncode == 0, done.stdout + done.stderr
    one, three = (xr.open_zarr(w.store / "features/plain/full/0.zarr")["phi"].values for w in (tiny, sharded))
    assert np.abs(one - three).max() <= 1e-5 * np.abs(one).max()
    assert "featurize_shard" in done.stdout + done.stderr and not list((sharded.store / "shards").rglob("*.zarr"))
    assert sharded.planned("store/tiny/features/plain/full/0.zarr") == []


def test_two_cores_give_the_same_arrays(tiny, tmp_path):
    both = Workspace(tmp_path / "both", copy.deepcopy(CONFIG))
    wanted = [f"store/tiny/features/plain/full/{m}.zarr" for m in (0, 1)]
    done = both.snakemake(*wanted, cores="2")
    assert done.returncode == 0, done.stdout + done.stderr
    for m in (0, 1):
        one, two = (xr.open_zarr(w.store / f"features/plain/full/{m}.zarr")["phi"].values for w in (tiny, both))
        assert np.abs(one - two).max() <= 1e-5 * np.abs(one).max()


def test_mask_changes_the_gradients_only_of_its_target(tiny, tmp_path):
    whole = tmp_path / "plain"
    plain = Workspace(
        whole, {**copy.deepcopy(CONFIG), "targets": [{"id": "a", "seed": 1}, {"id": "b", "seed": 2}]}, warm=True
    )
    for part in ("data", "checkpoints"):
        shutil.copytree(tiny.store / part, plain.store / part, copy_function=shutil.copy2)
    done = plain.snakemake("store/tiny/targets/a/gradients/plain.zarr", "store/tiny/targets/b/gradients/plain.zarr")
    assert done.returncode == 0, done.stdout + done.stderr
    for target, same in (("a", True), ("b", False)):
        g = [xr.open_zarr(w.store / f"targets/{target}/gradients/plain.zarr")["g"].values for w in (tiny, plain)]
        assert (np.abs(g[0] - g[1]).max() <= 1e-5 * np.abs(g[1]).max()) == same


def test_report_builds(tiny):
    done = tiny.snakemake("--report", "report.zip")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tiny.folder / "report.zip").stat().st_size > 100_000


def test_failed_job_names_its_reason_and_keeps_what_was_done(copied):
    weights = copied.store / "checkpoints/full/1/unet/diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    for m in (0, 1):
        shutil.rmtree(copied.store / f"features/plain/full/{m}.zarr")
    done = copied.snakemake("features", "--keep-going")
    text = done.stdout + done.stderr
    assert done.returncode != 0 and "full/1/unet/diffusion_pytorch_model.safetensors is damaged" in text
    features = copied.store / "features/plain/full"
    assert (features / "0.zarr").exists() and not (features / "1.zarr").exists()
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
    assert {"import_checkpoint checkpoint=full/0", *of_checkpoint(1), *scores("a", ["trak"])} <= set(swapped)


def explored(workspace, *words):
    """`make explore` for a workspace's config, as a process."""
    (workspace.folder / "experiment.yaml").write_text(yaml.safe_dump(workspace.config, sort_keys=False))
    command = [sys.executable, str(SCRIPTS / "explore.py"), "--configfile", "experiment.yaml", *words]
    library = os.pathsep.join(filter(None, [str(SCRIPTS), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": library, "PYTHONUNBUFFERED": "1"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen(command, cwd=workspace.folder, env=environment, **pipes)


def test_explorer_is_made_served_and_kept_up_to_date(copied):
    """The page of a real run, read in a browser; once it is there, whole runs keep it current."""
    running = explored(copied, "--no-browser")
    try:
        url = next(line.strip() for line in running.stdout if line.startswith("http://127.0.0.1:"))
        with chromium() as browser:
            watched = Watched(browser).open(url + "#target=a&step=500&methods=trak")
            shown = watched.texts(".side.towards .tile .file")
            assert not watched.wrong and not watched.elsewhere()
    finally:
        running.send_signal(signal.SIGINT)
        assert running.wait(30) == 0
    table = pd.read_csv(copied.store / "tables/top_influences.csv")
    rows = table.query("method == 'trak' and target == 'a' and step == 500 and sign == '+'")
    assert [name.split(" ×")[0] for name in shown] == list(rows.file)[:10]
    assert copied.store / "explorer" in artifacts(copied.store)
    assert copied.planned() == []
    shutil.rmtree(copied.store / "scores/pixel/b.zarr")
    assert not [job for job in copied.planned() if job.startswith("packed")]
    more = copied.changed(tables={"top": 3}).planned()
    assert "explorer" in more and not [job for job in more if job.startswith(("train ", "featurize"))]


def test_packed_target_stands_in_the_report(copied):
    packing = explored(copied, "--target", "b")
    said, _ = packing.communicate(timeout=300)
    assert packing.returncode == 0 and "the file will contain training pictures" in said, said
    file = copied.store / "figures/b/explorer.html"
    assert str(file.relative_to(copied.folder)) in said.splitlines()[-1]
    done = copied.snakemake("--report", "report.zip")
    assert done.returncode == 0, done.stdout + done.stderr
    with zipfile.ZipFile(copied.folder / "report.zip") as report:
        (name,) = [name for name in report.namelist() if name.endswith("/explorer.html")]
        assert report.read(name) == file.read_bytes()


def test_what_cannot_be_explored_is_told_in_a_sentence(copied):
    for words, said in {("--target", "c"): "TARGET=c: the configuration has no such target; the nearest are"}.items():
        process = explored(copied, *words)
        output, _ = process.communicate(timeout=60)
        assert process.returncode == 1 and said in output and "Traceback" not in output, output
