"""Configurations and specs without training images: what is left out, what is refused, and what specs then hold."""

import copy
import json

import pytest
from pipelines import UNET
from support import tiny_clip

from waypoint.errors import WaypointError
from waypoint.workflow.config.complete import complete
from waypoint.workflow.plan.plan import Plan

BASE = {
    "experiment": "test",
    "checkpoints": {"paths": ["first", "second"], "sampler": "ddpm"},
    "vae": {"path": "some/vae"},
    "text_encoder": {"path": "some/encoder"},
    "targets": [{"id": "a", "seed": 1, "prompt": "a dog"}],
}


BETAS = {"beta_schedule": "linear", "beta_start": 1e-4, "beta_end": 0.02, "num_train_timesteps": 1000}


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    """Two models with different grids: 100 is on the second's only."""
    monkeypatch.chdir(tmp_path)
    for name, offset in (("first", 1), ("second", 0)):
        for part, content in (
            ("unet/config.json", UNET),
            ("scheduler/scheduler_config.json", {**BETAS, "steps_offset": offset}),
        ):
            (tmp_path / name / part).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name / part).write_text(json.dumps(content))


def config(**changes):
    return {**copy.deepcopy(BASE), **changes}


def message(**changes):
    with pytest.raises(WaypointError) as caught:
        complete(config(**changes))
    return str(caught.value)


def test_nothing_is_attributed():
    for given in (config(), config(data=None)):
        done = complete(given)
        assert done["data"] is None and done["methods"] == {}
        plan = Plan(done)
        assert not plan.attributed and not plan.encoded and plan.region_figures == [] and plan.encoders == []


@pytest.mark.parametrize("key", "methods training features gradients projection kernel scores pixel".split())
def test_sections_about_training_images_are_refused(key):
    value = ["random"] if key == "methods" else {}
    assert (
        message(**{key: value}) == f"config: {key} needs training images: the section data; leave it out, or add that"
    )


@pytest.mark.parametrize(
    "section",
    "lds counterfactual forgetting likelihood step_correlation sign_overlap top_overlap split_half".split(),
)
def test_evaluations_of_training_images_are_refused(section):
    own = {"targets": 1, "n_remove": [1]} if section in ("counterfactual", "forgetting") else {}
    assert message(evaluation={section: own}).startswith(f"config: evaluation.{section} needs training images")


def test_what_is_trained_or_masked_is_refused():
    autoencoder = {"block_out_channels": [8], "down_block_types": ["DownEncoderBlock2D"]}
    train = {"autoencoder": autoencoder | {"up_block_types": ["UpDecoderBlock2D"]}}
    assert "vae.train needs training images" in message(vae={"train": train})
    masked = [{**BASE["targets"][0], "mask": [0, 0, 2, 2]}]
    assert "targets[0].mask needs training images" in message(targets=masked)
    assert "tables.images needs training images" in message(tables={"images": [3]})
    assert "config: data is missing: only checkpoints.paths" in message(checkpoints={"count": 2})


def test_steps_count_where_samples_restart_only():
    complete(config())  # the default steps are on no grid of the first model, and nothing is done at them
    assert "attribution.steps: step 100" in message(evaluation={"samples": {}})
    second = [{**BASE["targets"][0], "checkpoint": "full/1"}]
    complete(config(targets=second, evaluation={"samples": {}}))  # each model has a grid of its own


def test_what_needs_no_training_images_is_accepted(tmp_path):
    tiny_clip(tmp_path / "clip")
    captions = {"encoder": "clip", "captions": {"a": ["x", "y"]}}
    evaluation = {"samples": {"steps": [1]}, "caption_likelihood": captions, "seed_consistency": {}}
    encoders = {"clip": {"kind": "clip", "path": "clip"}}
    assert complete(config(evaluation=evaluation, image_encoders=encoders))["evaluation"]["caption_likelihood"]
    unconditional = config(targets=[{"id": "a", "seed": 1}], checkpoints={"paths": ["some/model"]})
    del unconditional["text_encoder"], unconditional["vae"]
    complete(unconditional)


def test_a_missing_image_text_model_is_left_out_with_a_warning():
    captions = {"encoder": "clip", "captions": {"a": ["x", "y"]}}
    evaluation = {"samples": {"steps": [1]}, "caption_likelihood": captions}
    with pytest.warns(match="evaluation.caption_likelihood is off"):
        done = complete(config(evaluation=evaluation, image_encoders={"clip": {"kind": "clip", "path": "./none"}}))
    assert done["evaluation"]["caption_likelihood"] is None


def test_specs_hold_the_encoders_and_no_data():
    plan = Plan(complete(config(evaluation={"samples": {"steps": [1]}})))
    made = plan.spec("import_checkpoint", checkpoint="full/1")
    assert made["item"] == {"checkpoint": {"path": "second", "reference": None}}  # it is compared with no reference
    assert made["import_checkpoint"]["checkpoint"] == {"sampler": "ddpm"}
    assert made["import_vae"]["vae"] == {"path": "some/vae"}
    assert made["import_text_encoder"]["text_encoder"]["path"] == "some/encoder"
    assert made.keys() == {"seed", "item", "import_vae", "import_text_encoder", "import_checkpoint"}
    for stage in ("sample_trajectory", "sample_from_x_t", "one_step_error", "plot_trajectory"):
        spec = plan.spec(stage, target="a")
        assert spec["import_text_encoder"] == made["import_text_encoder"] and "prepare_data" not in spec


def test_compared_models_carry_their_sampler():
    def made(**checkpoints):
        given = {**BASE["checkpoints"], **checkpoints}
        return Plan(complete(config(checkpoints=given, evaluation={"seed_consistency": {}})))

    assert made().spec("seed_consistency")["import_checkpoint"]["checkpoint"] == {"sampler": "ddpm"}
    assert made().identity("seed_consistency") != made(paths=["second", "first"]).identity("seed_consistency")
