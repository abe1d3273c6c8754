"""Compiled CPU kernels behind one interface: nothing above this package knows how they work.

``fast_cpu``                torch's convolutions, computed by the kernels where they apply
``conv2d_weight_gradient``  per-example weight gradients of a convolution, where the kernels apply
``tall_skinny_matmul``      products of a tall matrix with one of few columns
``blas_threads``, ``one_blas_thread``   the threads of NumPy's and SciPy's BLAS

Torch and Numba are imported when first needed, so jobs without tensors load neither.
"""

import contextlib

from waypoint.kernels.blas import blas_threads, one_blas_thread, tall_skinny_matmul

__all__ = ["blas_threads", "conv2d_weight_gradient", "fast_cpu", "one_blas_thread", "tall_skinny_matmul"]


@contextlib.contextmanager
def fast_cpu():
    """Within this context ``F.conv2d`` uses the kernels on a CPU.

    Convolutions of another device, precision or shape than the kernels support use torch's own. Results differ from
    torch's by a few times its own rounding error, and depend neither on the number of threads nor on the batch. Graphs
    recorded by autograd within the context keep using the kernels in the backward pass. The function is replaced in
    the whole process while the context lasts.
    """
    from torch.nn import functional as F

    from waypoint.kernels.convolution import conv2d

    # torch.overrides.TorchFunctionMode would also work, but it routes every torch call through Python: featurizing
    # digits then takes 2 % longer, and small passes 9 %
    original, F.conv2d = F.conv2d, conv2d
    try:
        yield
    finally:
        F.conv2d = original


def conv2d_weight_gradient(layer, x, delta, B):
    """Weight gradients of a convolution for each of B examples, summed over the example's rows.

    Args:
        layer: an ``nn.Conv2d``. x: its input (B K, C, H, W). delta: its output's gradient (B K, outputs, H, W).

    Returns:
        (B, outputs, C, 3, 3), or None where no kernel applies.
    """
    from waypoint.kernels import convolution

    if not convolution.fits(x, layer.weight, layer.stride, layer.padding, layer.dilation, layer.groups):
        return None
    return convolution.weight_gradient(x, delta, B)
