"""The Gaussian control `wiener`: how f_t would change without an image if the model were the best linear denoiser.

A Gaussian N(μ, C) is fitted to the N training images as vectors of D numbers: their mean, and their covariance over N
with ``REGULARISER`` added on its diagonal. Its optimal denoiser is the Wiener filter. With A = ᾱC + (1−ᾱ)I it predicts
ε̂(x) = √(1−ᾱ) A⁻¹(x − √ᾱ μ), so with δ = x̂0_t − μ the output function f_t (Eq. 3) has a closed form:

    f = ᾱ(1−ᾱ)/D · δᵀA⁻²δ + [D − 2(1−ᾱ) tr A⁻¹ + (1−ᾱ)² tr A⁻²]/D

The score τ(i) = f without image i − f is exact leave-one-out, in units of f, without network, training or randomness.
One eigendecomposition suffices: leaving out z_i changes C only by a factor N/(N−1) and a matrix of rank one.
In the eigenbasis of C, with eigenvalues Λ, d = z_i − μ, B = ᾱ(N/(N−1) Λ + reg) + 1−ᾱ (diagonal) and b = ᾱN/(N−1)²,

    A₋ᵢ = B − b ddᵀ,   A₋ᵢ⁻¹ = B⁻¹ + s ppᵀ,   p = B⁻¹d,   s = 1/(1/b − dᵀB⁻¹d)   (Sherman and Morrison),
    δ₋ᵢ = x̂0_t − μ + d/(N−1)

With a mask w (§5.4), f is a mean weighted by w. With W = diag(w)/Σw instead of I/D the traces become tr(WA⁻¹) and
tr(WA⁻²), and the quadratic form δᵀA⁻¹WA⁻¹δ. They need p and B⁻¹p at the k pixels where w > 0. The cost per image and
step is O(D) without a mask and O(kD) with one.
"""

# SciPy is untyped
# pyright: reportMissingTypeStubs=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownMemberType=false

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from scipy.linalg import eigh
from scipy.linalg.blas import dsyrk  # pyright: ignore[reportAttributeAccessIssue]

from waypoint.errors import WaypointError
from waypoint.science.types import Doubles, Numbers

# a function returning a fresh iterator of (start, images)
Blocks: TypeAlias = Callable[[], Iterator[tuple[int, Numbers]]]
AlphaBars: TypeAlias = Sequence[float] | Doubles  # ᾱ_t of several steps

REGULARISER = 0.01  # variance added to every pixel; on digits, values from 0.003 to 0.1 rank images alike
LARGEST = 12_288  # D: 64 × 64 pixels in colour, where each of about four D × D matrices takes 1.2 GB


@dataclass(frozen=True)
class Gaussian:
    """A Gaussian fitted to images, in the eigenbasis of their covariance.

    Attributes:
        count: N. mean: μ (D,). eigenvalues: Λ (D,) of the covariance over N, without the regulariser.
        eigenvectors: V (D, D), in columns. shape: (C, H, W) of an image.
    """

    count: int
    mean: Doubles
    eigenvalues: Doubles
    eigenvectors: Doubles
    shape: tuple[int, ...]


def fit(blocks: Blocks) -> Gaussian:
    """Fit a Gaussian to the training images, read twice, with one eigendecomposition, all in float64.

    Args:
        blocks: over (start, images (b, C, H, W)) of any real dtype.

    Raises:
        WaypointError: fewer than two images, or images too large for a D × D eigendecomposition.
    """
    count, total = 0, np.zeros(())
    shape: tuple[int, ...] = ()
    for _, images in blocks():
        count, total, shape = count + len(images), total + images.sum(0, dtype=np.float64), images.shape[1:]
        if total.size > LARGEST:
            raise WaypointError(
                f"method wiener: images of {total.size} numbers need a covariance of {total.size} × {total.size}, "
                f"more than {LARGEST} × {LARGEST}; leave wiener out, or use latents"
            )
    if count < 2:
        raise WaypointError(f"method wiener: {count} training images; leaving one out needs at least 2")
    mean = total.ravel() / count
    covariance = np.zeros((mean.size, mean.size), order="F")
    for _, images in blocks():
        centred = images.reshape(len(images), -1) - mean
        covariance = dsyrk(1 / count, centred.T, beta=1, c=covariance, lower=1, overwrite_c=1)
    eigenvalues, eigenvectors = eigh(covariance, lower=True, overwrite_a=True, driver="evd")
    # rounding can make a zero variance negative
    return Gaussian(count, mean, eigenvalues.clip(min=0), eigenvectors, tuple(shape))


@dataclass(frozen=True)
class _Weighting:
    """W = I/D or diag(w)/Σw on vectors in the eigenbasis: aᵀVᵀWVa = |apply(a)|².

    Attributes:
        root: VᵀW^½ (D, k), its nonzero columns; None where all pixels count equally.
        diagonal: (D,), the diagonal of VᵀWV.
    """

    root: Doubles | None
    diagonal: Doubles

    def apply(self, a: Doubles) -> Doubles:
        """Return W^½Va up to a rotation, for a (..., D) in the eigenbasis: (..., k), or (..., D) without a mask."""
        return a / a.shape[-1] ** 0.5 if self.root is None else a @ self.root


def _weighting(gaussian: Gaussian, weight: Numbers | None) -> _Weighting:
    if weight is None:
        return _Weighting(None, np.full_like(gaussian.mean, 1 / gaussian.mean.size))
    if weight.shape != gaussian.shape[-2:] or (weight < 0).any() or not weight.any():
        raise WaypointError(
            f"mask of shape {weight.shape}: it must weigh {gaussian.shape[-2:]} positions, some above 0"
        )
    w = np.broadcast_to(weight.astype(np.float64), gaussian.shape).ravel()
    w = w / w.sum()
    positive = w > 0
    root = np.ascontiguousarray(gaussian.eigenvectors[positive].T) * np.sqrt(w[positive])
    return _Weighting(root, (root**2).sum(1))


def _check_steps(alpha_bars: AlphaBars) -> None:
    for alpha_bar in alpha_bars:
        if not 0 < alpha_bar < 1:
            raise WaypointError(
                f"method wiener: at a step with ᾱ = {alpha_bar} f_t does not depend on the training images, so that "
                "it has no scores; leave this step out"
            )


def output(gaussian: Gaussian, x0_hat: Numbers, alpha_bars: AlphaBars, weight: Numbers | None = None) -> Doubles:
    """Return f_t of the Gaussian's optimal denoiser around every x̂0_t.

    Args:
        x0_hat: (S, C, H, W). alpha_bars: ᾱ_t of the S rows. weight: (H, W) mask, or None.

    Returns:
        float64 (S,).

    Raises:
        WaypointError: a step has ᾱ = 0 or 1; or the mask has another size or selects nothing.
    """
    _check_steps(alpha_bars)
    W = _weighting(gaussian, weight)
    delta = (x0_hat.reshape(len(x0_hat), -1) - gaussian.mean) @ gaussian.eigenvectors
    return np.array([_output(gaussian, W, *step) for step in zip(delta, alpha_bars)])


def _output(gaussian: Gaussian, W: _Weighting, delta: Doubles, alpha_bar: float) -> float:
    """Return f at one step, E ‖W^½(ε − ε̂)‖² over ε, for δ (D,) in the eigenbasis."""
    sigma2 = 1 - alpha_bar
    a = alpha_bar * (gaussian.eigenvalues + REGULARISER) + sigma2
    spread = (W.diagonal * (1 - sigma2 / a) ** 2).sum()
    return spread + alpha_bar * sigma2 * (W.apply(delta / a) ** 2).sum()


def scores(
    gaussian: Gaussian,
    blocks: Blocks,
    x0_hat: Numbers,
    alpha_bars: AlphaBars,
    weight: Numbers | None = None,
) -> Iterator[tuple[int, Numbers]]:
    """Return τ(i) = f_t without image i − f_t, positive where the image lowers f_t.

    Args:
        gaussian: from ``fit`` on exactly the images of ``blocks``.
        blocks: as for ``fit``; each block is rotated into the eigenbasis once for all steps (of all targets).
        x0_hat, alpha_bars, weight: as for ``output``, with the same errors.

    Returns:
        an iterator of (start, scores), float64 (S, b).
    """
    f = output(gaussian, x0_hat, alpha_bars, weight)
    W = _weighting(gaussian, weight)
    delta = (x0_hat.reshape(len(x0_hat), -1) - gaussian.mean) @ gaussian.eigenvectors

    def block_scores(images: Numbers) -> Doubles:
        d = (images.reshape(len(images), -1) - gaussian.mean) @ gaussian.eigenvectors
        return np.stack([_without_each(gaussian, W, d, *step) for step in zip(delta, alpha_bars)]) - f[:, None]

    return ((start, block_scores(images)) for start, images in blocks())


def _without_each(gaussian: Gaussian, W: _Weighting, d: Doubles, delta: Doubles, alpha_bar: float) -> Doubles:
    """Return f at one step without each image: d (b, D) and δ (D,) in the eigenbasis give (b,)."""
    n, sigma2 = gaussian.count, 1 - alpha_bar
    inverse = 1 / (alpha_bar * (n / (n - 1) * gaussian.eigenvalues + REGULARISER) + sigma2)  # B⁻¹
    p = d * inverse
    s = 1 / ((n - 1) ** 2 / (alpha_bar * n) - (d * p).sum(1))
    # A₋ᵢ⁻¹δ₋ᵢ = B⁻¹δ + γp
    gamma = 1 / (n - 1) + s * (p @ delta + (p * d).sum(1) / (n - 1))
    y, Wp, WBp = W.apply(delta * inverse), W.apply(p), W.apply(p * inverse)
    pp, squares = (Wp**2).sum(1), (p**2).sum(1)
    trace = (W.diagonal * inverse).sum() + s * pp
    trace_of_square = (W.diagonal * inverse**2).sum() + 2 * s * (Wp * WBp).sum(1) + s**2 * squares * pp
    bias = (y**2).sum() + 2 * gamma * (Wp @ y) + gamma**2 * pp
    return 1 - 2 * sigma2 * trace + sigma2**2 * trace_of_square + alpha_bar * sigma2 * bias
