"""LDS through Snakemake on a tiny experiment, and what is retrained when something changes: only what is new."""

import copy
import json
import shutil
import warnings

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from workspace import CONFIG, Workspace, of_checkpoint, own_jobs, scores

from waypoint.store.networks.training_rows import rows_hash

LDS = {"subsets": 3, "models_per_subset": 2, "draws": 2, "bootstrap": 100}
CONFIG = {**CONFIG, "targets": [{"id": "a", "seed": 1}], "evaluation": {"lds": LDS}}
GOALS = ["checkpoints", "lds", "tables"]  # panels are tested elsewhere
WHAT_FOLLOWS = ["lds_tables", "plot_lds", "plot_lds_cross"]
OUTPUTS = ["subset_outputs target=a"]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    workspace = Workspace(tmp_path_factory.mktemp("lds") / "work", copy.deepcopy(CONFIG), warm=True)
    done = workspace.snakemake(*GOALS)
    assert done.returncode == 0, done.stdout + done.stderr
    return workspace


@pytest.fixture
def copied(tiny, tmp_path):
    """A copy that a test may damage; times and records are kept."""
    shutil.copytree(tiny.folder, tmp_path / "work", symlinks=True, copy_function=shutil.copy2)
    return Workspace(tmp_path / "work", copy.deepcopy(CONFIG), warm=True)


def planned(workspace):
    return [job for job in workspace.planned(*GOALS) if job not in GOALS]


def with_lds(workspace, **settings):
    return workspace.changed(evaluation={"lds": {**LDS, **settings}})


def model(workspace, name):
    return workspace.store / "checkpoints/subset" / name


def weights(workspace, name):
    return (model(workspace, name) / "unet/diffusion_pytorch_model.safetensors").read_bytes()


def made(workspace, name):
    return json.loads((model(workspace, name) / "waypoint.json").read_text())


# ---- what is there after the run


def test_stores_open_in_xarray_without_a_warning(tiny):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        subsets = xr.open_zarr(tiny.store / "evaluation/subsets.zarr")
        outputs = xr.open_zarr(tiny.store / "evaluation/outputs/a.zarr")
    assert subsets["included"].dims == ("subset", "train") and subsets["included"].shape == (3, 40)
    assert outputs["output"].dims == ("subset", "model", "step") and outputs["output"].shape == (3, 2, 2)
    assert list(outputs["step"].values) == [100, 500] and (outputs["output"] < 0).all()


def test_every_model_was_trained_on_its_subset(tiny):
    included, seen = xr.open_zarr(tiny.store / "evaluation/subsets.zarr")["included"].values, set()
    assert (included.sum(1) == 20).all()
    for j in range(3):
        for r in range(2):
            attributes = made(tiny, f"{j}-{r}")
            assert attributes["rows_sha256"] == rows_hash(np.flatnonzero(included[j])) and attributes["images"] == 20
            seen.add(attributes["weights"])
    assert len(seen) == 6  # each with a seed of its own


def test_subset_models_have_the_recipe_of_the_ensemble(tiny):
    """As many epochs, so half the images mean half the steps."""
    full = json.loads((tiny.store / "checkpoints/full/0/waypoint.json").read_text())
    subset = made(tiny, "0-0")
    assert subset["spec"]["train"] == full["spec"]["train"]
    assert len((model(tiny, "0-0") / "loss.csv").read_text().splitlines()) == 1 + 2


def test_tables_have_a_row_for_every_method_target_and_step(tiny):
    table = pd.read_csv(tiny.store / "tables/lds.csv")
    rows = table[table["method"].isin(["trak", "pixel", "random"])]
    assert set(zip(rows["method"], rows["target"], rows["step"])) == {
        (method, "a", step) for method in ("trak", "pixel", "random") for step in (100, 500)
    }
    assert (table["subsets"] == 3).all() and (table["models_per_subset"] == 2).all()
    assert rows["lds"].between(-1, 1).all()
    assert set(pd.read_csv(tiny.store / "tables/lds_cross.csv")["method"]) == {"trak", "pixel", "random"}
    for name in ("lds", "lds_cross"):
        assert (tiny.store / f"figures/{name}.png").stat().st_size > 5000


def test_subsets_are_trained_in_the_order_of_their_index(tiny):
    finished = [model(tiny, f"{j}-{r}").joinpath("waypoint.json").stat().st_mtime for j in range(3) for r in range(2)]
    assert finished == sorted(finished)
    others = [(tiny.store / f"checkpoints/full/{m}/waypoint.json").stat().st_mtime for m in range(2)]
    assert max(others) < finished[2]  # what does not wait for subset models goes before all but the first


def test_nothing_is_left_over(tiny):
    assert not (tiny.store / "resume").exists() and not list(tiny.store.rglob("*.tmp-*"))


# ---- what reruns


def test_second_run_plans_nothing(tiny):
    assert planned(tiny) == []


def test_second_working_directory_on_the_same_store_plans_nothing(tiny, tmp_path):
    assert planned(Workspace(tmp_path / "other", {**CONFIG, "store": str(tiny.folder / "store")})) == []


def test_added_target_plans_its_own_jobs_and_no_training(tiny):
    more = tiny.changed(targets=[*CONFIG["targets"], {"id": "b", "seed": 2}])
    own = [job for job in own_jobs("b") if "sample_from" not in job] + scores("b") + ["subset_outputs target=b"]
    assert planned(more) == sorted(own + WHAT_FOLLOWS + ["top_influences"])


def test_more_subsets_train_only_the_new_ones(tiny):
    expected = ["train_subset subset=3", "train_subset subset=4", "draw_subsets", "list_subset_models"]
    assert planned(with_lds(tiny, subsets=5)) == sorted(expected + OUTPUTS + WHAT_FOLLOWS)


def test_what_the_subsets_will_tell_is_said_once_and_only_before_they_are_trained(tiny):
    done = with_lds(tiny, subsets=5).snakemake("-n", "lds")
    words = "Waypoint: LDS: 5 subsets with 2 models each and 1 target give an interval of about ±"
    assert done.returncode == 0 and done.stderr.count(words) == 1
    assert "LDS: " not in with_lds(tiny, draws=3).snakemake("-n", "lds").stderr


def test_fewer_subsets_train_nothing(tiny):
    expected = ["draw_subsets", "list_subset_models", *OUTPUTS, *WHAT_FOLLOWS]
    assert planned(with_lds(tiny, subsets=2)) == sorted(expected)


def test_damping_plans_no_subset_training(tiny):
    expected = [of_checkpoint(m)[1] for m in (0, 1)] + scores("a", ["trak"]) + ["top_influences"]
    assert planned(tiny.changed(kernel={"damping": 0.5})) == sorted(expected + WHAT_FOLLOWS)


def test_more_draws_plan_outputs_and_what_reads_them(tiny):
    assert planned(with_lds(tiny, draws=3)) == sorted(OUTPUTS + WHAT_FOLLOWS)


def test_more_resamples_plan_the_tables(tiny):
    assert planned(with_lds(tiny, bootstrap=200)) == sorted(WHAT_FOLLOWS)


def test_another_fraction_trains_all_subsets_anew(tiny):
    found = planned(with_lds(tiny, fraction=0.25))
    assert [job for job in found if "train" in job] == [f"train_subset subset={j}" for j in range(3)]


def test_without_the_section_nothing_of_lds_is_planned(tiny):
    words = ("subset", "lds")
    for evaluation in ({"lds": None}, {}):
        other = tiny.changed(evaluation=evaluation)
        assert not [job for job in other.planned("--forceall") if any(word in job for word in words)]
        assert planned(other) == []


@pytest.mark.parametrize("change", [{"training": {**CONFIG["training"], "epochs": 3}}, {"fraction": 0.25}], ids=str)
def test_models_of_another_recipe_or_fraction_are_replaced_only_with_permission(tiny, tmp_path, change):
    """From another working directory, which has no Snakemake records: it must not be served old subset models."""
    other = Workspace(tmp_path / "other", {**CONFIG, "store": str(tiny.folder / "store")})
    other = with_lds(other, **change) if "fraction" in change else other.changed(**change)
    done = other.snakemake(f"{tiny.folder}/store/tiny/checkpoints/subset/1-1")
    text = done.stdout + done.stderr
    assert done.returncode != 0 and "Traceback" not in text and "would replace 2 models" in text
    assert ("training.epochs was 2 and is now 3" in text) or ("images.fraction was 0.5 and is now 0.25" in text)
    assert "checkpoints/subset/1-0" in text and "--config replace=true" in text


def test_a_list_of_other_subsets_is_made_again(tiny, tmp_path):
    other = Workspace(tmp_path / "other", {**CONFIG, "store": str(tiny.folder / "store")})
    models = f"{tiny.folder}/store/tiny/checkpoints/subset/models.json"
    assert with_lds(other, subsets=2).planned(models) == ["list_subset_models"]


# ---- the subsets that are there


def test_tables_of_the_subsets_that_are_there_and_of_all_of_them_later(copied):
    for r in range(2):
        model(copied, f"2-{r}").rename(copied.folder / f"2-{r}")  # as a run leaves it that was stopped before the last
    done = with_lds(copied, subsets=2).snakemake("lds")
    text = done.stdout + done.stderr
    assert done.returncode == 0 and "rule train" not in text, text
    before = pd.read_csv(copied.store / "tables/lds.csv")
    assert (before["subsets"] == 2).all() and set(before["method"]) >= {"trak", "pixel", "random"}
    again = ["draw_subsets", "list_subset_models", *OUTPUTS, *WHAT_FOLLOWS]
    assert planned(copied) == sorted(["train_subset subset=2", *again])
    for r in range(2):
        (copied.folder / f"2-{r}").rename(model(copied, f"2-{r}"))
    assert planned(copied) == sorted(again)


# ---- what is really retrained


def test_more_models_per_subset_train_only_the_new_ones(copied):
    names = [f"{j}-{r}" for j in range(3) for r in range(2)]
    before = {name: (weights(copied, name), made(copied, name), model(copied, name).stat().st_ino) for name in names}
    more = with_lds(copied, models_per_subset=3)
    training = [f"train_subset subset={j}" for j in range(3)]
    assert planned(more) == sorted([*training, "list_subset_models", *OUTPUTS, *WHAT_FOLLOWS])
    done = more.snakemake("lds")
    assert done.returncode == 0, done.stdout + done.stderr
    for name, (data, attributes, inode) in before.items():
        assert (weights(copied, name), made(copied, name)) == (data, attributes), name
        assert model(copied, name).stat().st_ino == inode  # not even written again
    for j in range(3):
        log = (copied.store / f"logs/train/subset/{j}.log").read_text()
        assert f"subset/{j}-2 loss=" in log and f"subset/{j}-0 loss=" not in log and f"subset/{j}-1 loss=" not in log
        assert weights(copied, f"{j}-2") not in (weights(copied, f"{j}-0"), weights(copied, f"{j}-1"))
    assert (pd.read_csv(copied.store / "tables/lds.csv")["models_per_subset"] == 3).all()
    assert planned(more) == []


def test_a_deleted_model_is_trained_again_to_the_same_weights(copied):
    before = weights(copied, "1-0"), (model(copied, "1-0") / "loss.csv").read_text()
    others = {name: model(copied, name).stat().st_ino for name in ("0-0", "0-1", "1-1", "2-0", "2-1")}
    shutil.rmtree(model(copied, "1-0"))
    assert planned(copied) == ["train_subset subset=1"]
    done = copied.snakemake("store/tiny/checkpoints/subset/1-0")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (weights(copied, "1-0"), (model(copied, "1-0") / "loss.csv").read_text()) == before
    assert {name: model(copied, name).stat().st_ino for name in others} == others
    assert "subset/1-1 loss=" not in (copied.store / "logs/train/subset/1.log").read_text()
    assert planned(copied) == []
