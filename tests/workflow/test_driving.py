"""How people drive the workflow: command lines, shared folders, modules and other stores, mostly as dry runs."""

import copy
import json
import os
import shutil
import subprocess
import sys

import pytest
import xarray as xr
import yaml
from support import SCRIPTS
from workspace import CONFIG, REPOSITORY, Workspace

from waypoint.store.zarr.attributes import as_given

CLIP = {"image_encoders": {"clip": {"kind": "clip", "path": "models/clip-vit-base-patch32"}}}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    workspace = Workspace(tmp_path_factory.mktemp("driving") / "work", copy.deepcopy(CONFIG), warm=True)
    done = workspace.snakemake()
    assert done.returncode == 0, done.stdout + done.stderr
    return workspace


@pytest.fixture
def copied(finished, tmp_path):
    shutil.copytree(finished.folder, tmp_path / "work", symlinks=True)
    return Workspace(tmp_path / "work", copy.deepcopy(finished.config), warm=True)


@pytest.fixture
def fresh(tmp_path):
    return Workspace(tmp_path / "fresh", copy.deepcopy(CONFIG), warm=True)


def said(workspace, *arguments, refused=False):
    done = workspace.snakemake(*arguments)
    text = done.stdout + done.stderr
    assert (done.returncode != 0) == refused, text
    return text


# ---- configurations


def test_an_image_encoder_that_is_not_there_is_off_with_one_warning(fresh):
    fresh.config |= {**CLIP, "methods": ["trak", "clip", "random"]}
    text = said(fresh, "-n")
    assert text.count("method clip is off") == 1 and "there is no folder models/clip-vit-base-patch32" in text
    assert "method=trak" in text and "embed_images" not in text and "method=clip" not in text


def test_inner_values_of_the_command_line_are_read_by_the_schema(copied):
    text = said(copied, "-n", "--config", "training={epochs: 3, learning_rate: 1e-3}")
    assert "would replace 2 models" in text and "training.epochs was 2 and is now 3" in text
    text = said(copied, "-n", "--config", "training={epochs: 2, batch_size: 20}")
    assert "Nothing to be done" in text


def test_a_bucket_as_a_store_is_refused_with_the_flag(fresh):
    fresh.config["store"] = "s3://bucket/results"
    text = said(fresh, "-n", refused=True)
    assert "--default-storage-provider s3 --default-storage-prefix s3://bucket/results" in text
    assert not list(fresh.folder.glob("s3*"))


def test_unknown_targets_of_a_requested_path_are_named_beside_the_nearest(copied):
    text = said(copied, "-n", "store/tiny/scores/trak/aa.zarr", refused=True)
    assert "has no target aa; the nearest are a" in text and "KeyError" not in text


def test_eight_subsets_say_that_they_are_forty_models_once(copied, fresh):
    evaluation = {"lds": {"subsets": 8}}
    text = said(copied.changed(evaluation=evaluation), "-n")
    assert text.count("the evaluations will train 40 models") == 1 and "at the pace of the existing models" in text
    text = said(fresh.changed(evaluation=evaluation), "-n")
    assert text.count("the evaluations will train 40 models") == 1 and "make estimate" in text


# ---- stores of others


def test_a_store_whose_logs_have_no_place_keeps_everything_and_says_one_sentence(copied):
    shutil.rmtree(copied.store / "logs")
    (copied.store / "logs").write_text("closed")
    wrong = copied.changed(kernel={"damping": 0.5})
    before = {path: path.stat().st_mtime_ns for path in copied.store.rglob("*") if path.is_file()}
    text = said(wrong, refused=True)
    assert text.count("Waypoint: store/tiny/logs is not a folder") == 1
    assert {path: path.stat().st_mtime_ns for path in copied.store.rglob("*") if path.is_file()} == before


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("mount"), reason="only root may mount a folder read-only")
def test_one_more_target_in_a_read_only_store_is_one_sentence(copied):
    more = copied.changed(targets=[*CONFIG["targets"], {"id": "new", "seed": 5}])
    if subprocess.run(["mount", "--bind", copied.store, copied.store], capture_output=True).returncode:
        pytest.skip("this machine lets nobody mount")
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", copied.store], check=True)
        text = said(more, refused=True)
    finally:
        subprocess.run(["umount", copied.store], check=True)
    assert "cannot be written" in text and "store: [mine, store]" in text and "Traceback" not in text
    assert "rule " not in text and len(text.splitlines()) < 40


def shared(copied, place):
    """A workspace that reads the store of another one."""
    (copied.folder / "store").rename(place)
    (copied.folder / "store").mkdir()
    return copied.changed(store=["store", str(place)])


@pytest.mark.parametrize("flags", [["-n"], ["--summary"], ["--dag"], ["--rulegraph"], ["--list-rules"]])
def test_nothing_that_only_looks_leaves_links(copied, tmp_path, flags):
    mine = shared(copied, tmp_path / "theirs")
    said(mine, *flags)
    assert list((mine.folder / "store").rglob("*")) == []


def test_a_shared_store_that_moved_is_followed_where_the_configuration_does_and_told_where_not(copied, tmp_path):
    mine = shared(copied, tmp_path / "theirs")
    features = "store/tiny/features/plain/full/0.zarr"
    said(mine, features)
    (tmp_path / "theirs").rename(tmp_path / "moved")
    text = said(mine, features, refused=True)
    assert "link" in text and "Name the place where that store is now" in text and f"{features} leads to" in text
    assert (mine.folder / features).is_symlink()
    said(mine, "-n", features)
    text = said(mine.changed(store=["store", str(tmp_path / "moved")]), features)
    assert "Nothing to be done" in text
    assert os.path.realpath(mine.folder / features).startswith(str(tmp_path / "moved"))


# ---- modules

MODULE = """
configfile: "experiment.yaml"
module waypoint:
    snakefile: "{snakefile}"
    config: config
    prefix: "below"
use rule * from waypoint
"""


def test_a_module_with_a_prefix_looks_at_the_prefixed_store(copied):
    (copied.folder / "below").mkdir()
    (copied.folder / "store").rename(copied.folder / "below/store")
    (copied.folder / "Snakefile").write_text(MODULE.format(snakefile=REPOSITORY / "Snakefile"))
    (copied.folder / "experiment.yaml").write_text(yaml.safe_dump(copied.config))

    def dry():
        command = [sys.executable, "-m", "snakemake", "--cores", "1", "-n"]
        done = subprocess.run(command, cwd=copied.folder, capture_output=True, text=True)
        return done.stdout + done.stderr

    assert "Nothing to be done" in dry()
    copied.config["projection"] = {"dim": 8}
    (copied.folder / "experiment.yaml").write_text(yaml.safe_dump(copied.config))
    text = dry()
    assert "would replace 2 train features in below/store/tiny" in text and "projection.dim was 16 and is now 8" in text


def test_a_module_without_a_configuration_of_its_own_says_whose_it_has(tmp_path):
    (tmp_path / "Snakefile").write_text(
        f'module waypoint:\n    snakefile: "{REPOSITORY / "Snakefile"}"\nuse rule * from waypoint\n'
    )
    (tmp_path / "outer.yaml").write_text("other: 1\n")
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "-n", "--configfile", "outer.yaml"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    text = done.stdout + done.stderr
    assert done.returncode != 0 and "the outer --configfile unless the module names its own with `config:`" in text


# ---- what the configuration no longer names


def maintained(workspace, *arguments):
    (workspace.folder / "experiment.yaml").write_text(yaml.safe_dump(workspace.config, sort_keys=False))
    command = [sys.executable, str(SCRIPTS / "maintain.py"), *arguments, "--configfile", "experiment.yaml"]
    environment = {**os.environ, "PYTHONPATH": str(SCRIPTS)}
    done = subprocess.run(command, cwd=workspace.folder, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_tidy_lists_what_is_not_named_and_moves_it_when_asked(copied):
    assert maintained(copied, "tidy") == "the configuration names every result in store/tiny\n"
    fewer = copied.changed(targets=CONFIG["targets"][:1], methods=["trak", "random"])
    before = sorted(copied.store.rglob("*"))
    text = maintained(fewer, "tidy")
    for line in ("figures/b/  4", "scores/pixel/  2", "scores/trak/  1", "targets/b/  2", "make tidy REMOVE=true"):
        assert line in text
    assert sorted(copied.store.rglob("*")) == before
    text = maintained(fewer, "tidy", "--remove")
    assert "moved to store/tiny/replaced" in text
    assert (copied.store / "replaced/1/scores/trak/b.zarr/zarr.json").exists()
    assert not (copied.store / "scores/pixel").exists() and not (copied.store / "targets/b").exists()
    assert maintained(fewer, "tidy") == "the configuration names every result in store/tiny\n"
    assert "Nothing to be done" in said(fewer, "-n", "store/tiny/scores/trak/a.zarr")


def test_a_target_that_is_not_named_is_not_scored(copied):
    """Its gradients are there, and the method's settings are others now."""
    fewer = copied.changed(targets=CONFIG["targets"][:1], kernel={"damping": 0.5})
    before = (copied.store / "scores/trak/b.zarr").stat().st_mtime_ns
    said(fewer, "store/tiny/scores/trak/a.zarr")
    assert not (copied.store / "resume").exists()
    assert (copied.store / "scores/trak/b.zarr").stat().st_mtime_ns == before
    assert xr.open_zarr(copied.store / "scores/trak/a.zarr")["target"].item() == "a"


def test_scores_without_coordinates_of_an_earlier_store_are_not_stale(copied):
    for name in ("method", "target"):
        shutil.rmtree(copied.store / f"scores/trak/a.zarr/{name}")
    file = copied.store / "scores/trak/a.zarr/zarr.json"
    group = json.loads(file.read_text())
    for name in ("method", "target"):
        del group["consolidated_metadata"]["metadata"][name]
    group["attributes"] = as_given(group["attributes"])
    file.write_text(json.dumps(group))
    assert copied.planned() == []
