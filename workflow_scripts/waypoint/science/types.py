"""Names for the arrays, settings and networks that the parts of the library hand to each other.

Planning imports some of these parts, so nothing heavy is imported here: an alias that names a class of torch or
diffusers is a string, which only a type checker reads.
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

# arrays by what they hold; ``Numbers`` are real numbers of any type, for functions that convert them themselves
Numbers: TypeAlias = NDArray[Any]
Doubles: TypeAlias = NDArray[np.float64]
Singles: TypeAlias = NDArray[np.float32]
Integers: TypeAlias = NDArray[np.integer[Any]]
Booleans: TypeAlias = NDArray[np.bool_]

# a section of the configuration or of a stored model's own: JSON whose keys depend on the kind of thing
Settings: TypeAlias = Mapping[str, Any]
# what a training saves to go on from: torch's own state dicts, beside numbers and lists
State: TypeAlias = MutableMapping[str, Any]

Device: TypeAlias = "torch.device | str"  # where tensors are

# a network that a ``Denoiser`` calls
UNet: TypeAlias = "UNet2DModel | UNet2DConditionModel"

# the losses (R,) of an ``Example`` of R rows
Loss: TypeAlias = "Callable[[Example], Tensor]"
# per-example gradients of a loss, averaged over the draws of each example: (len(examples), columns)
Gradients: TypeAlias = "Callable[[Loss, Sequence[Example]], Tensor]"


class Projects(Protocol):
    """A projection P, by itself or after the map of a basis."""

    d: int

    def project(self, gradients: "Tensor") -> "Tensor":
        """Pᵀg for each row g: (B, p) to (B, d)."""
        ...
