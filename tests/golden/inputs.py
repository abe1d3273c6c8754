"""Inputs of the golden outputs, from formulas, so that a change in one stage does not change the inputs of another."""

import numpy as np
from support import store  # noqa: F401, for the golden outputs

from waypoint.store.zarr.reader import open_store

N, D, STEPS = 12, 6, [100, 500]


def numbers(*shape, seed):
    return np.random.Generator(np.random.PCG64(seed)).standard_normal(shape).astype(np.float32)


def arrays_of(path, *names):
    return {name: open_store(path)[name][:] for name in names}
