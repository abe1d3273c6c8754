"""Classifier-free guidance."""

# torch is partly untyped
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import torch

from waypoint.science.processes.ddpm import Denoiser, Step


class Guided(Denoiser):
    """A denoiser under classifier-free guidance: ε_∅ + scale · (ε_c − ε_∅), ε_∅ being the output without a caption.

    Args:
        null: (token, width), the embedding of the empty caption.
        scale: 1 is the conditional model, larger values follow the caption more closely.
    """

    def __init__(self, denoiser: Denoiser, null: torch.Tensor, scale: float) -> None:
        super().__init__(denoiser.unet, denoiser.scheduler)
        self.null, self.scale = null.to(self.device), scale

    def output(self, x: torch.Tensor, t: Step, condition: torch.Tensor | None = None) -> torch.Tensor:
        """As ``Denoiser.output``. Both rows of an example stay side by side, as per-example gradients need them."""
        if condition is None:
            raise ValueError("guidance needs the embedded captions of the rows")
        t = torch.as_tensor(t, device=self.device).expand(len(x)).repeat_interleave(2)
        both = torch.stack([self.null.expand_as(condition), condition], 1).flatten(0, 1)
        without, with_caption = super().output(x.repeat_interleave(2, 0), t, both).unflatten(0, (-1, 2)).unbind(1)
        return without + self.scale * (with_caption - without)


def guided(denoiser: Denoiser, null: torch.Tensor | None, scale: float) -> Denoiser:
    """``denoiser`` under guidance; itself where there is none: no captions, or scale 1."""
    return denoiser if null is None or scale == 1 else Guided(denoiser, null, scale)
