"""Guidance of models of classes at planning."""

import json

import numpy as np
import pytest
import torch
from diffusers import DDPMPipeline
from support import store, tiny_config, tiny_denoiser

from waypoint.errors import WaypointError
from waypoint.workflow.plan import networks
from waypoint.workflow.plan.plan import Plan

TRAINING = {"epochs": 3, "batch_size": 15, "learning_rate": 1e-3, "ema": 0.9}


def configured(tiny_model, classes=11, dropout=0.1, label=3, **sections):
    model = {**tiny_model, "unet": {**tiny_model["unet"], "num_class_embeds": classes}}
    guidance = {"sampling": {"steps": 20, "guidance": 2}, "training": {**TRAINING, "label_dropout": dropout}}
    targets = [{"id": "a", "seed": 1, **({} if classes is None else {"label": label})}]
    return tiny_config(model, **{**guidance, "targets": targets, **sections})


def test_guidance_of_classes_is_planned(tiny_model):
    plan = Plan(configured(tiny_model))
    assert plan.spec("train", checkpoint="full/0")["train"]["training"]["label_dropout"] == 0.1
    assert plan.sampling() == {"steps": 20, "guidance": 2}
    unset = Plan(configured(tiny_model, dropout=0, sampling={"steps": 20}))
    assert "label_dropout" not in unset.spec("train", checkpoint="full/0")["train"]["training"]


@pytest.mark.parametrize(
    "change, words",
    [
        ({"dropout": 0}, "sampling.guidance needs a model that knows no class too: set training.label_dropout"),
        ({"label": 10}, r"targets\[0\] \(a\): label: 10 is the class that stands for none .* 0 to 9"),
        ({"classes": None}, "training.label_dropout: 0.1 needs classes: model.unet.num_class_embeds"),
        ({"classes": None, "dropout": 0}, "sampling.guidance needs captions: the section text_encoder, or a model of"),
    ],
)
def test_guidance_without_a_class_for_none_is_refused(tiny_model, change, words):
    with pytest.raises(WaypointError, match=words):
        configured(tiny_model, **change)


def test_a_class_that_images_have_cannot_stand_for_none(tmp_path, tiny_model):
    data = {"image": (("train", "channel", "y", "x"), torch.zeros(30, 1, 8, 8))}
    place = str(store(tmp_path / "train.zarr", **data, label=(("train",), np.arange(30) % 10)))

    def asked(plan):
        made = [plan.model(checkpoint) for checkpoint in plan.checkpoints]
        return networks.answer(**json.loads(json.dumps(networks.question(plan, made, place))))

    asked(Plan(configured(tiny_model)))
    with pytest.raises(WaypointError, match="model.unet takes class 9, its last, as the null .* num_class_embeds 11"):
        asked(Plan(configured(tiny_model, classes=10)))
    denoiser = tiny_denoiser(tiny_model, num_class_embeds=10)
    DDPMPipeline(denoiser.unet, denoiser.scheduler).save_pretrained(tmp_path / "a")
    given = {"sampling": {"steps": 20, "guidance": 2}, "targets": [{"id": "a", "seed": 1, "label": 3}]}
    plan = Plan(tiny_config(None, checkpoints={"paths": [str(tmp_path / "a")]}, **given))
    assert plan.spec("import_checkpoint", checkpoint="full/0")["import_checkpoint"]["checkpoint"]["null_class"]
    with pytest.raises(WaypointError, match="checkpoint .*/a takes class 9"):
        asked(plan)
