"""Artifacts: their provenance, their checksums, and writing them whole or not at all."""
