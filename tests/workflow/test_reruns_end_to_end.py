"""The store decides what runs again: the design's table, what people do to stores, and accidents.

One small experiment is run once; everything else happens to copies of it, mostly as dry runs.
"""

import copy
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml
from support import SCRIPTS
from workspace import CONFIG, REPOSITORY, Workspace, of_checkpoint, own_jobs, panels, scores

from waypoint.store.data.digits import digits
from waypoint.store.zarr.attributes import as_given
from waypoint.store.zarr.reader import open_store

METHODS = ["trak", "random"]
LDS = {"subsets": 2, "models_per_subset": 2, "draws": 2, "bootstrap": 100}
EXPERIMENT = {
    **CONFIG,
    "data": {"source": "npz", "path": "raw.npz"},
    "methods": METHODS,
    "evaluation": {"lds": LDS},
}
LDS_TABLES = ["lds_tables", "plot_lds", "plot_lds_cross", "plot_lds_panels"]
TABLES = [*LDS_TABLES, "top_influences"]
TRAK = [job for target in "ab" for job in scores(target, ["trak"]) + panels(target, ["trak"])]
TRAK += ["plot_regions target=b", *TABLES]
KERNELS = [of_checkpoint(m)[1] for m in (0, 1)]
REPLACING = ("--config", "replace=true")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    workspace = Workspace(tmp_path_factory.mktemp("reruns") / "work", copy.deepcopy(EXPERIMENT), warm=True)
    images = digits({})
    np.savez(workspace.folder / "raw.npz", image=np.stack(images.images[:40]), label=images.labels[:40])
    done = workspace.snakemake()
    assert done.returncode == 0, done.stdout + done.stderr
    return workspace


def copy_of(workspace, folder, copy_function=shutil.copy2):
    shutil.copytree(workspace.folder, folder, symlinks=True, copy_function=copy_function)
    return Workspace(folder, copy.deepcopy(workspace.config), workspace.warm)


@pytest.fixture(scope="module")
def without_records(finished, tmp_path_factory):
    """The same without Snakemake's records, and with other dates."""
    made = copy_of(finished, tmp_path_factory.mktemp("without") / "work", shutil.copy)
    shutil.rmtree(made.folder / ".snakemake")
    return made


@pytest.fixture
def copied(finished, tmp_path):
    """A copy that a test may change; dates and records are kept."""
    return copy_of(finished, tmp_path / "work")


def test_images_of_an_earlier_version_are_read_again_for_their_names_and_nothing_else_runs(copied):
    marker = copied.store / "data/train.zarr/zarr.json"
    group = json.loads(marker.read_text())
    spec = json.loads(group["attributes"]["spec"])
    assert spec["prepare_data"].pop("read_as") == 1
    spec["prepare_data"]["version"] = 1
    group["attributes"] |= {"spec": json.dumps(spec), "identity": "of version 1"}
    marker.write_text(json.dumps(group))
    assert copied.planned() == ["prepare_data"]  # no replace=true is asked for
    (copied.folder / "raw.npz").rename(copied.folder / "gone.npz")
    assert copied.planned() == []  # without the raw data the images stay as they are
    (copied.folder / "gone.npz").rename(copied.folder / "raw.npz")
    done = copied.snakemake()
    assert done.returncode == 0, done.stdout + done.stderr
    found = open_store(copied.store / "data/train.zarr")
    assert found["file"][:2].tolist() == ["raw.npz/0", "raw.npz/1"]
    assert found["label"].attrs["class_names"] == list("0123456789")
    assert copied.planned() == []


def contents(folder):
    """{path: (size, change time)} of everything below a folder."""
    found = [Path(root, name) for root, places, files in os.walk(folder) for name in (*places, *files)]
    return {path: (path.lstat().st_size, path.lstat().st_mtime_ns) for path in [Path(folder), *found]}


def ran(workspace, *arguments):
    done = workspace.snakemake(*arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


# ---- the design's table


def added_step():
    rows = copy.deepcopy(CONFIG["targets"])
    rows[0]["steps"] = [100, 300, 500]
    return {"targets": rows}


def lds(**settings):
    return {"evaluation": {"lds": {**LDS, **settings}}}


ROWS = {
    "a target is added": (
        {"targets": [*CONFIG["targets"], {"id": "c", "seed": 3}]},
        [*own_jobs("c"), *scores("c", METHODS), *panels("c", METHODS), "subset_outputs target=c", *TABLES],
    ),
    "a checkpoint is added": (
        {"checkpoints": {"count": 3}},
        [
            "train checkpoint=full/2",
            "contact_sheet m=2",
            *of_checkpoint(2),
            *(own_jobs(target)[2] for target in "ab"),
            *TRAK,
        ],
    ),
    "a step is added to a target": (
        added_step(),
        [*own_jobs("a")[1:], *scores("a", METHODS), *panels("a", METHODS), "subset_outputs target=a", *TABLES],
    ),
    "kernel.damping": ({"kernel": {"damping": 0.5}}, [*KERNELS, *TRAK]),
    "subsets are added": (
        lds(subsets=3),
        ["draw_subsets", "train_subset subset=2", "list_subset_models", "subset_outputs target=a"]
        + ["subset_outputs target=b", *LDS_TABLES],
    ),
    "models are added": (
        lds(models_per_subset=3),
        ["train_subset subset=0", "train_subset subset=1", "list_subset_models", "subset_outputs target=a"]
        + ["subset_outputs target=b", *LDS_TABLES],
    ),
    "an evaluation setting": (lds(bootstrap=200), LDS_TABLES),
    "a method is added": (
        {"methods": [*METHODS, "pixel"]},
        [job for target in "ab" for job in scores(target, ["pixel"]) + panels(target, ["pixel"])] + TABLES,
    ),
    "figures": (
        {"figures": {"top": 3}},
        ["plot_lds_panels", *(job for target in "ab" for job in panels(target, METHODS))],
    ),
    "nothing": ({}, []),
}


@pytest.mark.parametrize("records", ["finished", "without_records"])
@pytest.mark.parametrize("change, expected", ROWS.values(), ids=ROWS)
def test_a_change_plans_what_depends_on_it(request, records, change, expected):
    workspace = request.getfixturevalue(records)
    before = contents(workspace.folder / "store")
    assert workspace.changed(**change).planned() == sorted(expected)
    assert contents(workspace.folder / "store") == before  # a dry run writes nothing


@pytest.mark.parametrize("dates", [shutil.copy2, shutil.copy], ids=["dates", "no dates"])
def test_a_missing_or_damaged_artifact_plans_itself_and_no_reader(finished, tmp_path, dates):
    workspace = copy_of(finished, tmp_path / "work", dates)
    shutil.rmtree(workspace.store / "features/plain/full/1.zarr")
    shutil.rmtree(workspace.store / "targets/a/trajectory.zarr")
    (workspace.store / "scores/trak/b.zarr/score/c/0/0").unlink()
    (workspace.store / "checkpoints/full/0/unet/config.json").unlink()
    (workspace.store / "checkpoints/subset/1-0/waypoint.json").unlink()
    (workspace.store / "tables/.top_influences.csv.json").write_text("{")
    (workspace.store / "evaluation/subsets.zarr/zarr.json").unlink()
    expected = ["featurize basis=plain, checkpoint=full/1", "sample_trajectory target=a", *scores("b", ["trak"])]
    expected += ["train checkpoint=full/0", "train_subset subset=1", "top_influences", "draw_subsets"]
    assert workspace.planned() == sorted(expected)
    text = ran(workspace)
    for part in (
        "a chunk of score is missing",
        "unet/config.json is missing",
        "checkpoints/subset/1-0/waypoint.json is",
    ):
        assert part in text
    assert workspace.planned() == []


@pytest.fixture
def clone(tmp_path):
    """A fresh clone of the workflow, with another comment in every file."""
    for part in ("rules", "workflow_scripts", "schemas", "envs", "docs"):
        shutil.copytree(REPOSITORY / part, tmp_path / "clone" / part, copy_function=shutil.copy)
    shutil.copy(REPOSITORY / "Snakefile", tmp_path / "clone")
    for file in (tmp_path / "clone").rglob("*.py"):
        file.write_text(file.read_text() + "# another comment\n")
    return tmp_path / "clone"


def test_a_fresh_clone_plans_nothing_and_a_raised_version_its_stage_and_what_follows(finished, clone):
    assert finished.planned("-s", str(clone / "Snakefile")) == []
    stages = clone / "workflow_scripts/waypoint/workflow/plan/stages.py"
    text = stages.read_text()
    raised = re.sub(r"@stage\(version=1(.*)\ndef factor_kernel", r"@stage(version=2\1\ndef factor_kernel", text)
    assert raised != text
    stages.write_text(raised)
    assert finished.planned("-s", str(clone / "Snakefile")) == sorted([*KERNELS, *TRAK])


# ---- what is no change


def touched(workspace):
    for file in sorted(workspace.folder.rglob("*"), reverse=True):
        os.utime(file)


def records_deleted(workspace):
    shutil.rmtree(workspace.folder / ".snakemake")


def an_hour_ahead(workspace):
    """As if the images had been written by a machine whose clock is wrong."""
    later = time.time() + 3600
    for part in ("data", "checkpoints/full/0"):
        for file in [workspace.store / part, *(workspace.store / part).rglob("*")]:
            os.utime(file, (later, later))
            stamp = file / ".snakemake_timestamp"
            if file.is_dir() and (file / "zarr.json").exists():
                stamp.touch()


def touched_by_snakemake(workspace):
    ran(workspace, "--touch")


def touched_while_mistyped(workspace):
    ran(workspace.changed(kernel={"damping": 0.5}), "--touch")


def data_moved(workspace):
    (workspace.folder / "raw.npz").rename(workspace.folder / "elsewhere.npz")
    workspace.config["data"]["path"] = "elsewhere.npz"


def data_gone(workspace):
    (workspace.folder / "raw.npz").unlink()


def data_written_again(workspace):
    shutil.copy(workspace.folder / "raw.npz", workspace.folder / "again.npz")
    os.replace(workspace.folder / "again.npz", workspace.folder / "raw.npz")


def store_renamed(workspace):
    (workspace.folder / "store").rename(workspace.folder / "another place")
    workspace.config["store"] = "another place"


def experiment_renamed(workspace):
    (workspace.folder / "store/tiny").rename(workspace.folder / "store/little")
    workspace.config["experiment"] = "little"


def link_to_the_store(workspace):
    (workspace.folder / "store").rename(workspace.folder / "elsewhere")
    (workspace.folder / "store").symlink_to("elsewhere")


HARMLESS = [
    touched,
    records_deleted,
    an_hour_ahead,
    touched_by_snakemake,
    touched_while_mistyped,
    data_moved,
    data_gone,
]
HARMLESS += [data_written_again, store_renamed, experiment_renamed, link_to_the_store]


@pytest.mark.parametrize("happens", HARMLESS, ids=lambda happens: happens.__name__)
def test_nothing_runs_again(copied, happens):
    happens(copied)
    assert copied.planned() == []


def test_nothing_runs_again_in_another_working_directory(finished, tmp_path):
    other = Workspace(tmp_path / "other", {**EXPERIMENT, "store": str(finished.folder / "store")}, warm=True)
    assert other.planned() == []
    assert "Nothing to be done" in ran(other)


def test_a_run_from_another_directory_goes_on_where_another_one_stopped(finished, tmp_path):
    """A fresh clone that adds a checkpoint: no record, new dates, and only the new one is trained."""
    workspace = copy_of(finished, tmp_path / "work", shutil.copy)
    other = Workspace(tmp_path / "other", {**EXPERIMENT, "store": str(workspace.folder / "store")}, warm=True)
    other.config["checkpoints"] = {"count": 3}
    before = contents(workspace.store / "checkpoints/full/0")
    ran(other, f"{workspace.folder}/store/tiny/checkpoints/full/2")
    assert contents(workspace.store / "checkpoints/full/0") == before
    assert other.planned("checkpoints") == []


def test_identical_bytes_made_again_run_nothing_else(copied):
    shutil.rmtree(copied.store / "data/train.zarr")
    ran(copied, "store/tiny/data/train.zarr")
    assert copied.planned() == []


def test_other_images_at_the_same_place_are_noticed(copied):
    images = digits({})
    np.savez(copied.folder / "raw.npz", image=np.stack(images.images[40:80]), label=images.labels[40:80])
    done = copied.snakemake()
    text = done.stdout + done.stderr
    assert (
        done.returncode != 0 and "would replace 1 stored images" in text and "raw.npz changed since it was read" in text
    )
    ran(copied, "store/tiny/data/train.zarr", *REPLACING)
    stopped = copied.snakemake()
    text = stopped.stdout + stopped.stderr
    assert stopped.returncode != 0 and "data/train.zarr has another content than when it was read" in text
    assert "6 models" in text and "2 train features" in text


# ---- the guard


def test_a_plan_that_replaces_models_stops_and_says_everything(copied):
    wrong = copied.changed(training={**CONFIG["training"], "epochs": 3})
    before = contents(copied.folder / "store")
    done = wrong.snakemake()
    text = done.stdout + done.stderr
    assert done.returncode != 0 and "Traceback" not in text
    for part in (
        "would replace 6 models, 2 train features in store/tiny that took",
        "seconds to make (checkpoints/full/0, ",
        "because training.epochs was 2 and is now 3",
        "Nothing was changed. Undo the change, use another experiment name, or go on with --config replace=true",
    ):
        assert part in text, part
    warned = wrong.snakemake("-n")
    assert warned.returncode == 0 and "Waypoint: warning: this run would replace" in warned.stdout + warned.stderr
    assert {job for job in wrong.planned() if "train" in job} >= {"train checkpoint=full/0", "train_subset subset=1"}
    assert contents(copied.folder / "store") == before and copied.planned() == []


def test_what_is_cheap_is_replaced_without_asking_and_said(copied):
    text = ran(copied.changed(kernel={"damping": 0.5}), "store/tiny/kernels/trak/full/0.zarr")
    assert "made again: kernel.damping was 0.03 and is now 0.5" in text


def test_a_missing_model_may_be_trained_with_another_recipe(copied):
    """Nothing is there to replace, and nothing else is asked for."""
    shutil.rmtree(copied.store / "checkpoints/full/1")
    wrong = copied.changed(training={**CONFIG["training"], "epochs": 3})
    assert wrong.planned("store/tiny/checkpoints/full/1") == ["train checkpoint=full/1"]


def test_forced_jobs_need_no_other_permission(copied):
    ran(copied, "store/tiny/features/plain/full/1.zarr", "--force")
    assert (copied.store / "replaced/1/features/plain/full/1.zarr/zarr.json").exists()
    assert copied.planned() == []


# ---- kills


def started(workspace, *arguments):
    """A run as a process with children of its own session."""
    (workspace.folder / "experiment.yaml").write_text(yaml.safe_dump(workspace.config, sort_keys=False))
    command = [
        sys.executable,
        "-m",
        "snakemake",
        "-s",
        str(REPOSITORY / "Snakefile"),
        "--configfile",
        "experiment.yaml",
    ]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.Popen(
        [*command, "--cores", "1", *arguments],
        cwd=workspace.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # shells let background jobs ignore it
        env={**os.environ, "PATH": path},
    )


def wait_for(found, process, seconds=300):
    end = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < end and process.poll() is None, process.communicate()[0]
        time.sleep(0.02)


def killed(process, how):
    """End a run and its jobs, as Ctrl-C on a terminal or a full memory does; what it said."""
    os.killpg(process.pid, how)
    try:
        return process.communicate(timeout=120)[0]
    finally:
        left = subprocess.run(["ps", "-o", "pid=", "-s", str(process.pid)], capture_output=True, text=True).stdout
        for pid in left.split():
            os.kill(int(pid), signal.SIGKILL)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_mistyped_recipe_that_is_stopped_and_undone_costs_nothing(copied, how):
    weights = {file: file.read_bytes() for file in copied.store.glob("checkpoints/*/*/unet/*.safetensors")}
    wrong = copied.changed(training={**CONFIG["training"], "epochs": 100_000})
    process = started(wrong, "checkpoints", *REPLACING)
    wait_for(lambda: list(copied.store.glob("resume/*/state.pt")), process)
    killed(process, how)
    if how == signal.SIGKILL:
        ran(copied, "--unlock")
    assert copied.planned() == []
    assert "Nothing to be done" in ran(copied)
    assert len(weights) == 6 and all(file.read_bytes() == data for file, data in weights.items())


def test_a_kill_while_models_are_added_needs_an_unlock_at_most(copied):
    before = {file: file.stat().st_ino for file in copied.store.glob("checkpoints/subset/*/waypoint.json")}
    more = copied.changed(**lds(models_per_subset=3))
    process = started(more, "store/tiny/checkpoints/subset/models.json")
    wait_for(lambda: list(copied.store.glob("resume/subset-*")), process)
    killed(process, signal.SIGKILL)
    ran(more, "--unlock")
    ran(more, "store/tiny/checkpoints/subset/models.json")
    assert len(list(copied.store.glob("checkpoints/subset/*/waypoint.json"))) == 6
    assert {file: file.stat().st_ino for file in before} == before
    assert not (copied.store / "resume").exists()
    replaced = [file.name for file in (copied.store / "replaced").rglob("*") if file.is_file()]
    assert sorted(replaced) == [".models.json.json", "models.json"]  # the list; no model


# ---- what is replaced


def damping_of(path):
    return open_store(path).attrs["spec"]["factor_kernel"]["kernel"]["damping"]


def test_what_is_replaced_is_kept_until_it_is_removed(copied):
    kernels = [f"kernels/trak/full/{m}.zarr" for m in (0, 1)]
    said = ran(copied.changed(kernel={"damping": 0.5}), "kernels")
    for name in kernels:
        assert damping_of(copied.store / name) == 0.5
        assert damping_of(copied.store / "replaced/1" / name) == CONFIG.get("kernel", {}).get("damping", 0.03)
    assert "earlier results are kept in store/tiny/replaced" in said and "make clean-replaced" in said
    ran(copied.changed(kernel={"damping": 0.7}), "kernels", "--config", "replace=delete")
    assert damping_of(copied.store / kernels[0]) == 0.7 and not (copied.store / "replaced/2").exists()
    ran(copied.changed(kernel={"damping": 0.9}), "kernels")
    assert damping_of(copied.store / "replaced/2" / kernels[1]) == 0.7
    done = maintained("clean-replaced", copied)
    assert done.returncode == 0 and "MB of earlier results removed from store/tiny" in done.stdout
    assert not (copied.store / "replaced").exists()


def test_a_job_that_fails_leaves_the_old_result_in_its_place(copied):
    (copied.store / "features/plain/full/0.zarr/phi/c/0/0").write_bytes(b"damaged")
    wrong = copied.changed(kernel={"damping": 0.5})
    assert wrong.snakemake("store/tiny/kernels/trak/full/0.zarr").returncode != 0
    assert damping_of(copied.store / "kernels/trak/full/0.zarr") == 0.03
    assert not (copied.store / "replaced").exists() and not list(copied.store.rglob("*.tmp-*"))


# ---- maintenance


def maintained(command, workspace):
    (workspace.folder / "experiment.yaml").write_text(yaml.safe_dump(workspace.config, sort_keys=False))
    command = [sys.executable, str(SCRIPTS / "maintain.py"), command, "--configfile", "experiment.yaml"]
    environment = {**os.environ, "PYTHONPATH": str(SCRIPTS)}
    return subprocess.run(command, cwd=workspace.folder, capture_output=True, text=True, env=environment)


def test_verify_finds_what_no_start_looks_at(copied):
    done = maintained("verify", copied)
    assert done.returncode == 0 and re.fullmatch(r"\d+ results, .* MB: every checksum matches\n", done.stdout), done
    for name in ("features/plain/full/0.zarr/phi/c/0/0", "checkpoints/full/1/unet/config.json", "tables/lds.csv"):
        file = copied.store / name
        file.write_bytes(bytes([file.read_bytes()[0] ^ 1]) + file.read_bytes()[1:])
    assert copied.planned() == []
    done = maintained("verify", copied)
    assert done.returncode == 1 and "3 of" in done.stderr
    for name in ("features/plain/full/0.zarr", "unet/config.json", "tables/lds.csv"):
        assert name in done.stderr


# As specs were written before they were keyed by stage: sections of all stages in one mapping, and versions.
CALLED = {"prepare_data": "data", "train": "train"}


def as_before(made, config):
    """Attributes of today's form in the earlier one."""
    spec, versions = {"seed": made["spec"]["seed"]}, {}
    for stage, entry in made["spec"].items():
        if stage not in ("seed", "item"):
            versions[CALLED[stage]] = entry.get("read_as", entry["version"])
            spec |= {section: value for section, value in entry.items() if section not in ("version", "read_as")}
    spec |= made["spec"].get("item", {})
    spec["data"] = {key: value for key, value in spec["data"].items() if key != "captions"}
    spec["data"] |= {"path": config["data"]["path"], "captions": None}
    others = {key: value for key, value in made.items() if key not in ("identity", "reads", "spec", "stage")}
    return {**others, "stage": CALLED.get(made["stage"], "train"), "spec": {**spec, "versions": versions}}


def test_a_store_of_the_earlier_form_is_adopted(copied):
    groups = [copied.store / "data/train.zarr/zarr.json"]
    for file in groups:
        group = json.loads(file.read_text())
        file.write_text(json.dumps({**group, "attributes": as_before(as_given(group["attributes"]), copied.config)}))
    models = sorted(copied.store.glob("checkpoints/*/*/waypoint.json"))
    for file in models:
        file.write_text(json.dumps(as_before(json.loads(file.read_text()), copied.config)))
    for name in ("features", "kernels", "targets", "scores", "evaluation", "tables", "figures"):
        shutil.rmtree(copied.store / name)
    (copied.store / "checkpoints/subset/models.json").unlink()
    (copied.store / "checkpoints/subset/.models.json.json").unlink()
    unet = copied.store / "checkpoints/subset/1-1/unet/config.json"
    unet.write_text(unet.read_text() + " ")
    refused = copied.snakemake("-n")
    text = refused.stdout + refused.stderr
    assert refused.returncode != 0 and "was made by an earlier version of Waypoint" in text and "make adopt" in text
    done = maintained("adopt", copied)
    assert done.returncode == 0, done.stderr
    assert "6 of 7 results taken over" in done.stdout and "checkpoints/subset/1-1 is not taken over" in done.stdout
    planned = copied.planned()
    # the images are read again for their names, which trains nothing
    assert [job for job in planned if job.split()[0] in ("prepare_data", "train", "train_subset")] == [
        "prepare_data",
        "train_subset subset=1",
    ]
    inode = (copied.store / "checkpoints/subset/1-0").stat().st_ino
    ran(copied, "store/tiny/checkpoints/subset/models.json")
    assert (copied.store / "checkpoints/subset/1-0").stat().st_ino == inode
    again = maintained("adopt", copied)
    assert again.returncode == 1 and "holds nothing that an earlier version of Waypoint made" in again.stderr
