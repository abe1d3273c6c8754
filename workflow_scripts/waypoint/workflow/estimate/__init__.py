"""Estimates of an experiment's seconds, memory and storage."""
