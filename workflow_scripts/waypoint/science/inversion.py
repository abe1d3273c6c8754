"""A trajectory for an image that has none: noise added at every step (the forward process q(x_t|x_0) of DDPM)."""

from collections.abc import Sequence

import torch

from waypoint.science.processes.ddpm import Denoiser
from waypoint.science.random_streams import torch_stream
from waypoint.science.types import Numbers


def inversion_noise(seed: int, image: str, noise: int, step: int, shape: Sequence[int]) -> torch.Tensor:
    """Return ε_t of one image, noise trajectory and step, independent of the model and of other steps and trajectories.

    Args:
        seed: the experiment's seed. image: hash of the image file. noise: number of the trajectory, from 0.
        shape: (C, H, W).

    Returns:
        (C, H, W) float32.
    """
    return torch.randn(*shape, generator=torch_stream(seed, "inversion", image, noise, int(step)))


def noised(
    denoiser: Denoiser, x0: torch.Tensor, steps: Sequence[int] | Numbers, seed: int, image: str, noise: int
) -> torch.Tensor:
    """Return x_t = √ᾱ_t x_0 + √(1-ᾱ_t) ε_t at several steps, with ε_t independent between steps.

    Args:
        x0: (C, H, W). steps: (S,). seed, image, noise: the key of ε_t, as for ``inversion_noise``.

    Returns:
        (S, C, H, W) on the CPU.
    """
    epsilon = torch.stack([inversion_noise(seed, image, noise, t, x0.shape) for t in steps]).to(denoiser.device)
    t = torch.tensor(steps, device=denoiser.device)
    return denoiser.add_noise(x0.to(denoiser.device).expand(epsilon.shape), epsilon, t).cpu()
