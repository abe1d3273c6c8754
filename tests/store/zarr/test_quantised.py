"""Features in narrow types: close to what was given, row by row, and read back as float32."""

import numpy as np
import pytest

from waypoint.errors import WaypointError
from waypoint.store.zarr import quantised
from waypoint.store.zarr.parallel_reader import Readers
from waypoint.store.zarr.reader import open_store
from waypoint.store.zarr.writer import create_store

# half a unit in the last place: of 11 significant bits, of 127 steps
ERROR = {"float32": 0, "float16": 2.0**-11, "int8": 0.5 / 127}


def rows(n=7, d=12, seed=0):
    """Rows of very different size, as gradients have: 1e-12 to 1e6."""
    scale = 10.0 ** np.linspace(-12, 6, n)
    return (np.random.default_rng(seed).standard_normal((n, d)) * scale[:, None]).astype(np.float32)


def stored(path, values, dtype, name="phi", dims=("train", "feature")):
    with create_store(path, dict) as store:
        quantised.create(store, name, list(dims), values.shape, dtype)
        quantised.put(store, name, slice(None), values, "image", range(len(values)))
    return open_store(path)


def read_back(group, name="phi"):
    return np.concatenate([part for _, part in quantised.blocks(group, name)])


@pytest.mark.parametrize("dtype", ERROR)
def test_every_row_keeps_its_own_precision(tmp_path, dtype):
    values = rows()
    group = stored(tmp_path / "a.zarr", values, dtype)
    found = read_back(group)
    assert group["phi"].dtype == dtype and found.dtype == np.float32
    largest = np.abs(values).max(1, keepdims=True)
    assert (np.abs(found - values) <= (ERROR[dtype] + 1e-6) * largest).all()
    assert ("phi_scale" in group) == (dtype != "float32")


@pytest.mark.parametrize("dtype", ["float16", "int8"])
def test_stored_numbers_times_scale_are_the_features(tmp_path, dtype):
    """Read the arrays as a notebook would."""
    group = stored(tmp_path / "a.zarr", rows(), dtype)
    assert np.array_equal(group["phi"][:] * group["phi_scale"][:][:, None], read_back(group))
    assert np.abs(group["phi"][:].astype(float)).max() == {"float16": 1, "int8": 127}[dtype]


@pytest.mark.parametrize("dtype", ERROR)
def test_a_row_of_zeros_stays_zero(tmp_path, dtype):
    values = rows()
    values[3] = 0
    found = read_back(stored(tmp_path / "a.zarr", values, dtype))
    assert not found[3].any() and found[4].any()


@pytest.mark.parametrize("dtype", ERROR)
def test_halves_have_a_scale_each(tmp_path, dtype):
    values = np.stack([rows(seed=1), 1e3 * rows(seed=2)], 1)
    group = stored(tmp_path / "a.zarr", values, dtype, "phi_half", ("train", "half", "feature"))
    largest = np.abs(values).max(-1, keepdims=True)
    assert (np.abs(read_back(group, "phi_half") - values) <= (ERROR[dtype] + 1e-6) * largest).all()


def test_a_damaged_scale_is_named(tmp_path):
    group = stored(tmp_path / "a.zarr", rows(), "int8")
    chunk = tmp_path / "a.zarr/phi_scale/c/0"
    chunk.write_bytes(bytes([chunk.read_bytes()[0] ^ 1]) + chunk.read_bytes()[1:])
    with pytest.raises(WaypointError, match="phi_scale/c/0: damaged"):
        read_back(group)


@pytest.mark.parametrize("dtype", ERROR)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_is_refused_in_every_type(tmp_path, dtype, bad):
    values = rows()
    values[2, 5] = bad
    with pytest.raises(WaypointError, match="not finite at image 2"):
        stored(tmp_path / "a.zarr", values, dtype)
    assert not (tmp_path / "a.zarr").exists()


@pytest.mark.parametrize("dtype", ERROR)
def test_functions_of_rows_see_the_features_wherever_they_are_computed(tmp_path, dtype, monkeypatch):
    monkeypatch.setattr("waypoint.store.zarr.writer.CHUNK_BYTES", 2 * 12 * np.dtype(dtype).itemsize)
    group = stored(tmp_path / "a.zarr", rows(), dtype)
    assert group["phi"].nchunks == 4
    scale = group["phi_scale"][:][:, None] if "phi_scale" in group else 1
    expected = -group["phi"][:] * scale
    with Readers() as readers:
        for given in (None, readers):
            found = quantised.blocks(group, each=np.negative, readers=given)
            assert np.array_equal(np.concatenate([part for _, part in found]), expected)
