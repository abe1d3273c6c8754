"""Diffusion processes: noising, losses, one-step estimates and sampling."""
