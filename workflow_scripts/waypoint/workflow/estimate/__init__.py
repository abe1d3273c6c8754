"""Estimates of an experiment's running time, memory and storage."""
