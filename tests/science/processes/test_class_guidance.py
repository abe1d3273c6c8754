"""Guidance of class-conditional models against two calls of the network by hand; classes that training drops."""

import math
import warnings

import pytest
import torch
from support import equal_autograd, images, target_example, tiny_denoiser

from waypoint.errors import WaypointError, WaypointWarning
from waypoint.science import algorithm1
from waypoint.science.gradients.engine import PerExampleGradients
from waypoint.science.networks.unet import null_class, require_null_class
from waypoint.science.processes.ddpm import generate, repeated
from waypoint.science.processes.guidance import Guided, guided
from waypoint.science.random_streams import torch_stream
from waypoint.science.training import DenoiserTrainer

CLASSES, STEPS = torch.tensor([0, 2, 1]), torch.tensor([3, 400, 999])
NULL = 3
RECIPE = {
    "epochs": 40,
    "batch_size": 12,
    "learning_rate": 1e-4,
    "weight_decay": 0.0,
    "ema": None,
    "gradient_clip": None,
    "flip": False,
}


@pytest.fixture(params=["epsilon", "v_prediction"])
def theta(request, tiny_model):
    scheduler = {"prediction_type": request.param, "clip_sample": False}
    return tiny_denoiser({**tiny_model, "scheduler": scheduler}, num_class_embeds=NULL + 1)


def by_hand(theta, x, t, labels, scale):
    """null + s (class − null), two calls."""
    none = theta.unet(x, t, class_labels=torch.full_like(labels, NULL)).sample
    return none + scale * (theta.unet(x, t, class_labels=labels).sample - none)


def close(a, b):
    return torch.allclose(a, b, rtol=1e-4, atol=1e-5 * b.abs().max().item())


@torch.no_grad()
@pytest.mark.parametrize("scale", [0, 0.5, 3])
def test_guidance_is_the_formula(theta, scale):
    x = images(3)
    assert int(null_class(theta.unet)) == NULL
    assert close(guided(theta, None, scale).output(x, STEPS, CLASSES), by_hand(theta, x, STEPS, CLASSES, scale))
    none = theta.unet(x, STEPS, class_labels=torch.full((3,), NULL)).sample
    assert close(guided(theta, None, 0).output(x, STEPS, CLASSES), none)
    assert not close(guided(theta, None, 3).output(x, STEPS, CLASSES), theta.output(x, STEPS, CLASSES))


def test_without_guidance_the_model_is_used_as_it_is(theta, tiny_model):
    assert guided(theta, None, 1) is theta and isinstance(guided(theta, None, 2), Guided)
    with pytest.raises(WaypointError, match="guidance 2: the model has neither captions nor classes"):
        guided(tiny_denoiser(tiny_model), None, 2)


@torch.no_grad()
def test_images_follow_the_guidance(theta):
    made = [generate(guided(theta, None, s), 4, torch_stream("seed"), CLASSES[:1])[-1] for s in (0, 1, 3)]
    none = generate(theta, 4, torch_stream("seed"), torch.tensor([NULL]))[-1]
    assert close(made[0], none) and not close(made[1], made[2])


def test_gradients_of_f_t_equal_one_by_one_autograd(theta):
    examples = [target_example(x0, t) for x0, t in zip(images(2), (100, 500))]
    for example in examples:
        example.condition = repeated(CLASSES[1:2], len(example.t))
    with warnings.catch_warnings():
        warnings.simplefilter("error", WaypointWarning)
        sampler = guided(theta, None, 3)
        rows = PerExampleGradients(theta.unet)(lambda x: algorithm1.output_function(sampler, x), examples)

    def plainly(x):
        x_t = theta.add_noise(x.x0, x.epsilon, x.t)
        out = by_hand(theta, x_t, x.t, x.condition, 3)
        if theta.predicts_v:
            signal, noise = theta.coefficients(x.t, x_t)
            out = signal * out + noise * x_t
        return (x.epsilon - out).pow(2).flatten(1).mean(1)

    assert equal_autograd(theta.unet, plainly, examples, rows, tolerance=1e-4)


# ---- training


class Seen:
    """A denoiser that keeps the classes of every batch."""

    def __init__(self, denoiser):
        self.denoiser, self.classes = denoiser, []

    def __getattr__(self, name):
        return getattr(self.denoiser, name)

    def train_loss(self, x0, t, epsilon, condition):
        self.classes.append(condition.clone())
        return self.denoiser.train_loss(x0, t, epsilon, condition)


def run(tiny_model, classes=NULL + 1, labels=None, **recipe):
    denoiser = Seen(tiny_denoiser(tiny_model, num_class_embeds=classes))
    labels = torch.arange(12) % NULL if labels is None else labels
    trainer = DenoiserTrainer(denoiser, images(12), labels, {**RECIPE, **recipe}, 0, "full/0")
    while not trainer.finished:
        trainer.run_epoch()
    return torch.cat(denoiser.classes), trainer


def test_labels_are_dropped_at_their_rate_after_every_other_draw(tiny_model):
    seen, trainer = run(tiny_model, label_dropout=0.3)
    dropped = seen == NULL
    assert dropped.double().mean().item() == pytest.approx(0.3, abs=3 * math.sqrt(0.3 * 0.7 / len(seen)))
    plain, without = run(tiny_model)
    assert torch.equal(seen[~dropped], plain[~dropped]) and not (plain == NULL).any()
    zero, same = run(tiny_model, label_dropout=0)
    assert torch.equal(zero, plain) and same.losses == without.losses != trainer.losses


def test_the_class_of_no_class_must_be_free(tiny_model):
    with pytest.raises(
        WaypointError, match="model.unet takes class 2, its last, .* labels up to 2; .*num_class_embeds 4"
    ):
        run(tiny_model, classes=NULL, label_dropout=0.1)
    with pytest.raises(WaypointError, match="training.label_dropout: 0.1 needs classes; the model sees none"):
        run(tiny_model, classes=None, label_dropout=0.1)
    require_null_class(tiny_denoiser(tiny_model, num_class_embeds=4).unet, CLASSES, "x")
