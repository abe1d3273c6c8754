"""Artifacts: provenance, checksums, and writing them completely or not at all."""
