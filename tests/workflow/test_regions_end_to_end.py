"""An image with named masks through Snakemake: sampled once, attributed per mask, drawn once."""

import copy
import json
import shutil

import numpy as np
import pytest
import xarray as xr
from PIL import Image
from workspace import CONFIG, Workspace, own_jobs, panels, scores

LEFT = {"name": "left", "mask": [0, 0, 4, 8]}
MASKED = {
    **CONFIG,
    "checkpoints": {"count": 1},
    "attribution": {"steps": [300, 500], "train_draws": 2, "target_draws": 2},
    "methods": ["trak"],
    "targets": [{"id": "a", "seed": 1, "mask": [LEFT, {"name": "right", "mask": "right.png"}]}],
}


@pytest.fixture(scope="module")
def masked(tmp_path_factory):
    workspace = Workspace(tmp_path_factory.mktemp("masked") / "work", copy.deepcopy(MASKED))
    white = np.zeros((8, 8), np.uint8)
    white[:, 4:] = 255
    Image.fromarray(white).save(workspace.folder / "right.png")
    done = workspace.snakemake()
    assert done.returncode == 0, done.stdout + done.stderr
    return workspace


def part(workspace, path):
    return xr.open_zarr(workspace.store / path)


def test_all_masks_have_the_one_trajectory(masked):
    of = {name: part(masked, f"targets/{name}/trajectory.zarr") for name in ("a", "a-left", "a-right")}
    assert of["a"]["x_t"].shape == (20, 1, 8, 8) and of["a"].attrs["weights"]
    for name in ("a-left", "a-right"):
        for array in ("step", "x_t", "x0_hat", "image"):
            assert np.array_equal(of[name][array].values, of["a"][array].values), (name, array)
        assert of[name].attrs["spec"] == of["a"].attrs["spec"] and of[name].attrs["weights"] == of["a"].attrs["weights"]
    chunks = [masked.store / f"targets/{name}/trajectory.zarr/x_t/c/0/0/0/0" for name in of]
    assert len({chunk.stat().st_ino for chunk in chunks}) == 1
    logs = {file.stem for file in (masked.store / "logs/sample_trajectory").iterdir()}
    assert logs == {"a"}


def test_masks_share_samples_and_differ_in_scores(masked):
    left, right = (part(masked, f"targets/a-{name}/samples.zarr")["sample"].values for name in ("left", "right"))
    assert np.array_equal(left, right)
    left, right = (part(masked, f"scores/trak/a-{name}.zarr")["score"].values for name in ("left", "right"))
    assert left.shape == right.shape == (2, 40) and not np.allclose(left, right, rtol=0.1)


def test_all_masks_are_in_one_figure(masked):
    figures = sorted(
        str(file.relative_to(masked.store / "figures")) for file in (masked.store / "figures").rglob("*.png")
    )
    assert figures == ["a-left/trak.png", "a-right/trak.png", "a/regions.png", "models/full/0.png"]
    spec = json.loads((masked.store / "figures/a/.regions.png.json").read_text())["spec"]
    own = spec["plot_regions"]
    assert [row["name"] for row in own["masks"]] == ["a-left", "a-right"] and own["figures"] == {"mask_step": 300}


def test_a_second_run_plans_nothing(masked):
    assert masked.planned() == []


@pytest.mark.parametrize("place", [0, 2])
def test_another_mask_plans_its_own_parts_and_what_lists_masks(masked, place):
    rows = copy.deepcopy(MASKED["targets"])
    rows[0]["mask"].insert(place, {"name": "top", "mask": [0, 0, 8, 4]})
    expected = ["share_trajectory target=a-top", *own_jobs("a-top")[1:], *scores("a-top", ["trak"])]
    expected += panels("a-top", ["trak"])
    assert masked.changed(targets=rows).planned() == sorted([*expected, "plot_regions target=a", "top_influences"])


def test_another_step_of_the_figure_draws_it_alone(masked):
    assert masked.changed(figures={"mask_step": 500}).planned() == ["plot_regions target=a"]


def test_the_whole_image_as_a_target_keeps_the_trajectory(masked):
    """From named masks to no mask: the id's trajectory is there already."""
    rows = [{"id": "a", "seed": 1}]
    rules = [job.split()[0] for job in masked.changed(targets=rows).planned()]
    assert "target_gradients" in rules and "sample_trajectory" not in rules


def test_a_deleted_trajectory_is_taken_from_the_images_own(masked, tmp_path):
    shutil.copytree(masked.folder, tmp_path / "work", symlinks=True, copy_function=shutil.copy2)
    copied = Workspace(tmp_path / "work", copy.deepcopy(MASKED))
    shutil.rmtree(copied.store / "targets/a-left/trajectory.zarr")
    assert copied.planned() == ["share_trajectory target=a-left"]
