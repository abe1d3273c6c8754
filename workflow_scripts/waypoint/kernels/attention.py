"""Attention with heads of eight channels on CPUs: softmax(q kᵀ / √8) v and its gradients.

Eight channels a head are diffusers' default, and torch's kernel, made for wider heads, spends most of its time between
their products. Every head of every row is computed by one thread in one order: results depend neither on the number of
threads nor on the batch.
"""

import torch
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from waypoint.kernels.openmp import in_threads

torch_attention = F.scaled_dot_product_attention  # torch's own, which ``kernels.fast_cpu`` replaces


def attention(query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False, **options):
    """``F.scaled_dot_product_attention``, computed by the kernel for plain attention with narrow heads on a CPU.

    Args:
        query: (R, H, T, E). key, value: (R, H, S, E).

    Returns:
        (R, H, T, E)
    """
    plain = attn_mask is None and not (dropout_p or is_causal or options)
    if plain and all(map(fits, (query, key, value))) and query.shape[2] % 4 == 0 and key.shape[2] >= 16:
        return Attention.apply(query, key, value)
    return torch_attention(query, key, value, attn_mask, dropout_p, is_causal, **options)


def fits(x):
    """Whether the kernel fits such heads: of eight channels, in float32, on a CPU."""
    return x.ndim == 4 and x.shape[-1] == 8 and x.dtype == torch.float32 and x.device.type == "cpu"


class Attention(torch.autograd.Function):
    """The kernel as a function of torch's autograd."""

    @staticmethod
    def forward(ctx, query, key, value):
        from waypoint.kernels.attention_numba import forward  # imported lazily: importing Numba is slow

        out, norm = like(query), query.new_empty(query.shape[:3])
        in_threads(forward, query.shape[0] * query.shape[1], query, key, value, out, norm)
        ctx.save_for_backward(query, key, value, out, norm)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        from waypoint.kernels.attention_numba import backward

        query, key, value, *made = ctx.saved_tensors
        grads = like(query), like(key), like(value)
        in_threads(backward, query.shape[0] * query.shape[1], query, key, value, *made, grad, *grads)
        return grads


def like(x):
    """An empty tensor (R, H, T, E) whose heads lie side by side, as the layers around attention take them."""
    return x.new_empty(x.transpose(1, 2).shape).transpose(1, 2)
