"""The Gaussian control `wiener`: what f_t would lose without an image if the model were the best linear denoiser.

A Gaussian N(μ, C) is fitted to the N training images as vectors of D numbers: their mean, their covariance over N, and
``REGULARISER`` on its diagonal. Its optimal denoiser is Wiener's filter. With A = ᾱC + (1−ᾱ)I it predicts
ε̂(x) = √(1−ᾱ) A⁻¹(x − √ᾱ μ), so that with δ = x̂0_t − μ the output function f_t (Eq. 3) has a closed form:

    f = ᾱ(1−ᾱ)/D · δᵀA⁻²δ + [D − 2(1−ᾱ) tr A⁻¹ + (1−ᾱ)² tr A⁻²]/D

The score τ(i) = f without image i − f is exact leave-one-out, in units of f. No network, no training, no randomness.
One eigendecomposition does for all images: leaving out z_i changes C by a factor N/(N−1) and by a matrix of rank one.
In the eigenbasis of C, with eigenvalues Λ, d = z_i − μ, B = ᾱ(N/(N−1) Λ + reg) + 1−ᾱ (diagonal) and b = ᾱN/(N−1)²,

    A₋ᵢ = B − b ddᵀ,   A₋ᵢ⁻¹ = B⁻¹ + s ppᵀ,   p = B⁻¹d,   s = 1/(1/b − dᵀB⁻¹d)   (Sherman and Morrison),
    δ₋ᵢ = x̂0_t − μ + d/(N−1)

A mask w (§5.4) makes f the mean weighted by it. With W = diag(w)/Σw in place of I/D the traces become tr(WA⁻¹) and
tr(WA⁻²) and the quadratic form δᵀA⁻¹WA⁻¹δ. These need p and B⁻¹p at the k pixels where w > 0: O(D) an image and step
without a mask, O(kD) with one.
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

Blocks: TypeAlias = Callable[
    [], Iterator[tuple[int, Numbers]]
]  # a function returning a fresh iterator of (start, images)

AlphaBars: TypeAlias = Sequence[float] | Doubles  # ᾱ_t of some steps

REGULARISER = 0.01  # variance added to every pixel; on digits 0.003 to 0.1 rank images alike
LARGEST = 12_288  # D: 64 × 64 pixels in colour; each of about four D × D matrices takes 1.2 GB there


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
    """Mean and covariance of the training images, read twice, and one eigendecomposition, all in float64.

    Args:
        blocks: over (start, images (b, C, H, W)) of any real type.

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
    # a rounding error below zero is a variance of zero
    return Gaussian(count, mean, eigenvalues.clip(min=0), eigenvectors, tuple(shape))


@dataclass(frozen=True)
class _Seen:
    """How f looks at vectors of the eigenbasis: aᵀWa = |view(a)|², W = I/D or diag(w)/Σw.

    Attributes:
        pixels: (D, k), columns of Vᵀ scaled by the roots of their weights; None where every pixel counts alike.
        share: (D,), the diagonal of VᵀWV.
    """

    pixels: Doubles | None
    share: Doubles

    def view(self, a: Doubles) -> Doubles:
        """Vectors (..., D) as f sees them: (..., k), or (..., D)."""
        return a / a.shape[-1] ** 0.5 if self.pixels is None else a @ self.pixels


def _seen(gaussian: Gaussian, weight: Numbers | None) -> _Seen:
    if weight is None:
        return _Seen(None, np.full_like(gaussian.mean, 1 / gaussian.mean.size))
    if weight.shape != gaussian.shape[-2:] or (weight < 0).any() or not weight.any():
        raise WaypointError(
            f"mask of shape {weight.shape}: it must weigh {gaussian.shape[-2:]} positions, some above 0"
        )
    each = np.broadcast_to(weight.astype(np.float64), gaussian.shape).ravel()
    each = each / each.sum()
    kept = each > 0
    pixels = np.ascontiguousarray(gaussian.eigenvectors[kept].T) * np.sqrt(each[kept])
    return _Seen(pixels, (pixels**2).sum(1))


def _check_steps(alpha_bars: AlphaBars) -> None:
    for alpha_bar in alpha_bars:
        if not 0 < alpha_bar < 1:
            raise WaypointError(
                f"method wiener: at a step with ᾱ = {alpha_bar} f_t does not depend on the training images, so that "
                "it has no scores; leave this step out"
            )


def output(gaussian: Gaussian, x0_hat: Numbers, alpha_bars: AlphaBars, weight: Numbers | None = None) -> Doubles:
    """f_t of the Gaussian's optimal denoiser around every x̂0_t.

    Args:
        x0_hat: (S, C, H, W). alpha_bars: ᾱ_t of the S rows. weight: (H, W) mask, or None.

    Returns:
        float64 (S,).

    Raises:
        WaypointError: a step with ᾱ = 0 or 1; a mask of another size, or one that selects nothing.
    """
    _check_steps(alpha_bars)
    seen = _seen(gaussian, weight)
    delta = (x0_hat.reshape(len(x0_hat), -1) - gaussian.mean) @ gaussian.eigenvectors
    return np.array([_output(gaussian, seen, *step) for step in zip(delta, alpha_bars)])


def _output(gaussian: Gaussian, seen: _Seen, delta: Doubles, alpha_bar: float) -> float:
    """f at one step: E ‖W^½(ε − ε̂)‖² over ε, for δ (D,) in the eigenbasis."""
    noise = 1 - alpha_bar
    a = alpha_bar * (gaussian.eigenvalues + REGULARISER) + noise
    spread = (seen.share * (1 - noise / a) ** 2).sum()
    return spread + alpha_bar * noise * (seen.view(delta / a) ** 2).sum()


def scores(
    gaussian: Gaussian,
    blocks: Blocks,
    x0_hat: Numbers,
    alpha_bars: AlphaBars,
    weight: Numbers | None = None,
) -> Iterator[tuple[int, Numbers]]:
    """τ(i) = f_t without image i − f_t: positive where the image lowers f_t.

    Args:
        gaussian: ``fit`` to the very images of ``blocks``.
        blocks: as for ``fit``; each block is turned into the eigenbasis once, for all steps (of all targets).
        x0_hat, alpha_bars, weight: as for ``output``, which says what is refused.

    Returns:
        an iterator of start, float64 (S, b).
    """
    whole = output(gaussian, x0_hat, alpha_bars, weight)
    seen = _seen(gaussian, weight)
    delta = (x0_hat.reshape(len(x0_hat), -1) - gaussian.mean) @ gaussian.eigenvectors

    def of(images: Numbers) -> Doubles:
        d = (images.reshape(len(images), -1) - gaussian.mean) @ gaussian.eigenvectors
        return np.stack([_without_each(gaussian, seen, d, *step) for step in zip(delta, alpha_bars)]) - whole[:, None]

    return ((start, of(images)) for start, images in blocks())


def _without_each(gaussian: Gaussian, seen: _Seen, d: Doubles, delta: Doubles, alpha_bar: float) -> Doubles:
    """f at one step without each image: d (b, D) and δ (D,) in the eigenbasis give (b,)."""
    n, noise = gaussian.count, 1 - alpha_bar
    inverse = 1 / (alpha_bar * (n / (n - 1) * gaussian.eigenvalues + REGULARISER) + noise)  # B⁻¹
    p = d * inverse
    s = 1 / ((n - 1) ** 2 / (alpha_bar * n) - (d * p).sum(1))
    # A₋ᵢ⁻¹δ₋ᵢ = B⁻¹δ + turn · p
    turn = 1 / (n - 1) + s * (p @ delta + (p * d).sum(1) / (n - 1))
    y, seen_p, seen_bp = seen.view(delta * inverse), seen.view(p), seen.view(p * inverse)
    pp, squared = (seen_p**2).sum(1), (p**2).sum(1)
    trace = (seen.share * inverse).sum() + s * pp
    trace_of_square = (seen.share * inverse**2).sum() + 2 * s * (seen_p * seen_bp).sum(1) + s**2 * squared * pp
    bias = (y**2).sum() + 2 * turn * (seen_p @ y) + turn**2 * pp
    return 1 - 2 * noise * trace + noise**2 * trace_of_square + alpha_bar * noise * bias
