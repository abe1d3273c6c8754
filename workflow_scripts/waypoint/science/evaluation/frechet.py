"""Fréchet distance between two sets of images (§3.2, Fig. 5), with pytorch-fid's own function."""

# pytorch-fid is untyped
# pyright: reportMissingTypeStubs=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import numpy as np
from pytorch_fid.fid_score import calculate_frechet_distance

from waypoint.errors import WaypointError
from waypoint.science.types import Doubles, Numbers


def moments(features: Numbers) -> tuple[Doubles, Doubles]:
    """Return mean (F,) and covariance (F, F) of features (n, F), in float64.

    Raises:
        WaypointError: no more images than features, which makes the covariance singular, or a feature is not finite.
    """
    images, dims = features.shape
    if images <= dims:
        raise WaypointError(f"{images} images cannot give the covariance of {dims} features; more than {dims} can")
    if not np.isfinite(features).all():
        bad = int(np.argwhere(~np.isfinite(features))[0][0])
        raise WaypointError(f"the features of image {bad} are not finite")
    features = np.asarray(features, np.float64)
    return features.mean(0), np.cov(features, rowvar=False)


def frechet_distance(a: Numbers, b: Numbers) -> float:
    """Return |μ_a - μ_b|² + tr(Σ_a + Σ_b - 2 (Σ_a Σ_b)^½) of two sets of features, (n, F) each.

    Raises:
        WaypointError: as for ``moments``, or the distance cannot be computed in floating point.
    """
    try:
        distance = float(calculate_frechet_distance(*moments(a), *moments(b)))
    except ValueError as error:  # from pytorch-fid: the root of the product is not real
        raise WaypointError(f"the Fréchet distance is not a real number ({error}); use more images") from error
    if not np.isfinite(distance):
        raise WaypointError("the Fréchet distance is not finite; use more images")
    return distance
