"""DDIM without noise (arXiv 2010.02502, Eq. 12 with σ = 0) and its inverse, which takes an image to its noise (§4.3).

One step from t to the next lower step s, with ε = ε_θ(x_t, t):

    x_s = √(ᾱ_s/ᾱ_t) x_t + (√(1-ᾱ_s) - √(ᾱ_s(1-ᾱ_t)/ᾱ_t)) ε

and the last one, from the lowest step, ends at the image, ᾱ = 1. Solved for x_t this is an equation in x_t, since ε is
taken there. Inversion as it is mostly done takes ε at x_s instead, the first iterate here; iterating goes on to
the x_t from which the step really leads to x_s. Nothing is clipped: what is clipped has no inverse.
"""

# torch and diffusers are partly untyped
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import copy

import torch

from waypoint.science.processes.ddpm import Denoiser

ITERATIONS = 30  # of a step's equation at most
ENOUGH = 1e-5  # change of x_t, relative to its root mean square, at which they end


def grid_of(denoiser: Denoiser, steps: int) -> list[int]:
    """The scheduler's own sampling grid, descending: list of int."""
    scheduler = copy.deepcopy(denoiser.scheduler)
    scheduler.set_timesteps(steps)
    return scheduler.timesteps.tolist()


def _alpha_bar(denoiser: Denoiser, t: int | None) -> torch.Tensor:
    """ᾱ_t in float64; 1 for the image itself, where t is None."""
    return torch.ones((), dtype=torch.float64) if t is None else denoiser.alphas_cumprod[t].double().cpu()


@torch.no_grad()
def generate(denoiser: Denoiser, steps: int, x_T: torch.Tensor, condition: torch.Tensor | None = None) -> torch.Tensor:
    """The image (C, H, W) that x_T (C, H, W) leads to, on the CPU.

    Args:
        steps: number of sampling steps.
    """
    grid, x = grid_of(denoiser, steps), x_T[None].to(denoiser.device)
    for t, s in zip(grid, [*grid[1:], None]):
        now, then = _alpha_bar(denoiser, t), _alpha_bar(denoiser, s)
        out = denoiser.prediction(x, t, condition)
        x0 = denoiser.x0_hat(x, t, out, "none")
        # from ε itself where ᾱ_t = 0: there x_t is the noise
        epsilon = (x - now.sqrt().item() * x0) / (1 - now).sqrt().item()
        x = then.sqrt().item() * x0 + (1 - then).sqrt().item() * epsilon
    return x[0].cpu()


@torch.no_grad()
def invert(
    denoiser: Denoiser,
    steps: int,
    x0: torch.Tensor,
    condition: torch.Tensor | None = None,
    iterations: int = ITERATIONS,
) -> tuple[list[int], torch.Tensor]:
    """The x_t of the trajectory that ``generate`` takes to ``x0`` (C, H, W).

    Args:
        steps: number of sampling steps. iterations: 1 is the plain inversion, which takes ε at the step before.

    Returns:
        steps descending (S,), x_t (S, C, H, W), on the CPU.
    """
    grid, x = grid_of(denoiser, steps), x0[None].to(denoiser.device)
    ascending: list[torch.Tensor] = []
    for t, s in zip(reversed(grid), [None, *reversed(grid[1:])]):
        now, then = _alpha_bar(denoiser, t), _alpha_bar(denoiser, s)
        scale = (now / then).sqrt().item()
        shift = ((1 - now).sqrt() - (now * (1 - then) / then).sqrt()).item()
        before, x_t, last = scale * x, x, None
        for _ in range(iterations):
            x_t, last = before + shift * denoiser.epsilon(x_t, t, condition), x_t
            if (x_t - last).pow(2).mean().sqrt() <= ENOUGH * x_t.pow(2).mean().sqrt():
                break
        x = x_t
        ascending.append(x[0].cpu())
    return grid, torch.stack(ascending[::-1])
