"""Loops that Numba compiles, for whatever CPU they run on."""

import numba

# sums may be reordered, but a NaN stays a NaN
OPTIONS = {"nogil": True, "error_model": "numpy", "fastmath": {"reassoc", "contract", "nsz", "arcp"}}


def inner(function):
    """Compile a function as a part of the compiled functions that call it."""
    return numba.njit(**OPTIONS)(function)


def compiled(signature):
    """Compile a function now, and cache it on disk where that can be written."""

    def decorate(function):
        try:
            return numba.njit(signature, cache=True, **OPTIONS)(function)
        except RuntimeError:  # neither this folder nor the user's own can be written
            return numba.njit(signature, **OPTIONS)(function)

    return decorate
