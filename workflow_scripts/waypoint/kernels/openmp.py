"""Run compiled loops over independent items in torch's own threads.

These are OpenMP threads, which spin while they wait for work: any other threads would compete with them for the cores.
"""

import ctypes
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch

try:  # the OpenMP that torch links to, through the entry point common to GCC's and LLVM's
    openmp = ctypes.CDLL(str(next(Path(torch.__file__).parent.glob("lib/libtorch_cpu.*"))))
    parallel, thread_number = openmp.GOMP_parallel, openmp.omp_get_thread_num
except (OSError, AttributeError, StopIteration):
    parallel = None


def in_threads(loop, items, *tensors):
    """Run ``loop(*tensors, start, stop)`` over items 0 to ``items`` - 1, divided among torch's threads."""
    arrays, threads = [x.detach().numpy() for x in tensors], torch.get_num_threads()
    bounds = [items * n // threads for n in range(threads + 1)]

    def part(n):
        loop(*arrays, bounds[n], bounds[n + 1])

    if parallel is None:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(part, range(threads)))
    else:
        in_team(part, threads)


def in_team(part, threads):
    """Run ``part(n)`` in every thread n of an OpenMP team."""
    ran, errors = set(), []

    @ctypes.CFUNCTYPE(None, ctypes.c_void_p)
    def body(_):
        try:
            part(n := thread_number())
            ran.add(n)
        except BaseException as error:  # re-raised below: no exception may leave this C callback
            errors.append(error)

    assert parallel is not None  # only called where OpenMP was found
    parallel(body, None, ctypes.c_uint(threads), ctypes.c_uint(0))
    for error in errors:
        raise error
    for n in {*range(threads)} - ran:  # the team may be smaller than requested
        part(n)
