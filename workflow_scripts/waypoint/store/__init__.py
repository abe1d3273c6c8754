"""The store floor: Zarr in and out, data sets, model folders."""
