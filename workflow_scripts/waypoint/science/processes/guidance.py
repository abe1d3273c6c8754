"""Classifier-free guidance."""

# torch is partly untyped
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import torch

from waypoint.errors import WaypointError
from waypoint.science.networks.unet import null_class
from waypoint.science.processes.ddpm import Denoiser, Steps


class Guided(Denoiser):
    """A denoiser with classifier-free guidance: ε_∅ + scale · (ε_c − ε_∅), where ε_∅ is the unconditional output.

    This is Eq. 6 of Ho & Salimans 2022 (arXiv 2207.12598), whose strength w is scale − 1. A v-model's outputs v are
    combined in the same way, which is the same: ε is linear in v, with coefficients that both outputs share.

    Args:
        null: (token, width), the embedding of the empty caption, or the null class, a tensor of one number.
        scale: 1 is the conditional model; larger values follow the condition more closely.
    """

    def __init__(self, denoiser: Denoiser, null: torch.Tensor, scale: float) -> None:
        super().__init__(denoiser.unet, denoiser.scheduler)
        self.null, self.scale = null.to(self.device), scale

    def output(self, x: torch.Tensor, t: Steps, condition: torch.Tensor | None = None) -> torch.Tensor:
        """As ``Denoiser.output``. The two rows of an example stay adjacent, as per-example gradients require."""
        assert condition is not None  # only conditional models are guided
        t = torch.as_tensor(t, device=self.device).expand(len(x)).repeat_interleave(2)
        pairs = torch.stack([self.null.expand_as(condition), condition], 1).flatten(0, 1)
        unconditional, conditional = super().output(x.repeat_interleave(2, 0), t, pairs).unflatten(0, (-1, 2)).unbind(1)
        return unconditional + self.scale * (conditional - unconditional)


def guided(denoiser: Denoiser, null: torch.Tensor | None, scale: float) -> Denoiser:
    """Return ``denoiser`` with guidance; itself at scale 1, or for a captioned model without an empty caption.

    Args:
        null: the embedding of the empty caption, or None; a class-conditional model uses its null class.

    Raises:
        WaypointError: the model is unconditional.
    """
    if scale == 1:
        return denoiser
    if denoiser.conditioned_by is None:
        raise WaypointError(f"guidance {scale}: the model has neither captions nor classes; set it to 1")
    if denoiser.conditioned_by == "class_labels":
        null = null_class(denoiser.unet)
    return denoiser if null is None else Guided(denoiser, null, scale)
