"""The VAE: latents as diffusers' own calls give them, unit variance, a reconstruction that training improves."""

import copy
import math

import pytest
import torch
from diffusers import AutoencoderKL
from sklearn.datasets import load_digits
from support import AUTOENCODER, values

from waypoint.errors import WaypointError
from waypoint.science import autoencoder
from waypoint.science.autoencoder import Autoencoder, AutoencoderTrainer, reconstruction_rmse, standardise

RECIPE = {"epochs": 3, "batch_size": 8, "learning_rate": 3e-3, "kl_weight": 1e-6}


def vae(seed=0, **changes):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return AutoencoderKL(**{**AUTOENCODER, "in_channels": 1, "out_channels": 1, **changes}).eval()


def digits(n):
    return torch.from_numpy(load_digits().images[:n, None] / 8 - 1).float()


def colour(n, size=8):
    return torch.rand(n, 3, size, size, generator=torch.Generator().manual_seed(1)) * 2 - 1


CASES = [
    ({}, digits(5)),
    ({"in_channels": 3, "out_channels": 3, "scaling_factor": 0.5, "shift_factor": 0.3}, colour(5)),
]


@pytest.mark.parametrize("changes, images", CASES, ids=["grey", "colour, shifted"])
@pytest.mark.parametrize("pixels", [1 << 19, 2 * 64])
def test_encoding_and_decoding_are_diffusers_own(monkeypatch, changes, images, pixels):
    """Whole and in parts, in double precision: its rounding is far below the tolerances."""
    monkeypatch.setattr(autoencoder, "PIXELS", pixels)
    network, images = vae(**changes).double(), images.double()
    scale, shift = changes.get("scaling_factor", 0.18215), changes.get("shift_factor", 0)
    noise = values(5, 2, 4, 4, seed=2)
    with torch.no_grad():
        posterior = network.encode(images).latent_dist
        mean = (posterior.mode() - shift) * scale
        drawn = (posterior.mean + torch.exp(0.5 * posterior.logvar) * noise - shift) * scale
        made = network.decode(mean / scale + shift).sample
    mine = Autoencoder(network)
    assert torch.allclose(mine.encode(images), mean, atol=1e-6)
    assert torch.allclose(mine.encode(images, noise), drawn, atol=1e-6)
    assert torch.allclose(mine.decode(mean), made.clamp(-1, 1), atol=1e-5)
    assert not torch.allclose(mean, drawn, atol=1e-2)


def test_decoded_images_are_clamped_and_latents_are_not():
    mine = Autoencoder(vae(scaling_factor=1e3))
    latents = mine.encode(digits(4))
    assert latents.abs().max() > 10
    with torch.no_grad():
        mine.vae.decoder.conv_out.weight.mul_(1e3)
    assert mine.decode(latents).abs().max() == 1


@pytest.mark.parametrize("levels, factor", [(1, 1), (2, 2), (4, 8)])
def test_the_factor_is_the_side_of_a_latent_cell(levels, factor):
    blocks = {"down_block_types": ["DownEncoderBlock2D"] * levels, "up_block_types": ["UpDecoderBlock2D"] * levels}
    mine = Autoencoder(vae(**blocks, block_out_channels=[4] * levels))
    assert mine.factor == factor
    images = digits(2).repeat(1, 1, 2, 1)
    assert mine.encode(images).shape[1:] == mine.latent_shape((1, 16, 8)) == (2, 16 // factor, 8 // factor)


def test_images_that_do_not_fit_are_refused():
    with pytest.raises(WaypointError, match="vae takes images of 1 channels, the data has 3"):
        Autoencoder(vae()).encode(colour(2))
    with pytest.raises(WaypointError, match="2 × 2 pixels, which does not divide images of 8 × 7; set data.size to a"):
        Autoencoder(vae()).encode(digits(2)[..., :7])


@pytest.mark.parametrize("key", ["latents_mean", "latents_std"])
def test_latents_standardised_by_channel_are_refused(key):
    with pytest.raises(WaypointError, match="vae: latents_mean and latents_std are not supported"):
        Autoencoder(vae(**{key: [1.0, 1.0]}))


# ---- training


def test_the_loss_is_absolute_error_and_weighted_divergence():
    network, images, rows = vae(), digits(6), torch.tensor([4, 1, 2])
    found = {}
    for weight in (0.0, 10.0):
        trainer = AutoencoderTrainer(network, images, {**RECIPE, "kl_weight": weight}, 0)
        found[weight] = trainer.loss(rows, torch.Generator().manual_seed(3)).item()
    noise = torch.randn(3, 2, 4, 4, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        posterior = network.encode(images[rows]).latent_dist
        made = network.decode(posterior.mean + posterior.std * noise).sample
        mine = torch.distributions.Normal(posterior.mean, posterior.std)
        divergence = torch.distributions.kl_divergence(mine, torch.distributions.Normal(0.0, 1.0)).sum() / (3 * 64)
    assert found[0.0] == pytest.approx((made - images[rows]).abs().mean().item(), rel=1e-5)
    assert found[10.0] - found[0.0] == pytest.approx(10 * divergence.item(), rel=1e-4)


def finish(trainer):
    while not trainer.finished:
        trainer.run_epoch()
    return trainer


def flat(trainer):
    return torch.cat([q.detach().reshape(-1) for q in trainer.final_weights().parameters()])


def test_resumed_training_equals_an_undisturbed_one():
    undisturbed = finish(AutoencoderTrainer(vae(), digits(20), RECIPE, 0))
    first = AutoencoderTrainer(vae(), digits(20), RECIPE, 0)
    first.run_epoch()
    second = AutoencoderTrainer(vae(), digits(20), RECIPE, 0)
    second.load_state(copy.deepcopy(first.state()))
    finish(second)
    assert second.losses == undisturbed.losses and torch.equal(flat(second), flat(undisturbed))
    assert finish(AutoencoderTrainer(vae(), digits(20), RECIPE, 1)).losses != undisturbed.losses


def test_a_loss_that_is_not_finite_is_refused_with_the_right_key():
    images = digits(20)
    images[3] = math.nan
    with pytest.raises(WaypointError, match=r"training vae: loss is nan in epoch 1; lower vae.train.learning_rate"):
        finish(AutoencoderTrainer(vae(), images, RECIPE, 0))


@pytest.mark.parametrize("images", [digits(300), colour(40)], ids=["grey", "colour"])
def test_standardised_latents_have_zero_mean_and_unit_deviation_and_the_same_images(images):
    network = vae(in_channels=images.shape[1], out_channels=images.shape[1])
    with torch.no_grad():
        network.quant_conv.bias.copy_(torch.tensor([3.0, -2.0, 0.0, 0.0]))  # mean and logarithm of variance
        before = network.decode(network.encode(images).latent_dist.mode()).sample
    standardise(network, images)
    with torch.no_grad():
        z = network.encode(images).latent_dist.mode()
        after = network.decode(z).sample
    latents = z * network.config.scaling_factor
    assert latents.std(correction=0).item() == pytest.approx(1, abs=1e-4)
    assert latents.mean((0, 2, 3)).abs().max() < 1e-4
    assert torch.allclose(Autoencoder(network).encode(images), latents, atol=1e-4)
    assert torch.allclose(before, after, atol=1e-4)


def test_latents_that_are_all_equal_are_refused():
    network = vae()
    with torch.no_grad():
        network.quant_conv.weight.zero_()
        network.quant_conv.bias.zero_()
    with pytest.raises(WaypointError, match="all latents are equal"):
        standardise(network, digits(4))


def test_training_learns_to_reconstruct_digits():
    images, kept = digits(600)[:500], digits(600)[500:]
    network = vae()
    before = reconstruction_rmse(network, kept)
    finish(AutoencoderTrainer(network.train(), images, {**RECIPE, "epochs": 5, "learning_rate": 5e-3}, 0))
    after = reconstruction_rmse(network.eval(), kept)
    with torch.no_grad():
        made = network.decode(network.encode(kept).latent_dist.mode()).sample.clamp(-1, 1)
    assert after == pytest.approx((made - kept).pow(2).mean().sqrt().item(), rel=1e-4)
    # for comparison, what the mean image leaves
    assert after < 0.8 * (kept - images.mean(0)).pow(2).mean().sqrt().item() < before
