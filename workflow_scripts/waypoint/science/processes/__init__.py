"""Diffusion processes: noising, training target, one-step estimate, output function, a sampling step."""
