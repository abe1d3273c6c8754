"""Classifier-free guidance."""

# torch is partly untyped
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import torch

from waypoint.errors import WaypointError
from waypoint.science.networks.unet import null_class
from waypoint.science.processes.ddpm import Denoiser, Steps


class Guided(Denoiser):
    """A denoiser under classifier-free guidance: ε_∅ + scale · (ε_c − ε_∅), ε_∅ being the output without a condition.

    Args:
        null: (token, width), the embedding of the empty caption, or the class, one number, that stands for none.
        scale: 1 is the conditional model, larger values follow the condition more closely.
    """

    def __init__(self, denoiser: Denoiser, null: torch.Tensor, scale: float) -> None:
        super().__init__(denoiser.unet, denoiser.scheduler)
        self.null, self.scale = null.to(self.device), scale

    def output(self, x: torch.Tensor, t: Steps, condition: torch.Tensor | None = None) -> torch.Tensor:
        """As ``Denoiser.output``. Both rows of an example stay side by side, as per-example gradients need them."""
        assert condition is not None  # a model without conditions is not guided
        t = torch.as_tensor(t, device=self.device).expand(len(x)).repeat_interleave(2)
        both = torch.stack([self.null.expand_as(condition), condition], 1).flatten(0, 1)
        without, conditioned = super().output(x.repeat_interleave(2, 0), t, both).unflatten(0, (-1, 2)).unbind(1)
        return without + self.scale * (conditioned - without)


def guided(denoiser: Denoiser, null: torch.Tensor | None, scale: float) -> Denoiser:
    """``denoiser`` under guidance; itself at scale 1, or where captions are known to a model but not the empty one.

    Args:
        null: the embedding of the empty caption, or None; a class-conditional model has a class for it.

    Raises:
        WaypointError: the model has no condition to be guided by.
    """
    if scale == 1:
        return denoiser
    if denoiser.conditioned_by is None:
        raise WaypointError(f"guidance {scale}: the model has neither captions nor classes; set it to 1")
    if denoiser.conditioned_by == "class_labels":
        null = null_class(denoiser.unet)
    return denoiser if null is None else Guided(denoiser, null, scale)
