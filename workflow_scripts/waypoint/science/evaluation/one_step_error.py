"""How far is x̂0_t from the mean of samples of p(·|x_t), for which it stands (§2.2)?"""

import numpy as np

from waypoint.science.types import Numbers


def one_step_error(x0_hat: Numbers, samples: Numbers) -> dict[str, float]:
    """Compare x̂0_t with samples of the same step.

    Args:
        x0_hat: (C, H, W). samples: (n, C, H, W), n ≥ 2.

    Returns:
        {l2: x̂0_t to the mean of the samples, l2_noise: the l2 that n samples leave even where x̂0_t is exactly the mean
        of p(·|x_t), spread: how far a sample typically lies from their mean, samples: n}.
    """
    samples, n = samples.astype(np.float64), len(samples)
    spread = np.sqrt(samples.var(0, ddof=1).sum())
    l2 = np.sqrt(((x0_hat - samples.mean(0)) ** 2).sum())
    return {"l2": l2, "l2_noise": spread / n**0.5, "spread": spread, "samples": n}
