"""Targets with masks: what a list of named masks becomes, in the config, the specs and the weights."""

import copy

import numpy as np
import pytest
from PIL import Image
from support import UNET

from waypoint.errors import WaypointError
from waypoint.workflow.config import regions
from waypoint.workflow.config.complete import complete, known_image_size
from waypoint.workflow.evaluations.seed_consistency import seeded_targets
from waypoint.workflow.jobs.target import mask_weight
from waypoint.workflow.plan.plan import Plan

LEFT, RIGHT = [0, 0, 4, 8], [4, 0, 8, 8]
NAMED = [{"name": "left", "mask": LEFT}, {"name": "right", "mask": RIGHT}]
BASE = {
    "experiment": "test",
    "data": {"source": "digits", "subset": 60},
    "model": {"unet": UNET},
    "checkpoints": {"count": 4},
    "scores": {"keep_checkpoints": True},
    "attribution": {"steps": [100, 300, 500, 700, 900]},
    "targets": [{"id": "a", "seed": 1, "mask": NAMED}, {"id": "b", "seed": 2}],
}


def plan(rows=None, **sections):
    made = copy.deepcopy({**BASE, **sections})
    made["targets"] = copy.deepcopy(BASE["targets"] if rows is None else rows)
    return Plan(complete(made))


def spec(of, stage, target, **wildcards):
    return of.spec(stage, target=target, **{"basis": "plain", "method": stage.removeprefix("score_"), **wildcards})


def test_each_named_mask_is_a_target_in_the_order_of_the_rows():
    found = plan().config["targets"]
    assert [row["id"] for row in found] == ["a-left", "a-right", "b"]
    assert [row.get("mask") for row in found] == [LEFT, RIGHT, None] and all(row["seed"] for row in found)


def test_named_masks_have_the_specs_of_single_ones():
    """All that a name changes is the path."""
    named, single = plan(), plan([{"id": "x", "seed": 1, "mask": RIGHT}, {"id": "b", "seed": 2}])
    for stage in ("sample_trajectory", "target_gradients", "score_trak", "score_pixel", "score_random"):
        assert spec(named, stage, "a-right") == spec(single, stage, "x"), stage
        assert spec(named, stage, "b") == spec(single, stage, "b"), stage
    trajectories = [spec(named, "sample_trajectory", name) for name in ("a", "a-left")]
    assert trajectories == [spec(single, "sample_trajectory", "x")] * 2


def test_masks_of_one_image_differ_in_their_gradients_only():
    found = plan()
    left, right = (copy.deepcopy(spec(found, "target_gradients", name)) for name in ("a-left", "a-right"))
    assert [made["target_gradients"]["target"].pop("mask") for made in (left, right)] == [LEFT, RIGHT]
    assert left == right


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 0, 1]])
def test_another_mask_changes_no_other_target(order):
    rows = copy.deepcopy(BASE["targets"])
    more = [*NAMED, {"name": "top", "mask": [0, 0, 8, 4]}]
    rows[0]["mask"] = [more[k] for k in order]
    before, after = plan(), plan(rows)
    for stage in ("sample_trajectory", "target_gradients", "score_trak", "trajectory_panel"):
        for name in before.targets:
            key = {"target": name, "basis": "plain", "method": "trak"}
            assert before.identity(stage, **key) == after.identity(stage, **key), (stage, name)
    same = [made.identity("sample_trajectory", target="a") for made in (before, after)]
    assert same[0] == same[1] and set(after.shared.values()) == {"a"}


def test_an_evaluation_of_the_id_means_all_its_masks():
    removals = {"targets": ["a", "a-left", "b"], "n_remove": [5], "step": 300}
    likelihood = {"features": {"a": 3, "b": 4}}
    found = plan(evaluation={"forgetting": removals, "samples": {"targets": ["a"]}, "seed_consistency": {}})
    assert found.evaluated("forgetting") == ["a-left", "a-right", "b"]
    assert found.evaluated("samples") == ["a-left", "a-right"]
    found = plan(evaluation={"samples": {"targets": ["a-right", "b"]}, "likelihood": {}})
    assert found.evaluated("samples") == ["a-right", "b"]
    found = plan(evaluation={"samples": {"targets": 2}})
    assert found.evaluated("samples") == ["a-left", "a-right"]
    found = plan(evaluation={"samples": {}, "likelihood": likelihood})
    assert found.spec("feature_likelihood")["feature_likelihood"]["likelihood"]["features"] == {
        "a-left": 3,
        "a-right": 3,
        "b": 4,
    }


def test_an_unknown_mask_of_an_evaluation_is_refused():
    with pytest.raises(WaypointError, match="evaluation.samples.targets: 'a-top' is not a target's id"):
        plan(evaluation={"samples": {"targets": ["a-top"]}})


def test_one_image_counts_once_for_seed_consistency():
    found = seeded_targets(plan(evaluation={"seed_consistency": {}}))
    assert found == [{"id": "a", "seed": 1}, {"id": "b", "seed": 2}]


def test_figures_are_one_per_image_at_the_step_nearest_to_the_papers():
    rows = [*BASE["targets"], {"id": "c", "seed": 3, "mask": RIGHT, "steps": [0, 340, 500]}]
    found = plan(rows)
    assert found.region_figures == ["a", "c"] and plan(rows, methods=["pixel"]).region_figures == []
    drawn = {name: found.spec("plot_regions", target=name)["plot_regions"] for name in "ac"}
    assert drawn["a"]["figures"] == {"mask_step": 300}  # of two equally near ones the cleaner image
    assert drawn["c"]["figures"] == {"mask_step": 340}
    assert drawn["a"]["masks"] == [{"name": "a-left", "mask": LEFT}, {"name": "a-right", "mask": RIGHT}]
    chosen = plan(rows[2:], figures={"mask_step": 0})
    assert chosen.spec("plot_regions", target="c")["plot_regions"]["figures"] == {"mask_step": 0}
    panels = [made.identity("trajectory_panel", target="c", method="trak") for made in (chosen, plan(rows[2:]))]
    assert panels[0] == panels[1]  # none is drawn again


# ---- sizes


def test_the_images_size_is_the_datas_where_the_model_works_on_latents():
    config = {"model": {"unet": {"sample_size": 8, "in_channels": 4}}, "data": {"size": 64}}
    assert known_image_size(config) == (8, 8)
    assert known_image_size({**config, "vae": {"path": "vae/"}}) == (64, 64)
    assert known_image_size({**config, "vae": {"path": "vae/"}, "data": {"size": None}}) is None


@pytest.mark.parametrize(
    "mask, image, grid, words",
    [
        ([0, 0, 65, 64], (64, 64), (8, 8), ["t: mask [0, 0, 65, 64]", "64 × 64"]),
        ([0, 0, 8, 8], (60, 60), (8, 8), ["t: mask of 60 × 60 pixels does not fit 8 × 8 cells"]),
    ],
)
def test_masks_that_fit_neither_image_nor_latents_are_refused(mask, image, grid, words):
    with pytest.raises(WaypointError) as caught:
        regions.check(mask, image, grid, "t")
    assert all(word in str(caught.value) for word in words)


def test_a_box_in_pixels_weighs_the_cells_of_a_latent():
    regions.check([0, 0, 64, 64], (64, 64), (8, 8), "t")
    weight = mask_weight([0, 0, 12, 64], None, (64, 64), (8, 8)).numpy()
    assert weight.shape == (8, 8) and (weight[:, 0] == 1).all() and (weight[:, 1] == 0.5).all()
    assert (weight[:, 2:] == 0).all() and mask_weight(None, None, (64, 64), (8, 8)) is None


def test_a_png_is_as_large_as_the_image_and_not_as_the_latent(tmp_path):
    white = np.zeros((64, 64), np.uint8)
    white[:, :12] = 255
    Image.fromarray(white).save(tmp_path / "mask.png")
    found = mask_weight({"file": "hash"}, tmp_path / "mask.png", (64, 64), (8, 8))
    assert found.equal(mask_weight([0, 0, 12, 64], None, (64, 64), (8, 8)))
    with pytest.raises(WaypointError, match=r"mask\.png has 64 × 64 pixels, but the image has 32 × 32"):
        mask_weight({"file": "hash"}, tmp_path / "mask.png", (32, 32), (8, 8))
