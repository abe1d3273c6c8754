"""Training: it learns, resumes exactly, and refuses a loss that is not finite."""

import copy
import math

import pytest
import torch
from support import images, tiny_denoiser

from waypoint.errors import WaypointError
from waypoint.science.training import DenoiserTrainer

RECIPE = {
    "epochs": 4,
    "batch_size": 5,
    "learning_rate": 3e-3,
    "weight_decay": 0.0,
    "ema": 0.9,
    "gradient_clip": None,
    "flip": False,
}


def trainer(model, **changes):
    denoiser = tiny_denoiser(model, **changes.pop("unet", {}))
    denoiser.unet.train()
    labels = torch.arange(12) % 3 if denoiser.unet.config.num_class_embeds else None
    return DenoiserTrainer(denoiser, images(12), labels, {**RECIPE, **changes}, 0, "full/0")


def weights(run):
    return torch.cat([q.detach().reshape(-1) for q in run.final_weights().parameters()])


def finish(run):
    while not run.finished:
        run.run_epoch()
    return run


def test_loss_falls(tiny_model):
    run = finish(trainer(tiny_model, epochs=40))
    assert sum(run.losses[-5:]) < 0.7 * sum(run.losses[:5])


@pytest.mark.parametrize(
    "changes", [{}, {"ema": None, "flip": True}, {"unet": {"num_class_embeds": 3, "dropout": 0.1}}]
)
def test_resumed_training_equals_an_undisturbed_one(tiny_model, changes):
    undisturbed = finish(trainer(tiny_model, **copy.deepcopy(changes)))
    first = trainer(tiny_model, **copy.deepcopy(changes))
    first.run_epoch(), first.run_epoch()
    state = copy.deepcopy(first.state())
    second = trainer(tiny_model, **copy.deepcopy(changes))
    second.load_state(state)
    finish(second)
    assert second.losses == undisturbed.losses
    assert torch.equal(weights(second), weights(undisturbed))


def test_learning_rate_follows_a_cosine_to_zero(tiny_model):
    run, rates = trainer(tiny_model), []
    while not run.finished:
        rates.append(run.optimizer.param_groups[0]["lr"])
        run.run_epoch()
    steps = 4 * math.ceil(12 / 5)
    expected = [RECIPE["learning_rate"] * (1 + math.cos(math.pi * 3 * epoch / steps)) / 2 for epoch in range(4)]
    assert rates == pytest.approx(expected)
    assert run.optimizer.param_groups[0]["lr"] == pytest.approx(0, abs=1e-12)


def test_ema_is_the_average_of_the_visited_weights(tiny_model):
    run = trainer(tiny_model, epochs=1, batch_size=12)
    start = [q.detach().clone() for q in run.denoiser.unet.parameters()]
    run.run_epoch()
    decay = min(0.9, 2 / 11)
    for mean, first, now in zip(run.ema, start, run.denoiser.unet.parameters()):
        assert torch.allclose(mean, decay * first + (1 - decay) * now, atol=1e-6)


def test_refuses_to_go_on_after_a_non_finite_loss(tiny_model):
    run = trainer(tiny_model)
    run.images[3] = math.nan
    with pytest.raises(WaypointError, match=r"training full/0: loss is nan in epoch 1"):
        finish(run)
    assert torch.isfinite(weights(trainer(tiny_model))).all()


def test_models_of_other_names_have_other_noise(tiny_model):
    runs = [trainer(tiny_model), trainer(tiny_model)]
    runs[1].key = (0, "training", "full/1")
    assert finish(runs[0]).losses != finish(runs[1]).losses
