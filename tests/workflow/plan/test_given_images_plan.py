"""A given image adds to a plan its own artifacts, and nothing of others'."""

import copy
import shutil

import pytest
from PIL import Image
from support import UNET

from waypoint.workflow.config.complete import complete
from waypoint.workflow.estimate import costs
from waypoint.workflow.plan.plan import Plan

BASE = {
    "experiment": "test",
    "data": {"source": "digits", "subset": 60},
    "model": {"unet": UNET},
    "checkpoints": {"count": 2},
    "attribution": {"steps": [100, 300]},
    "methods": ["trak", "pixel"],
    "targets": [{"id": "s", "seed": 1}, {"id": "hers", "image": "made.png"}],
}
METHODS = {"score_pixel": "pixel"}
OWN = ("invert_image", "target_gradients", "sample_from_x_t", "score_trak", "score_pixel", "compare_image")


@pytest.fixture(autouse=True)
def picture(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (20, 14), "red").save("made.png")


def plan(row=None, targets=None, **sections):
    made = copy.deepcopy({**BASE, **sections})
    made["targets"][1] |= row or {}
    if targets is not None:
        made["targets"] = targets
    return Plan(complete(made))


def identity(of, stage, target="hers"):
    names = {"target": target, "basis": "plain", "method": METHODS.get(stage, "trak"), "checkpoint": "full/0"}
    return of.identity(stage, **names)


def differing(a, b, target="hers"):
    return {stage for stage in OWN if identity(a, stage, target) != identity(b, stage, target)}


def test_the_image_enters_by_content_and_not_by_place(tmp_path):
    shutil.copy("made.png", "moved.png")
    assert differing(plan(), plan({"image": "moved.png"})) == set()
    Image.new("RGB", (20, 14), "blue").save("other.png")
    assert differing(plan(), plan({"image": "other.png"})) == set(OWN)
    target = plan().spec("invert_image", target="hers")["invert_image"]["target"]
    assert len(target.pop("image")) == 64 and target == {"inversion": "ddpm", "noises": 4}


@pytest.mark.parametrize("row", [{"inversion": "ddim"}, {"noises": 2}])
def test_another_trajectory_is_another_target(row):
    assert differing(plan(), plan(row)) == set(OWN)


def test_other_steps_leave_the_trajectory_alone():
    assert differing(plan(), plan({"steps": [500]})) == set(OWN) - {"invert_image"}


def test_an_image_changes_nothing_of_other_targets():
    without, beside = plan(targets=[BASE["targets"][0]]), plan()
    for stage in ("train", "featurize", "sample_trajectory", "target_gradients", "score_trak", "trajectory_panel"):
        assert identity(without, stage, "s") == identity(beside, stage, "s"), stage
    assert beside.compared_image("s") == [] and not without.given


def test_masks_of_an_image_share_its_trajectory_and_its_comparison():
    masks = [{"name": "left", "mask": [0, 0, 4, 8]}, {"name": "right", "mask": [4, 0, 8, 8]}]
    made = plan({"mask": masks})
    assert made.given == ["hers"] and made.trajectory("hers-left") == ("invert_image", {"target": "hers-left"})
    assert made.spec("invert_image", target="hers-left") == made.spec("invert_image", target="hers")
    assert made.compared_image("hers-right") == [("compare_image", {"target": "hers"})]


def test_the_estimate_counts_every_noise():
    sizes = costs.Sizes(60, 1000, 64, 64, 0, False, 1000)
    many, one = (costs.storage(plan(row), sizes)["targets"] for row in ({"noises": 5}, {"noises": 1}))
    # four more trajectories of x_t and x̂0_t; gradients of five noises beside their mean
    grid, d = plan().config["sampling"]["steps"], plan().config["projection"]["dim"]
    assert many - one == 4 * 4 * 2 * grid * 64 + 4 * 2 * 5 * 2 * d
