"""Denoising diffusion (DDPM) with ε- and v-prediction: noising, losses, one-step estimates, ancestral sampling.

Symbols: T training steps; t is always a training-time step 0..T-1; ᾱ_t is the scheduler's cumulative product; x_t is
the model's *input* at step t; v = √ᾱ_t ε - √(1-ᾱ_t) x_0 (Salimans & Ho 2022, arXiv 2202.00512, appendix D), from which
ε = √ᾱ_t v + √(1-ᾱ_t) x_t and x_0 = √ᾱ_t x_t - √(1-ᾱ_t) v follow.
"""

# torch and diffusers are partly untyped; diffusers types a configuration, whose keys are attributes, as a dict
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportAttributeAccessIssue=false

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias, cast

import torch

from waypoint.errors import WaypointError
from waypoint.science.networks import unet as network
from waypoint.science.networks.network import Keyword
from waypoint.science.processes.schedules import check_schedule
from waypoint.science.types import Integers, UNet

if TYPE_CHECKING:
    from diffusers.schedulers.scheduling_ddpm import DDPMScheduler

Steps: TypeAlias = torch.Tensor | int  # t of each row (B,), or of all rows
Trajectory: TypeAlias = tuple[Integers, torch.Tensor, torch.Tensor, torch.Tensor]


class Denoiser:
    """A UNet ε_θ (or v_θ) together with its DDPM scheduler.

    Args:
        unet: a diffusers ``UNet2DModel``, or a ``UNet2DConditionModel`` for embedded captions.
        scheduler: a diffusers ``DDPMScheduler`` with ε- or v-prediction.
    """

    def __init__(self, unet: UNet, scheduler: "DDPMScheduler") -> None:
        self.unet = unet
        self.scheduler = scheduler
        self.device = next(unet.parameters()).device
        self.alphas_cumprod = scheduler.alphas_cumprod.to(self.device)
        self.T: int = scheduler.config.num_train_timesteps
        self.predicts_v = scheduler.config.prediction_type == "v_prediction"
        self.conditioned_by: Keyword = network.condition_keyword(unet)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape (C, H, W) of the model's images."""
        return network.input_shape(self.unet)

    def coefficients(self, t: Steps, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return √ᾱ_t and √(1-ᾱ_t), shaped to multiply ``x``; ``t`` is (B,) or a number."""
        t = torch.as_tensor(t, device=self.device)
        alpha_bar = self.alphas_cumprod[t].reshape(-1, *[1] * (x.dim() - 1))
        return alpha_bar.sqrt(), (1 - alpha_bar).sqrt()

    def output(self, x: torch.Tensor, t: Steps, condition: torch.Tensor | None = None) -> torch.Tensor:
        """Return the network's raw output at x (B, C, H, W) and steps t, (B,) or one number.

        Args:
            condition: classes (B,), embedded captions (B, token, width), or None; unconditional networks ignore it.
        """
        t = torch.as_tensor(t, device=self.device)
        return network.output(self.unet, x, t, condition)

    @torch.no_grad()
    def prediction(self, x: torch.Tensor, t: Steps, condition: torch.Tensor | None = None) -> torch.Tensor:
        """Return ``output`` without gradients, for sampling and detached estimates."""
        return self.output(x, t, condition)

    def epsilon(self, x: torch.Tensor, t: Steps, condition: torch.Tensor | None = None) -> torch.Tensor:
        """Return ε_θ(x_t, t); the output v of a v-model is converted, ε = √ᾱ_t v + √(1-ᾱ_t) x_t."""
        out = self.output(x, t, condition)
        if not self.predicts_v:
            return out
        signal, noise = self.coefficients(t, x)
        return signal * out + noise * x

    def has_gradient(self, t: int) -> bool:
        """Whether f_t depends on θ at step t; that of a v-model at ᾱ_t = 0 does not, because there ε is x_t itself."""
        return not (self.predicts_v and float(self.alphas_cumprod[t]) == 0)

    def add_noise(self, x0: torch.Tensor, epsilon: torch.Tensor, t: Steps) -> torch.Tensor:
        """Return √ᾱ_t x_0 + √(1-ᾱ_t) ε for x0, epsilon (B, C, H, W) and t (B,)."""
        signal, noise = self.coefficients(t, x0)
        return signal * x0 + noise * epsilon

    def x0_hat(self, x_t: torch.Tensor, t: Steps, out: torch.Tensor, clip: str) -> torch.Tensor:
        """Return the one-step estimate (x_t - √(1-ᾱ_t) ε_θ) / √ᾱ_t (§2.2; Alg. 1 line 11 misprints its parenthesis).

        Args:
            out: the network's output at (x_t, t). For v, √ᾱ_t x_t - √(1-ᾱ_t) v is the same without cancellation.
            clip: "scheduler" clips if the scheduler's configuration does, as in its sampling; "none" never does.
        """
        signal, noise = self.coefficients(t, x_t)
        estimate = signal * x_t - noise * out if self.predicts_v else (x_t - noise * out) / signal
        if clip == "scheduler" and self.scheduler.config.clip_sample:
            bound = self.scheduler.config.clip_sample_range
            estimate = estimate.clamp(-bound, bound)
        return estimate

    def train_loss(
        self, x0: torch.Tensor, t: Steps, epsilon: torch.Tensor, condition: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return the training loss as the element mean of each row (Alg. 1 line 3, inner term): (B,)."""
        out = self.output(self.add_noise(x0, epsilon, t), t, condition)
        target = epsilon
        if self.predicts_v:
            signal, noise = self.coefficients(t, x0)
            target = signal * epsilon - noise * x0
        return (target - out).pow(2).flatten(1).mean(1)

    def noise_loss(
        self,
        x0: torch.Tensor,
        t: Steps,
        epsilon: torch.Tensor,
        condition: torch.Tensor | None = None,
        weight: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Return the inner term of Eq. 3 per row: the mean of (ε - ε_θ(√ᾱ_t x_0 + √(1-ᾱ_t) ε, t))², (B,).

        With a mask ``weight`` (H, W), the mean over positions is weighted by it (§5.4); that over channels is not.
        """
        return element_mean((epsilon - self.epsilon(self.add_noise(x0, epsilon, t), t, condition)).pow(2), weight)


def element_mean(values: torch.Tensor, weight: torch.Tensor | None = None) -> torch.Tensor:
    """Average every row of (B, C, H, W), weighted over positions by a mask (H, W) if there is one: (B,)."""
    if weight is None:
        return values.flatten(1).mean(1)
    return (values.mean(1) * weight).flatten(1).sum(1) / weight.sum()


def repeated(condition: torch.Tensor | None, count: int) -> torch.Tensor | None:
    """Expand the condition of one row (1, ...), or None, to ``count`` rows."""
    return None if condition is None else condition.expand(count, *condition.shape[1:])


def trajectory(
    denoiser: Denoiser,
    steps: int,
    x_T: torch.Tensor,
    generator: torch.Generator,
    condition: torch.Tensor | None = None,
    clip: str = "scheduler",
) -> Trajectory:
    """Sample ancestrally (DDPM) and keep everything that Algorithm 1 needs.

    Args:
        steps: number of sampling steps; the scheduler's own spacing gives the grid (T ≥ steps).
        x_T: (1, C, H, W), the initial noise. generator: CPU generator of the noise of all steps.

    Returns:
        grid (S,) int, x_t (S, C, H, W), x0_hat (S, C, H, W), image (C, H, W); all on the CPU.
    """
    scheduler = copy.deepcopy(denoiser.scheduler)
    scheduler.set_timesteps(steps)
    x = x_T.to(denoiser.device)
    visited: list[torch.Tensor] = []
    estimates: list[torch.Tensor] = []
    for t in scheduler.timesteps.tolist():
        out = denoiser.prediction(x, t, condition)
        visited.append(x[0].cpu())
        estimates.append(denoiser.x0_hat(x, t, out, clip)[0].cpu())
        x = scheduler.step(out, t, x, generator=generator).prev_sample
    return scheduler.timesteps.numpy(), torch.stack(visited), torch.stack(estimates), x[0].cpu()


def generate(
    denoiser: Denoiser,
    steps: int,
    noise: torch.Generator,
    condition: torch.Tensor | None = None,
    clip: str = "scheduler",
) -> Trajectory:
    """Sample a ``trajectory`` with all noise from a CPU generator: first x_T, then the noise of every step."""
    x_T = torch.randn(1, *denoiser.shape, generator=noise)
    return trajectory(denoiser, steps, x_T, noise, condition, clip)


def samples(
    denoiser: Denoiser, steps: int, generators: Sequence[torch.Generator], conditions: torch.Tensor | None = None
) -> torch.Tensor:
    """Generate images in one batch; each equals the image that ``generate`` makes from its generator, up to rounding.

    Args:
        steps: number of sampling steps. generators: one CPU generator per image. conditions: a row per image, or None.

    Returns:
        (len(generators), C, H, W) on the CPU.
    """
    scheduler = copy.deepcopy(denoiser.scheduler)
    scheduler.set_timesteps(steps)
    # diffusers also accepts a list, though its types do not say so
    generator_list = cast(torch.Generator, list(generators))
    x = torch.stack([torch.randn(denoiser.shape, generator=generator) for generator in generators]).to(denoiser.device)
    for t in scheduler.timesteps.tolist():
        x = scheduler.step(denoiser.prediction(x, t, conditions), t, x, generator=generator_list).prev_sample
    return x.cpu()


def continuations(
    denoiser: Denoiser,
    steps: int,
    x_t: torch.Tensor,
    t: int,
    generators: Sequence[torch.Generator],
    condition: torch.Tensor | None = None,
    swap: tuple[Denoiser, int] | None = None,
) -> torch.Tensor:
    """Sample from p(·|x_t): restart the chain at x_t with new noise at every step.

    Args:
        steps: number of sampling steps; the chain visits t and the grid's steps below t.
        x_t: (C, H, W), the model's input at step t.
        generators: one CPU generator per sample, so that a sample does not depend on their number.
        swap: (other denoiser, Δ): the other one is called at steps in (t - Δ, t], with the same noise as without it:
            the intervention of §3.2 and Fig. 5.

    Returns:
        (samples, C, H, W) on the CPU.
    """
    scheduler = copy.deepcopy(denoiser.scheduler)
    scheduler.set_timesteps(steps)
    scheduler.set_timesteps(timesteps=[t, *(s for s in scheduler.timesteps.tolist() if s < t)])
    x = x_t.to(denoiser.device).expand(len(generators), *x_t.shape)
    conditions = repeated(condition, len(generators))
    other, delta = swap or (denoiser, 0)
    generator_list = cast(torch.Generator, list(generators))  # as in ``samples``
    for s in scheduler.timesteps.tolist():
        theta = other if s > t - delta else denoiser
        x = scheduler.step(theta.prediction(x, s, conditions), s, x, generator=generator_list).prev_sample
    return x.cpu()


def check_scheduler(scheduler: "DDPMScheduler") -> None:
    """Refuse, by name, a scheduler that this module does not support.

    Raises:
        WaypointError: another scheduler than DDPM, another prediction than ε or v, learned variance, thresholding.
    """
    name, config = type(scheduler).__name__, scheduler.config
    if name != "DDPMScheduler":
        raise WaypointError(f"scheduler {name} is not supported: p(·|x_t) needs ancestral sampling; use DDPMScheduler")
    check_schedule(config)
