"""Training: it learns, resumes exactly, and refuses a loss that is not finite."""

import copy
import math

import pytest
import torch
from diffusers import DDPMScheduler, UNet2DConditionModel
from support import images, tiny_denoiser

from waypoint.errors import WaypointError
from waypoint.science.processes.ddpm import Denoiser
from waypoint.science.random_streams import torch_stream
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


# ---- captions


CAPTIONS = torch.randn(12, 3, 4, generator=torch.Generator().manual_seed(5))
NULL = torch.zeros(3, 4)


class Watched(Denoiser):
    """A text-conditional denoiser that keeps what it is called with."""

    seen = ()

    def output(self, x, t, condition=None):
        self.seen = (*self.seen, (x, t, condition))
        return super().output(x, t, condition)


def text_trainer(conditions=CAPTIONS, null=NULL, **changes):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        unet = UNet2DConditionModel(
            sample_size=8,
            in_channels=1,
            out_channels=1,
            block_out_channels=(4, 8),
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
            layers_per_block=1,
            norm_num_groups=4,
            cross_attention_dim=4,
            attention_head_dim=2,
        )
    denoiser = Watched(unet.train(), DDPMScheduler())
    return DenoiserTrainer(denoiser, images(12), conditions, {**RECIPE, **changes}, 0, "full/0", null)


def rows_seen(run):
    return torch.cat([condition for _, _, condition in run.denoiser.seen])


def test_every_image_is_trained_with_its_own_caption():
    run = text_trainer(batch_size=12)
    run.run_epoch()
    order = torch.randperm(12, generator=torch_stream(0, "training", "full/0", 0))
    assert torch.equal(rows_seen(run), CAPTIONS[order])


def test_captions_may_come_as_arrays():
    class Stored:
        def __getitem__(self, rows):
            return CAPTIONS.numpy()[rows.numpy()]

    assert torch.equal(weights(finish(text_trainer(Stored()))), weights(finish(text_trainer())))


def test_a_share_of_zero_drops_nothing_and_changes_nothing():
    plain, zero = finish(text_trainer()), finish(text_trainer(caption_dropout=0))
    assert plain.losses == zero.losses and torch.equal(weights(plain), weights(zero))
    assert not (rows_seen(zero) == NULL).flatten(1).all(1).any()


def test_captions_are_dropped_at_their_rate_and_reproducibly():
    runs = [finish(text_trainer(caption_dropout=0.3, epochs=20, batch_size=12)) for _ in range(2)]
    dropped = (rows_seen(runs[0]) == NULL).flatten(1).all(1)
    assert dropped.double().mean().item() == pytest.approx(0.3, abs=3 * math.sqrt(0.3 * 0.7 / 240))
    assert runs[0].losses == runs[1].losses and torch.equal(weights(runs[0]), weights(runs[1]))
    epochs = dropped.reshape(20, 12)
    assert not torch.equal(epochs[0], epochs[1])  # an image is not always or never without its caption


def test_dropping_comes_after_every_other_draw():
    """One step sees the same images, flips, steps and noise with and without it."""
    runs = [text_trainer(caption_dropout=share, epochs=1, batch_size=12, flip=True) for share in (0, 0.5)]
    for run in runs:
        run.run_epoch()
    (plain,), (dropped,) = (run.denoiser.seen for run in runs)
    assert torch.equal(plain[0], dropped[0]) and torch.equal(plain[1], dropped[1])
    assert not torch.equal(plain[2], dropped[2])


def test_dropping_resumes_exactly():
    undisturbed = finish(text_trainer(caption_dropout=0.4))
    first, second = text_trainer(caption_dropout=0.4), text_trainer(caption_dropout=0.4)
    first.run_epoch()
    second.load_state(copy.deepcopy(first.state()))
    assert torch.equal(weights(finish(second)), weights(undisturbed))


def test_dropping_without_an_empty_caption_is_refused(tiny_model):
    with pytest.raises(WaypointError, match=r"training.caption_dropout: 0.1 needs captions"):
        trainer(tiny_model, caption_dropout=0.1)
