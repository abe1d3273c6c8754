"""Compiled CPU kernels; nothing above this package knows how they work."""
