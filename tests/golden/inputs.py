"""Fixed inputs of the golden outputs: from formulas, so that another stage's change does not show."""

import numpy as np

from waypoint.store.arrays import create_store, open_store

N, D, STEPS = 12, 6, [100, 500]


def numbers(*shape, seed):
    return np.random.Generator(np.random.PCG64(seed)).standard_normal(shape).astype(np.float32)


def store(path, attributes=None, **arrays):
    """A store with these arrays, {name: (dims, values)}; its spec is empty and agrees with every other."""
    with create_store(path, lambda: {"spec": {}, **(attributes or {})}) as writer:
        for name, (dims, values) in arrays.items():
            writer.write(name, dims, values)
    return path


def arrays_of(path, *names):
    return {name: open_store(path)[name][:] for name in names}
