"""How far is x̂0_t from the mean of samples of p(·|x_t), which it estimates (§2.2)?"""

import numpy as np

from waypoint.science.types import Numbers


def one_step_error(x0_hat: Numbers, samples: Numbers) -> dict[str, float]:
    """Compare x̂0_t with samples of the same step.

    Args:
        x0_hat: (C, H, W). samples: (n, C, H, W), n ≥ 2.

    Returns:
        {l2: distance of x̂0_t from the mean of the samples, l2_noise: the distance expected from n samples even if x̂0_t
        is exactly the mean of p(·|x_t), spread: typical distance of a sample from their mean, samples: n}.
    """
    samples, n = samples.astype(np.float64), len(samples)
    spread = np.sqrt(samples.var(0, ddof=1).sum())
    l2 = np.sqrt(((x0_hat - samples.mean(0)) ** 2).sum())
    return {"l2": l2, "l2_noise": spread / n**0.5, "spread": spread, "samples": n}
