"""Narrow products against plain sums, with and without kernels for small matrices."""

import os
import subprocess
import sys

import numpy as np
import pytest
from support import SCRIPTS
from threadpoolctl import threadpool_info, threadpool_limits

from waypoint.kernels import blas


@pytest.mark.parametrize("small", [False, True], ids=["plain", "small kernels"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("columns", [1, 9, 40, 300])
@pytest.mark.parametrize("b", [0, 1, 15, 16, 37])
@pytest.mark.parametrize("d", [1, 3000])
def test_tall_skinny_matmuls_equal_sums(monkeypatch, d, b, columns, dtype, small):
    """At d = 3,000 the stacks are of 16 rows, 8 (40 columns) and none at all (300).

    Of whole numbers up to 8: their sums stay below 2²⁴, and so are exact in either precision and any order.
    """
    monkeypatch.setattr(blas, "has_small_kernels", lambda: small)
    rng = np.random.default_rng(0)
    rows = rng.integers(-8, 9, (b, d)).astype(dtype)
    right = np.asfortranarray(rng.integers(-8, 9, (d, columns)), dtype)
    found = blas.tall_skinny_matmul(rows, right)
    assert found.dtype == dtype
    assert np.array_equal(found, np.einsum("bd,dk->bk", rows.astype(int), right.astype(int)))


def test_products_take_one_thread_where_told_so():
    def counts():
        return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}

    with threadpool_limits(2):
        assert blas.blas_threads() == 2
        with blas.one_blas_thread():
            assert blas.blas_threads() == 1 and counts() == {1}
        assert counts() == {2}


def test_scipys_library_is_known_although_it_comes_with_scipy():
    """Found too late, it would keep its threads."""
    script = (
        "from waypoint.kernels import blas; blas.one_blas_thread(); import scipy.linalg, threadpoolctl; "
        "print({x['num_threads'] for x in threadpoolctl.threadpool_info() if x['user_api'] == 'blas'})"
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "2", "PYTHONPATH": str(SCRIPTS)}
    told = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "{1}"
