"""Everything on disk: Zarr stores, artifacts, data sources and model folders."""
