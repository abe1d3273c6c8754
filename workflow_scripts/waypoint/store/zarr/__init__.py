"""Zarr 3 stores: written whole or not at all, read with their checksums verified."""
