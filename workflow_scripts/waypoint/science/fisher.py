"""Fisher rows u_r = ∇_θ ⟨net_θ(x_t, t), v⟩ / √D: their draws, and the loss whose gradient they are.

D is the number of output elements and net the raw output of the network that the train loss compares with ε or v. With
a pseudo-target v ~ N(0, I_D), E[u uᵀ] = JᵀJ/D over (image, t, ε), J being the Jacobian of the output. This is half the
Gauss–Newton matrix of the mean square, a factor that changes no ranking (arXiv 2410.13850). It contains neither a
residual nor a label; with gradients of the loss it would be an empirical Fisher matrix, like TRAK's Gram matrix.

Row r depends on (seed, purpose, checkpoint, r) and on the number of rows, not on batches or shards.
"""

from collections.abc import Sequence

import numpy as np
import torch

from waypoint.science.gradients.examples import Example
from waypoint.science.processes.ddpm import Denoiser
from waypoint.science.random_streams import numpy_stream, torch_stream
from waypoint.science.types import Gradients, Integers, Projects

# purposes of rows: a curvature's eigenvectors, its eigenvalues, and a kernel
EIGENVECTORS, EIGENVALUES, KERNEL = "fisher eigenvectors", "fisher eigenvalues", "fisher kernel"


def row_images(seed: int, purpose: str, checkpoint: str, rows: int, images: int) -> Integers:
    """Return the training image of every row: successive permutations of all images, so that none is favoured.

    Args:
        seed, purpose, checkpoint: key of the streams. rows: R. images: N.

    Returns:
        (R,) int64.
    """
    cycles = range(-(-rows // images))
    orders = [numpy_stream(seed, purpose, checkpoint, "images", cycle).permutation(images) for cycle in cycles]
    return np.concatenate(orders)[:rows]


def row_steps(seed: int, purpose: str, checkpoint: str, rows: int, T: int) -> Integers:
    """Return the step of every row: one from each of R equal parts of 0…T−1, in random order.

    Args:
        seed, purpose, checkpoint: key of the stream. rows: R. T: training steps of the noise schedule.

    Returns:
        (R,) int64; for a random row, uniform over all steps.
    """
    stream = numpy_stream(seed, purpose, checkpoint, "steps")
    part, u = stream.permutation(rows), stream.random(rows)
    return np.minimum((part + u) * T / rows, T - 1).astype(np.int64)


def row_noise(
    seed: int, purpose: str, checkpoint: str, row: int, shape: tuple[int, ...]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return ε and the pseudo-target v of one row, both N(0, I).

    Args:
        seed, purpose, checkpoint, row: key of the stream. shape: (C, H, W) of images and network outputs.

    Returns:
        two tensors (C, H, W) float32 on the CPU.
    """
    epsilon, v = torch.randn(2, *shape, generator=torch_stream(seed, purpose, checkpoint, "noise", int(row)))
    return epsilon, v


def fisher_rows(theta: Denoiser, P: Projects, examples: Sequence[Example], grad: Gradients) -> torch.Tensor:
    """Return Pᵀ u_r for every example, a single draw with its pseudo-target ``v``.

    Args:
        theta: a ``Denoiser``. P: a projection. grad: per-example gradients, as in ``algorithm1``.

    Returns:
        (len(examples), d).
    """

    def loss(z: Example) -> torch.Tensor:
        if z.v is None:
            raise ValueError("an example of a Fisher row needs a pseudo-target v")
        return row_loss(theta.output(theta.add_noise(z.x0, z.epsilon, z.t), z.t, z.condition), z.v)

    return P.project(grad(loss, examples))


def row_loss(output: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """Return ⟨net_θ(x_t, t), v⟩ / √D for every row; its gradient is u_r.

    Args:
        output: (B, C, H, W), the network's raw output. v: the same shape.

    Returns:
        (B,).
    """
    return (output * v).flatten(1).sum(1) / v[0].numel() ** 0.5
