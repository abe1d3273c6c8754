"""What every artifact has: provenance, checksums, and a place that it takes whole or not at all."""
