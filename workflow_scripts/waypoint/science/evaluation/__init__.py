"""The evaluations of the paper as pure functions, and shared helpers."""
