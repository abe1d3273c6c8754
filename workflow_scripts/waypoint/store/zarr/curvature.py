"""curvature/{checkpoint}.zarr: the eigenvalues and eigenvectors of every parameter tensor."""

import zarr
from torch import nn

from waypoint.science.curvature import Curvature
from waypoint.store.artifacts.fingerprint import arrays_hash
from waypoint.store.zarr.reader import read
from waypoint.store.zarr.writer import StoreWriter

DIMS = {"eigenvalues": ["row", "column"], "Q_A": ["column", "eigenvector"], "Q_S": ["row", "eigenvector"]}


def write_curvature(store: StoreWriter, curvature: Curvature, checkpoint: str) -> None:
    """Write every array of a ``Curvature`` to a ``StoreWriter``.

    Raises:
        WaypointError: a number that is not finite.
    """
    for name, values in curvature.arrays().items():
        kind = next(kind for kind in DIMS if f".{kind}" in name)
        # lengths differ from tensor to tensor, so the dimensions need names of their own
        dims = [f"{name} {dim}" for dim in DIMS[kind]]
        store.write(name, dims, values, f"checkpoint {checkpoint}, row")


def content_of(curvature: Curvature) -> str:
    """SHA-256 of all arrays of a ``Curvature``.

    Eigenvectors of near-equal eigenvalues rotate with every rounding error, so gradients whitened by one curvature
    cannot be compared with gradients whitened by another, even if both were computed with the same settings.
    """
    return arrays_hash(sorted(curvature.arrays().items()))


def read_curvature(store: zarr.Group, unet: nn.Module) -> Curvature:
    """Read the ``Curvature`` of an open store, for this network and on its device.

    Raises:
        WaypointError: it belongs to another network, or a chunk is damaged.
    """
    shapes = {name: q.shape for name, q in unet.named_parameters() if q.requires_grad}
    arrays = {name: read(array) for name, array in store.arrays()}
    return Curvature.from_arrays(shapes, arrays).to(next(unet.parameters()).device)
