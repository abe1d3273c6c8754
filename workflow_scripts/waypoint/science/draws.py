"""The K draws of (t, ε) over which a train loss is averaged (Alg. 1 line 3), in three schemes.

independent  t ~ U{0..T-1} and ε ~ N(0, I), drawn separately for every image (the paper)
stratified   draw k has t uniform in the k-th of K equal parts of 0..T-1, and its own ε. Each image's average stays
             unbiased, with less variance
shared       one set of draws for all images, as in D-TRAK: all rows have the same noise
"""

from collections.abc import Sequence

import torch

from waypoint.science.random_streams import torch_stream


def train_draws(
    seed: int, checkpoint: str, image: int, scheme: str, K: int, T: int, shape: Sequence[int]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the draws of one training image for one checkpoint.

    Args:
        seed, checkpoint, image: key of the stream (image is its index in the train set).
        shape: (C, H, W) of ε.

    Returns:
        t (K,) int64 and ε (K, C, H, W) float32.
    """
    item = () if scheme == "shared" else (image,)
    stream = torch_stream(seed, "train draws", checkpoint, *item)
    if scheme == "stratified":
        # (k + u) T / K with u ~ U[0, 1): averaged over k it is uniform over all steps, exactly for any K
        u = torch.rand(K, generator=stream, dtype=torch.float64)
        t = ((torch.arange(K) + u) * T / K).long().clamp(max=T - 1)
    else:
        t = torch.randint(T, (K,), generator=stream)
    return t, torch.randn(K, *shape, generator=stream)


def target_noise(seed: int, trajectory: str, checkpoint: str, step: int, k: int, shape: Sequence[int]) -> torch.Tensor:
    """Return ε of draw k of f_t at one step for one checkpoint, common to all targets and masks of a trajectory.

    Each checkpoint has its own, so that the error of a mean over draws averages out over checkpoints.

    Returns:
        (C, H, W) float32.
    """
    return torch.randn(*shape, generator=torch_stream(seed, "target draws", trajectory, checkpoint, int(step), k))


def target_draws(seed: int, trajectory: str, checkpoint: str, step: int, k: int, shape: Sequence[int]) -> torch.Tensor:
    """Return the k draws of ε in f_t at one step for one checkpoint: (k, C, H, W) float32."""
    return torch.stack([target_noise(seed, trajectory, checkpoint, step, draw, shape) for draw in range(k)])
