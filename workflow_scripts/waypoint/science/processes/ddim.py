"""DDIM without noise (arXiv 2010.02502, Eq. 12 with σ = 0) and its inverse from an image to its noise (§4.3).

One step from t to the next lower step s, with ε = ε_θ(x_t, t):

    x_s = √(ᾱ_s/ᾱ_t) x_t + (√(1-ᾱ_s) - √(ᾱ_s(1-ᾱ_t)/ᾱ_t)) ε

and the last step ends at the image, where ᾱ = 1. Inversion solves this for x_t, an implicit equation because ε depends
on x_t. The usual inversion evaluates ε at x_s instead, which is the first iterate here; further iterations converge to
the x_t whose step really leads to x_s. Nothing is clipped, because clipping has no inverse.
"""

# torch and diffusers are partly untyped
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import copy

import torch

from waypoint.science.processes.ddpm import Denoiser

ITERATIONS = 30  # at most, for the equation of a step
ENOUGH = 1e-5  # change of x_t, relative to its root mean square, that ends the iterations


def grid_of(denoiser: Denoiser, steps: int) -> list[int]:
    """Return the scheduler's own sampling grid, descending."""
    scheduler = copy.deepcopy(denoiser.scheduler)
    scheduler.set_timesteps(steps)
    return scheduler.timesteps.tolist()


def _alpha_bar(denoiser: Denoiser, t: int | None) -> torch.Tensor:
    """Return ᾱ_t in float64; 1 for the image itself, where t is None."""
    return torch.ones((), dtype=torch.float64) if t is None else denoiser.alphas_cumprod[t].double().cpu()


@torch.no_grad()
def generate(denoiser: Denoiser, steps: int, x_T: torch.Tensor, condition: torch.Tensor | None = None) -> torch.Tensor:
    """Generate the image (C, H, W) of x_T (C, H, W), on the CPU.

    Args:
        steps: number of sampling steps.
    """
    grid, x = grid_of(denoiser, steps), x_T[None].to(denoiser.device)
    for t, s in zip(grid, [*grid[1:], None]):
        alpha_bar_t, alpha_bar_s = _alpha_bar(denoiser, t), _alpha_bar(denoiser, s)
        out = denoiser.prediction(x, t, condition)
        x0 = denoiser.x0_hat(x, t, out, "none")
        # correct also at ᾱ_t = 0, where ε = x_t
        epsilon = (x - alpha_bar_t.sqrt().item() * x0) / (1 - alpha_bar_t).sqrt().item()
        x = alpha_bar_s.sqrt().item() * x0 + (1 - alpha_bar_s).sqrt().item() * epsilon
    return x[0].cpu()


@torch.no_grad()
def invert(
    denoiser: Denoiser,
    steps: int,
    x0: torch.Tensor,
    condition: torch.Tensor | None = None,
    iterations: int = ITERATIONS,
) -> tuple[list[int], torch.Tensor]:
    """Return the trajectory along which ``generate`` reaches ``x0`` (C, H, W).

    Args:
        steps: number of sampling steps. iterations: 1 is the usual inversion, with ε at x_s.

    Returns:
        steps descending (S,), x_t (S, C, H, W), on the CPU.
    """
    grid, x = grid_of(denoiser, steps), x0[None].to(denoiser.device)
    ascending: list[torch.Tensor] = []
    for t, s in zip(reversed(grid), [None, *reversed(grid[1:])]):
        alpha_bar_t, alpha_bar_s = _alpha_bar(denoiser, t), _alpha_bar(denoiser, s)
        scale = (alpha_bar_t / alpha_bar_s).sqrt().item()
        shift = ((1 - alpha_bar_t).sqrt() - (alpha_bar_t * (1 - alpha_bar_s) / alpha_bar_s).sqrt()).item()
        scaled, x_t, previous = scale * x, x, None
        for _ in range(iterations):
            x_t, previous = scaled + shift * denoiser.epsilon(x_t, t, condition), x_t
            if (x_t - previous).pow(2).mean().sqrt() <= ENOUGH * x_t.pow(2).mean().sqrt():
                break
        x = x_t
        ascending.append(x[0].cpu())
    return grid, torch.stack(ascending[::-1])
