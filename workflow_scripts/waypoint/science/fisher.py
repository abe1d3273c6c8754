"""Fisher rows u_r = ∇_θ ⟨net_θ(x_t, t), v⟩ / √D: their draws, and the loss whose gradient they are.

D is the number of output elements, net the network's raw output, on which the train loss is (ε or v). With a
pseudo-target v ~ N(0, I_D), E[u uᵀ] = JᵀJ/D over (image, t, ε), J the Jacobian of the output: half the Gauss–Newton
matrix of the mean square, the factor changing no rank (arXiv 2410.13850). There is no residual in it and no label: with
gradients of the loss in their place it would be the empirical Fisher matrix again, of the kind of TRAK's Gram matrix.

Row r depends on (seed, purpose, checkpoint, r) and on how many rows there are, not on batches or shards.
"""

from collections.abc import Sequence

import numpy as np
import torch

from waypoint.science.gradients.examples import Example
from waypoint.science.processes.ddpm import Denoiser
from waypoint.science.random_streams import numpy_stream, torch_stream
from waypoint.science.types import Gradients, Integers, Projects

# purposes: the rows that give a curvature's eigenvectors, those that give its eigenvalues, and a kernel's
EIGENVECTORS, EIGENVALUES, KERNEL = "fisher eigenvectors", "fisher eigenvalues", "fisher kernel"


def row_images(seed: int, purpose: str, checkpoint: str, rows: int, images: int) -> Integers:
    """The training image of every row: one permutation of all images after the other, so that none is favoured.

    Args:
        seed, purpose, checkpoint: key of the streams. rows: R. images: N.

    Returns:
        (R,) int64.
    """
    cycles = range(-(-rows // images))
    orders = [numpy_stream(seed, purpose, checkpoint, "images", cycle).permutation(images) for cycle in cycles]
    return np.concatenate(orders)[:rows]


def row_steps(seed: int, purpose: str, checkpoint: str, rows: int, T: int) -> Integers:
    """The step of every row: one from each of R equal parts of 0…T−1, in an order that is permuted.

    Args:
        seed, purpose, checkpoint: key of the stream. rows: R. T: training steps of the noise schedule.

    Returns:
        (R,) int64; uniform over all steps for a row taken at random.
    """
    stream = numpy_stream(seed, purpose, checkpoint, "steps")
    part, u = stream.permutation(rows), stream.random(rows)
    return np.minimum((part + u) * T / rows, T - 1).astype(np.int64)


def row_noise(
    seed: int, purpose: str, checkpoint: str, row: int, shape: tuple[int, ...]
) -> tuple[torch.Tensor, torch.Tensor]:
    """ε and the pseudo-target v of one row, both N(0, I).

    Args:
        seed, purpose, checkpoint, row: key of the stream. shape: (C, H, W), of images and of the network's output.

    Returns:
        two tensors (C, H, W) float32 on the CPU.
    """
    epsilon, v = torch.randn(2, *shape, generator=torch_stream(seed, purpose, checkpoint, "noise", int(row)))
    return epsilon, v


def fisher_rows(theta: Denoiser, P: Projects, examples: Sequence[Example], grad: Gradients) -> torch.Tensor:
    """Pᵀ u_r: one example a row, a single draw with its pseudo-target ``v``.

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
    """⟨net_θ(x_t, t), v⟩ / √D for every row, the gradient of which is u_r.

    Args:
        output: (B, C, H, W), the network's raw output. v: the same shape.

    Returns:
        (B,).
    """
    return (output * v).flatten(1).sum(1) / v[0].numel() ** 0.5
