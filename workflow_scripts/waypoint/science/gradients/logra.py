"""Layer gradients compressed within the backward pass, so that full weight gradients are never formed.

A layer's weight gradient is Σ δ ⊗ a over rows and positions, where a is the layer's input with a constant 1 for the
bias. Random matrices P_in (inputs × r_in) and P_out (outputs × r_out) on its two sides give
P_outᵀ (Σ δ ⊗ a) P_in = Σ (P_outᵀ δ) ⊗ (P_inᵀ a): the Kronecker factors of LoGra (Choe et al., arXiv 2405.13954).
E[P Pᵀ] = I for both, and they are independent, so inner products stay unbiased.

For a convolution, a is the patch under the kernel, and P_in is block diagonal: each tap of the kernel projects its
channels separately. P_inᵀ a is then a random 1 × 1 convolution followed by a shift of each of its channels by its tap,
so no patch is unfolded. Dense random filters with the same number of columns would multiply the cost by the number of
taps for the same variance.
"""

# torch is partly untyped
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# padding given by name has no rule, so a hook never meets it
# pyright: reportArgumentType=false, reportCallIssue=false

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F

from waypoint.science import counter_rng
from waypoint.science.gradients.engine import PerExampleGradients
from waypoint.science.gradients.hooks import Hook, LayerHook, exact_hook, own_parameters
from waypoint.science.gradients.layer_rules import by_example, contract
from waypoint.science.random_streams import derive


class LoGraHook(LayerHook):
    """Compressed gradients of one layer, r_out × r_in columns.

    Args:
        layer: a Linear, or a Conv2d of one group, with a weight and possibly a bias, both trainable.
        rank: gives about rank² columns: r_out = min(rank, outputs), the rest goes to r_in in equal parts per tap.
        keys: the keys of P_in and P_out.
    """

    layer: nn.Linear | nn.Conv2d

    def __init__(self, layer: nn.Linear | nn.Conv2d, rank: int, keys: Sequence[int]) -> None:
        weight = layer.weight
        outputs, channels, *kernel = weight.shape
        taps = weight[0, 0].numel()
        r_out = min(rank, outputs)
        columns = min(channels, max(1, rank**2 // r_out // taps))  # per tap
        rows = sign_matrix(keys[0], taps * channels + 1, columns).to(weight)
        blocks = rows[:-1].view(taps, channels, columns)
        if columns == channels:
            blocks = torch.eye(channels).to(weight).expand(blocks.shape)
        super().__init__(layer)
        self.P_in = blocks.transpose(1, 2).reshape(-1, channels)
        self.offset = None
        if layer.bias is not None:  # the constant 1 uses the columns of the first tap
            self.offset = F.pad(rows[-1], (0, len(self.P_in) - columns))
        if kernel:
            tap = torch.eye(taps).to(weight).repeat_interleave(columns, 0)
            self.shift = tap.view(-1, 1, *kernel)
        self.P_out = None if r_out == outputs else sign_matrix(keys[1], outputs, r_out).to(weight)
        self.width = r_out * len(self.P_in)

    def keep(self, x: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
        """Return P_inᵀ a, all that the backward pass needs of the input: (R, …, r_in), or (R, r_in, H, W)."""
        layer = self.layer
        if isinstance(layer, nn.Linear):
            return F.linear(x, self.P_in, self.offset)
        geometry = layer.stride, layer.padding, layer.dilation
        if len(self.shift[0, 0].flatten()) == 1:
            return F.conv2d(x, self.P_in[..., None, None], self.offset, *geometry)
        if x.is_contiguous():
            projected = (self.P_in @ x.flatten(2)).unflatten(2, x.shape[2:])
        else:
            projected = F.conv2d(x, self.P_in[..., None, None])
        return F.conv2d(projected, self.shift, self.offset, *geometry, groups=len(self.shift))

    def gradients(self, saved: torch.Tensor, delta: torch.Tensor, B: int) -> torch.Tensor:
        """Return Σ (P_inᵀ a) ⊗ (P_outᵀ δ) over rows and positions of each example: (B, width)."""
        saved = saved.to(delta.dtype)
        if isinstance(self.layer, nn.Linear):
            sums = by_example(saved, B).transpose(1, 2) @ by_example(delta, B)
        else:
            sums = contract(saved, delta, B)
        # P_out is applied after the sum over positions: one product instead of one per position
        return (sums if self.P_out is None else sums.to(self.P_out.dtype) @ self.P_out).flatten(1)


def sign_matrix(key: int, rows: int, columns: int) -> torch.Tensor:
    """Return independent entries ±1/√columns: (rows, columns)."""
    return counter_rng.matrix(counter_rng.signs, 64, key, 0, rows, columns) / columns**0.5


class LoGra(PerExampleGradients):
    """Compressed gradients: about rank² columns for every Linear and Conv2d, exact columns for other parameters.

    Args:
        seed, checkpoint: key of the random factors, shared by training and target gradients.
        rank: as for ``LoGraHook``.
    """

    def __init__(self, model: nn.Module, seed: int, checkpoint: str, rank: int, autocast: bool = False) -> None:
        super().__init__(model, autocast)
        self.key, self.rank = (seed, "factors", checkpoint), rank

    def hook(self, name: str, layer: nn.Module) -> Hook | None:
        """Compress matrices by random factors; vectors, and layers too small or unusual to compress, stay exact."""
        if not isinstance(layer, (nn.Linear, nn.Conv2d)) or (isinstance(layer, nn.Conv2d) and layer.groups > 1):
            return exact_hook(layer)
        all_trainable = all(q.requires_grad for q in own_parameters(layer))
        if not (all_trainable and layer.weight.numel() > self.rank**2):
            return exact_hook(layer)
        return LoGraHook(layer, self.rank, [derive(*self.key, name, side) for side in ("in", "out")])
