"""Narrow products against plain sums, with and without kernels for small matrices."""

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from waypoint.science import blas


@pytest.mark.parametrize("small", [False, True], ids=["plain", "small kernels"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("columns", [1, 9, 40, 300])
@pytest.mark.parametrize("b", [0, 1, 15, 16, 37])
def test_narrow_products_equal_sums(monkeypatch, b, columns, dtype, small):
    """At d = 3,000 the stacks are of 16 rows, 8 (40 columns) and none at all (300)."""
    monkeypatch.setattr(blas, "has_small_kernels", lambda: small)
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((b, 3000)).astype(dtype)
    right = np.asfortranarray(rng.standard_normal((3000, columns)), dtype)
    found = blas.narrow_product(rows, right)
    expected = np.einsum("bd,dk->bk", rows.astype(float), right.astype(float))
    assert found.dtype == dtype and found.shape == (b, columns)
    assert np.abs(found - expected).max(initial=0) <= 60 * 3000**0.5 * np.finfo(dtype).eps


def test_products_take_one_thread_where_told_so():
    def counts():
        return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}

    with threadpool_limits(2):
        assert blas.threads() == 2
        with blas.one_thread():
            assert blas.threads() == 1 and counts() == {1}
        assert counts() == {2}


def test_both_libraries_are_known():
    """Loaded later, scipy's would keep its threads."""
    assert len(blas._libraries().lib_controllers) == sum(library["user_api"] == "blas" for library in threadpool_info())
