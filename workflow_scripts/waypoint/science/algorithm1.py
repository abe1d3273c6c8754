"""Algorithm 1 of arXiv 2312.06205, TRAK for diffusion models.

``attribute`` is the whole algorithm with tensors in memory. The functions below it are its lines, which the workflow's
stages also call: ``features/featurize.py`` for lines 6-9 and ``targets/target_gradients.py`` for lines 10-13. Line 17
is divided between ``features/factor_kernel.py``, which calls ``gram`` and ``factor``, and ``scores/score_trak.py``,
which calls ``scores``; both read Φ_m in blocks. ``docs/paper.md`` lists every line, equation and figure of the paper.

θ is a ``Denoiser``, P a projection, and ``grad`` computes per-example gradients, averaged over each example's draws.
"""

# torch is partly untyped
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch

from waypoint.science.draws import target_draws, train_draws
from waypoint.science.gradients.batching import batches
from waypoint.science.gradients.engine import PerExampleGradients
from waypoint.science.gradients.examples import Example, target_example, train_example
from waypoint.science.kernel import factor, gathered, gram, one_block, scores
from waypoint.science.processes.ddpm import Denoiser
from waypoint.science.processes.schedules import check_schedule
from waypoint.science.projection import Gaussian
from waypoint.science.types import Doubles, Gradients, Numbers, Projects


def attribute(
    thetas: Mapping[str, Denoiser],
    S: torch.Tensor,
    x: Mapping[int, torch.Tensor],
    *,
    K: int = 20,
    k: int = 20,
    d: int = 4096,
    damping: float = 0.03,
    c: torch.Tensor | None = None,
    c_x: torch.Tensor | None = None,
    clip: str = "scheduler",
    projection: Callable[[int, str, int], Projects] = Gaussian,
    seed: int = 0,
    trajectory: str = "x",
) -> Doubles:
    """Score all training images at every step of one trajectory.

    A positive score means that training on z_i lowers f_t: z_i pushes the process towards this image.

    Args:
        thetas: {m: θ*_m}, ``Denoiser``s in evaluation mode, by checkpoint name.
        S: the training images z_i as the models saw them, (N, C, H, W).
        x: the trajectory, {t: x_t}: the input of the model at training-time step t, (C, H, W).
        K: draws of (t, ε) in each train loss. k: draws of ε in f_t. d: columns of P (the paper's k).
        damping: λ as a multiple of trace(ΦᵀΦ)/min(N, d). The paper's is 0, which needs N ≥ d.
        c, c_x: conditions of the training images and of the trajectory: classes (N,) and (1,), embedded captions
            (N, token, width) and (1, token, width), or None.
        clip: "scheduler" clips x̂0_t if the scheduler's configuration does, "none" never does.
        projection: one of ``PROJECTIONS``; the paper uses the Gaussian.
        seed, trajectory: an integer and a name that, together with m, determine all random numbers.

    Returns:
        τ, float64 (T, N): one row for each step of ``x``, in its order.

    Raises:
        WaypointError: a model that predicts neither ε nor v, or a singular kernel.
    """
    # lines 1-2: the arguments and the result; line 3: train_loss
    tau: list[Numbers] = []
    for m, theta in thetas.items():  # lines 4-5: for each checkpoint θ*_m
        check_schedule(theta.scheduler.config)
        grad, device = PerExampleGradients(theta.unet), theta.device
        P = projection(seed, m, d)  # line 6

        phi: list[torch.Tensor] = []
        for rows in batches(range(len(S)), theta.unet):  # line 7: for each i, as many at once as fit in memory
            draws = [train_draws(seed, m, i, "independent", K, theta.T, S.shape[1:]) for i in rows]
            z = [train_example(S[i], *draw, None if c is None else c[[i]]).to(device) for i, draw in zip(rows, draws)]
            phi.append(train_features(theta, P, z, grad))  # line 8: φ_i = Pᵀ ∇_θ L_i(θ*_m)
        # line 9: end for

        x_hat: list[Example] = []
        for t, x_t in x.items():  # line 10: for each step t
            c_t = None if c_x is None else c_x.to(device)
            x0_hat = one_step_estimate(theta, x_t.to(device), t, c_t, clip)  # line 11: x̂0_t
            epsilon = target_draws(seed, trajectory, m, t, k, x_t.shape).to(device)
            x_hat.append(target_example(x0_hat, t, epsilon, c_t))
        g = [target_gradients(theta, P, part, grad) for part in batches(x_hat, theta.unet)]  # lines 12-13: g_t

        Phi, G = torch.cat(phi).cpu().numpy(), torch.cat(g).cpu().numpy()  # lines 14-15: (N, d) and (T, d)
        tau.append(attribution(Phi, G, damping))  # line 17: (Φ_m (Φ_mᵀΦ_m + λI)⁻¹ G_mᵀ)ᵀ
    # line 16: end for
    return np.asarray(np.mean(tau, axis=0, dtype=np.float64))  # lines 17-18: the mean over the M checkpoints


def train_loss(theta: Denoiser, z: Example) -> torch.Tensor:
    """The terms of line 3, one per draw of (t, ε); their mean over an image's K draws is L_i(θ)."""
    return theta.train_loss(z.x0, z.t, z.epsilon, z.condition)


def output_function(theta: Denoiser, x: Example) -> torch.Tensor:
    """The terms of Eq. 3, one per draw of ε; their mean is f_t(x̂0_t, θ), the loss at step t around x̂0_t."""
    return theta.noise_loss(x.x0, x.t, x.epsilon, x.condition, x.weight)


def train_features(
    theta: Denoiser,
    P: Projects,
    examples: Sequence[Example],
    grad: Gradients,
    loss: Callable[[Denoiser, Example], torch.Tensor] = train_loss,
) -> torch.Tensor:
    """Lines 7-9: φ_i = Pᵀ ∇_θ L_i(θ*_m), the rows of Φ_m: (len(examples), d)."""
    return P.project(grad(lambda z: loss(theta, z), examples))


def one_step_estimate(
    theta: Denoiser, x_t: torch.Tensor, t: int, condition: torch.Tensor | None, clip: str
) -> torch.Tensor:
    """Lines 10-11: x̂0_t = (x_t - √(1-ᾱ_t) ε_θ(x_t, t)) / √ᾱ_t, detached."""
    return theta.x0_hat(x_t[None], t, theta.prediction(x_t[None], t, condition), clip)[0]


def target_gradients(
    theta: Denoiser,
    P: Projects,
    examples: Sequence[Example],
    grad: Gradients,
    output: Callable[[Denoiser, Example], torch.Tensor] = output_function,
) -> torch.Tensor:
    """Lines 12-13: g_t = Pᵀ ∇_θ f_t(x̂0_t, θ*_m) with one example per step: (steps, d)."""
    return P.project(grad(lambda x: output(theta, x), examples))


def attribution(Phi: Numbers, G: Numbers, damping: float) -> Numbers:
    """Line 17, the term of checkpoint m: Φ_m (Φ_mᵀΦ_m + λI)⁻¹ g_t for all i and t.

    Args:
        Phi: Φ_m, (N, d). G: G_m, (T, d). damping: as for ``factor``.

    Returns:
        (T, N). f_t is a loss, so a positive score means that z_i lowers it: z_i pushes the process towards this image.
    """
    phi, (n, d) = one_block(Phi), Phi.shape
    L, _ = factor(gram(phi, n, d), n, d, damping)
    return gathered(scores(phi, n, d, one_block(L), G))
