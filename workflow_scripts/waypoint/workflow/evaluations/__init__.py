"""The evaluations, a file each: its settings and checks, its outputs, and their cost."""
