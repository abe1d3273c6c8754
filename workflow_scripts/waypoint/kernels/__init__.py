"""Compiled CPU kernels behind one seam: nothing above this package knows how they work.

``fast_cpu``                convolutions of torch, computed by the kernels where they fit
``conv2d_weight_gradient``  per-example weight gradients of a convolution, where the kernels fit
``tall_skinny_matmul``      products of many rows with few columns
``blas_threads``, ``one_blas_thread``   the threads of numpy's and scipy's BLAS

Torch and Numba are imported when they are first needed: jobs without tensors load neither.
"""

import contextlib

from waypoint.kernels.blas import blas_threads, one_blas_thread, tall_skinny_matmul

__all__ = ["blas_threads", "conv2d_weight_gradient", "fast_cpu", "one_blas_thread", "tall_skinny_matmul"]


@contextlib.contextmanager
def fast_cpu():
    """A context in which ``F.conv2d`` uses the kernels on a CPU.

    It does for what they fit, and is torch's own for anything else: another device or precision, other shapes.
    Results differ from torch's by a few times its own rounding error, and depend neither on the number of threads nor
    on the batch. What autograd records within the context keeps the kernels for the backward pass. The function is
    replaced for the whole process as long as the context lasts.
    """
    from torch.nn import functional as F

    from waypoint.kernels.convolution import conv2d

    # torch.overrides.TorchFunctionMode would do as well, but sends every call of torch through Python: with it,
    # featurizing digits takes 2 % longer, and small passes 9 %
    before, F.conv2d = F.conv2d, conv2d
    try:
        yield
    finally:
        F.conv2d = before


def conv2d_weight_gradient(layer, x, delta, B):
    """Weight gradients of a convolution for each of B examples, summed over the example's rows.

    Args:
        layer: an ``nn.Conv2d``. x: its input (B K, C, H, W). delta: its output's gradient (B K, outputs, H, W).

    Returns:
        (B, outputs, C, 3, 3), or None where no kernel fits.
    """
    from waypoint.kernels import convolution

    if not convolution.fits(x, layer.weight, layer.stride, layer.padding, layer.dilation, layer.groups):
        return None
    return convolution.weight_gradient(x, delta, B)
