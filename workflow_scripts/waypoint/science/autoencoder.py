"""The VAE of a latent diffusion model: encoding, decoding and training (Rombach et al. 2022)."""

# torch and diffusers are partly untyped; diffusers types a configuration, whose keys are attributes, as a dict
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportAttributeAccessIssue=false

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from waypoint.errors import WaypointError
from waypoint.science.training import Trainer
from waypoint.science.types import Settings

if TYPE_CHECKING:
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

PIXELS = 1 << 19  # encoded or decoded at once: a channel of the widest layer then takes 2 MB


class Autoencoder:
    """A VAE between images and the latents that a denoiser sees.

    Latents are (z - shift) · scale, with both values from the VAE's configuration: about unit variance, never clipped.

    Args:
        vae: a diffusers ``AutoencoderKL``.

    Attributes:
        factor: pixels per latent cell along each side; 8 for Stable Diffusion.

    Raises:
        WaypointError: a VAE that standardises its latents per channel.
    """

    def __init__(self, vae: "AutoencoderKL") -> None:
        config = vae.config
        if config.get("latents_mean") is not None or config.get("latents_std") is not None:
            raise WaypointError("vae: latents_mean and latents_std are not supported; scaling_factor is")
        self.vae, self.device = vae, next(vae.parameters()).device
        self.scale, self.shift = config.scaling_factor, config.get("shift_factor") or 0.0
        self.factor = 2 ** (len(config.block_out_channels) - 1)

    def latent_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """Return the shape (C, H, W) of the latents of images of ``shape`` (C, H, W).

        Raises:
            WaypointError: the number of channels differs from the VAE's, or its factor does not divide the sides.
        """
        channels, *size = shape
        if channels != self.vae.config.in_channels:
            raise WaypointError(f"vae takes images of {self.vae.config.in_channels} channels, the data has {channels}")
        if any(side % self.factor for side in size):
            raise WaypointError(
                f"vae makes one latent cell of {self.factor} × {self.factor} pixels, which does not divide images of "
                f"{' × '.join(map(str, size))}; set data.size to a multiple of {self.factor}"
            )
        return (self.vae.config.latent_channels, *(side // self.factor for side in size))

    @torch.inference_mode()
    def encode(self, images: torch.Tensor, noise: torch.Tensor | None = None) -> torch.Tensor:
        """Encode images (n, C, H, W) in [-1, 1] as scaled latents: (n, c, h, w) on the CPU.

        Args:
            noise: (n, c, h, w) standard normal, to sample from the posterior; None takes its mean.

        Raises:
            WaypointError: images of a shape that the VAE cannot encode.
        """
        self.latent_shape(images.shape[1:])
        parts = images.split(self._batch(images.shape))
        latents: list[torch.Tensor] = []
        noises = [None] * len(parts) if noise is None else noise.split(len(parts[0]))
        for part, epsilon in zip(parts, noises):
            posterior = self.vae.encode(part.to(self.device)).latent_dist
            z = posterior.mean if epsilon is None else posterior.mean + posterior.std * epsilon.to(self.device)
            latents.append(((z - self.shift) * self.scale).cpu())
        return torch.cat(latents)

    @torch.inference_mode()
    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Decode scaled latents (n, c, h, w): images (n, C, H, W) clamped to [-1, 1], on the CPU."""
        images: list[torch.Tensor] = []
        for part in latents.split(self._batch(latents.shape, self.factor**2)):
            z = part.to(self.device) / self.scale + self.shift
            images.append(self.vae.decode(z).sample.clamp(-1, 1).cpu())
        return torch.cat(images)

    @staticmethod
    def _batch(shape: Sequence[int], pixels: int = 1) -> int:
        return max(1, PIXELS // (shape[-2] * shape[-1] * pixels))


class AutoencoderTrainer(Trainer["AutoencoderKL"]):
    """Trains an ``AutoencoderKL`` on images.

    The loss of a step is the mean absolute error of the reconstruction plus kl_weight times the KL divergence of the
    posterior from N(0, I), summed over an image's latents and divided by the image's number of values. These are the
    terms and the weighting of Rombach et al. without their perceptual and adversarial terms, which need other networks.
    The error is absolute because a squared one forgives the small, blurry errors that soften edges.

    Args:
        vae: the diffusers ``AutoencoderKL`` to train.
        images: (n, C, H, W) float in [-1, 1].
        recipe: epochs, batch_size, learning_rate, kl_weight. Gradients are clipped to norm 1.
        seed: key of the streams.
    """

    advice = "lower vae.train.learning_rate"

    def __init__(self, vae: "AutoencoderKL", images: torch.Tensor, recipe: Settings, seed: int) -> None:
        recipe = {"weight_decay": 0.0, "ema": None, "gradient_clip": 1.0, **recipe}
        super().__init__(vae, images, recipe, seed, "vae")
        self.vae = vae

    def loss(self, rows: torch.Tensor, stream: torch.Generator) -> torch.Tensor:
        """Mean absolute error of images decoded from posterior samples, plus the weighted divergence."""
        images = self.images[rows].to(self.device)
        posterior = self.vae.encode(images).latent_dist
        noise = torch.randn(posterior.mean.shape, generator=stream).to(self.device)
        decoded = self.vae.decode(posterior.mean + posterior.std * noise).sample
        divergence = posterior.kl().mean() / images[0].numel()
        return (decoded - images).abs().mean() + self.recipe["kl_weight"] * divergence


def standardise(vae: "AutoencoderKL", images: torch.Tensor) -> None:
    """Give a trained VAE's latents of ``images`` zero mean and unit variance without changing any reconstruction.

    The scaling factor becomes 1 / sd, as in Rombach et al. (appendix G), but over the posterior means of all images
    instead of one batch. Because the divergence has so small a weight, every channel keeps a mean of its own, up to
    3 sd from 0 on digits, whereas sampling starts around 0. The means are therefore moved from the encoder's last bias
    to the decoder's first.

    Args:
        vae: a trained diffusers ``AutoencoderKL``, changed in place. images: (n, C, H, W) float in [-1, 1].

    Raises:
        WaypointError: all latents are equal, so nothing was learned; the VAE lacks a layer whose bias is changed; or it
            cannot encode images of this shape.
    """
    vae.register_to_config(scaling_factor=1.0)
    latents = Autoencoder(vae).encode(images).double()
    mean = latents.mean((0, 2, 3))
    deviation = (latents - mean[:, None, None]).pow(2).mean().sqrt().item()
    if not deviation > 0:
        raise WaypointError("training vae: all latents are equal; train longer or lower vae.train.kl_weight")
    decoder_in, encoder_out = vae.post_quant_conv, vae.quant_conv
    if decoder_in is None or encoder_out is None or decoder_in.bias is None or encoder_out.bias is None:
        raise WaypointError("training vae: a VAE without quant_conv and post_quant_conv cannot be standardised")
    with torch.no_grad():
        mean = mean.to(encoder_out.bias)
        encoder_out.bias[: len(mean)] -= mean
        decoder_in.bias += decoder_in.weight[:, :, 0, 0] @ mean
    vae.register_to_config(scaling_factor=1 / deviation)


def reconstruction_rmse(vae: "AutoencoderKL", images: torch.Tensor) -> float:
    """Root mean square error of the reconstructions from posterior means, over all images; images are in [-1, 1]."""
    autoencoder = Autoencoder(vae)
    decoded = autoencoder.decode(autoencoder.encode(images))
    return (decoded - images.cpu()).double().pow(2).mean().sqrt().item()
