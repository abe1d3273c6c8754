"""D-TRAK (arXiv 2311.00500): TRAK with the squared norm of the network's output in place of both losses."""

from typing import TYPE_CHECKING

from waypoint.science.processes.ddpm import element_mean

if TYPE_CHECKING:
    from torch import Tensor

    from waypoint.science.gradients.examples import Example
    from waypoint.science.processes.ddpm import Denoiser


def squared_output(theta: "Denoiser", z: "Example") -> "Tensor":
    """The element mean of net_θ(x_t, t)² per draw (L_Square of §4.2 divided by D, which changes no ranking): (B,).

    Args:
        theta: a ``Denoiser``. z: draws of a training image, or of x̂0_t at one step; a mask weights the mean.
    """
    return element_mean(theta.output(theta.add_noise(z.x0, z.epsilon, z.t), z.t, z.condition).pow(2), z.weight)
