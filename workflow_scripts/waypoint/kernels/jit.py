"""Decorators for loops that Numba compiles for the CPU at hand."""

import numba

# sums may be reordered, but a NaN stays a NaN
OPTIONS = {"nogil": True, "error_model": "numpy", "fastmath": {"reassoc", "contract", "nsz", "arcp"}}


def inner(function):
    """Compile a function for use within other compiled functions."""
    return numba.njit(**OPTIONS)(function)


def compiled(signature):
    """Compile a function immediately, and cache it on disk if a cache folder is writable."""

    def decorate(function):
        try:
            return numba.njit(signature, cache=True, **OPTIONS)(function)
        except RuntimeError:  # neither this folder nor the user's cache folder is writable
            return numba.njit(signature, **OPTIONS)(function)

    return decorate
