"""Zarr 3 stores, written completely or not at all; reading verifies their checksums."""
