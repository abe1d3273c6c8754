"""Type aliases for the arrays, settings and networks that the library's modules exchange.

Planning imports some of these modules, so nothing heavy is imported here: aliases of torch and diffusers classes are
strings, which only a type checker reads.
"""

from collections.abc import Callable, Mapping, MutableMapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch
    from diffusers.models.unets.unet_2d import UNet2DModel
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
    from torch import Tensor

    from waypoint.science.gradients.examples import Example

# arrays by element type; ``Numbers`` are real numbers of any type, for functions that convert them themselves
Numbers: TypeAlias = NDArray[Any]
Doubles: TypeAlias = NDArray[np.float64]
Singles: TypeAlias = NDArray[np.float32]
Integers: TypeAlias = NDArray[np.integer[Any]]
Booleans: TypeAlias = NDArray[np.bool_]

# a section of the configuration, or a stored model's configuration: JSON whose keys depend on its kind
Settings: TypeAlias = Mapping[str, Any]
# the saved state of a training: torch state dicts, numbers and lists
State: TypeAlias = MutableMapping[str, Any]

Device: TypeAlias = "torch.device | str"  # device of a tensor

# the network of a ``Denoiser``
UNet: TypeAlias = "UNet2DModel | UNet2DConditionModel"

# the losses (R,) of an ``Example`` of R rows
Loss: TypeAlias = "Callable[[Example], Tensor]"
# per-example gradients of a loss, averaged over the draws of each example: (len(examples), columns)
Gradients: TypeAlias = "Callable[[Loss, Sequence[Example]], Tensor]"


class Projects(Protocol):
    """A projection P, alone or after the map of a basis."""

    d: int

    def project(self, gradients: "Tensor") -> "Tensor":
        """Return Pᵀg for each row g: (B, p) to (B, d)."""
        ...
