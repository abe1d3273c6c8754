"""The BLAS of numpy and of scipy: their threads, and products of many rows with few columns."""

import functools

import numpy as np
import scipy.linalg  # noqa: F401  brings its own BLAS, which is to be found here
from threadpoolctl import ThreadpoolController

SMALL, FEW = 10**6, 1200  # multiply-adds and results of a matrix product up to which OpenBLAS calls it small
STACKS = (16, 8, 4)  # rows of a small product; others are slower
AVX512 = ("SkylakeX", "Cooperlake", "SapphireRapids")  # OpenBLAS's names


@functools.cache
def _libraries():
    return ThreadpoolController().select(user_api="blas")


def blas_threads():
    """The number of threads that a product may take."""
    return max((library.num_threads for library in _libraries().lib_controllers), default=1)


def one_blas_thread():
    """Let products take one thread from now on, or only within a block where it is used as a context."""
    return _libraries().limit(limits=1)


@functools.cache
def has_small_kernels():
    """Whether there are kernels for small matrices: OpenBLAS has them for processors with AVX-512."""
    return any(library.get("architecture") in AVX512 for library in _libraries().info())


def tall_skinny_matmul(rows, right):
    """rows (b, d) @ right (d, k), where k is small and ``right`` lies column by column.

    BLAS copies its operands into an order of its own, which takes longer than the work with a few columns. OpenBLAS's
    kernels for small matrices do not: hence a few rows at a time, 0.07 instead of 0.12 s for 50,000 × 4,096 and 9.
    """
    fits = [b for b in STACKS if b * right.size <= SMALL and b * right.shape[1] <= FEW]
    if not (fits and has_small_kernels()):
        return rows @ right
    stack = fits[0]
    whole = len(rows) // stack * stack
    stacks = rows[:whole].reshape(-1, stack, rows.shape[1]) @ right
    return np.concatenate([stacks.reshape(whole, right.shape[1]), rows[whole:] @ right])
