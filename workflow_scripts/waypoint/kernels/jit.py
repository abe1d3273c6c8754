"""Loops that Numba compiles, for whatever CPU they run on."""

import numba

# sums may be reordered, but a NaN stays a NaN
OPTIONS = {"nogil": True, "error_model": "numpy", "fastmath": {"reassoc", "contract", "nsz", "arcp"}}


def inner(function):
    """Compiled where it is called from."""
    return numba.njit(**OPTIONS)(function)


def compiled(signature):
    """Compiled now, and kept on disk where that can be written."""

    def decorate(function):
        try:
            return numba.njit(signature, cache=True, **OPTIONS)(function)
        except RuntimeError:  # neither this folder nor the user's own can be written
            return numba.njit(signature, **OPTIONS)(function)

    return decorate
