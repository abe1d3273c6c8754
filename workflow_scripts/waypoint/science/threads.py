"""Compiled loops over independent items, in as many threads as torch has."""

from concurrent.futures import ThreadPoolExecutor

import torch


def in_threads(loop, items, *tensors):
    """Run ``loop(*tensors, start, stop)`` over items 0 to ``items`` - 1, each thread a part of them."""
    arrays, threads = [x.detach().numpy() for x in tensors], torch.get_num_threads()
    bounds = [items * n // threads for n in range(threads + 1)]
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda start, stop: loop(*arrays, start, stop), bounds[:-1], bounds[1:]))
