"""Classifier-free guidance."""

import torch

from waypoint.science.processes.ddpm import Denoiser


class Guided(Denoiser):
    """A denoiser under classifier-free guidance: ε_∅ + scale · (ε_c − ε_∅), ε_∅ being the output without a caption.

    Args:
        null: (token, width), the embedding of the empty caption.
        scale: 1 is the conditional model, larger values follow the caption more closely.
    """

    def __init__(self, denoiser, null, scale):
        super().__init__(denoiser.unet, denoiser.scheduler)
        self.null, self.scale = null.to(self.device), scale

    def output(self, x, t, condition=None):
        """As ``Denoiser.output``. Both rows of an example stay side by side, as per-example gradients need them."""
        t = torch.as_tensor(t, device=self.device).expand(len(x)).repeat_interleave(2)
        both = torch.stack([self.null.expand_as(condition), condition], 1).flatten(0, 1)
        without, given = super().output(x.repeat_interleave(2, 0), t, both).unflatten(0, (-1, 2)).unbind(1)
        return without + self.scale * (given - without)


def guided(denoiser, null, scale):
    """``denoiser`` under guidance; itself where there is none: no captions, or scale 1."""
    return denoiser if null is None or scale == 1 else Guided(denoiser, null, scale)
