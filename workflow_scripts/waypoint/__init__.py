"""Waypoint's library. Three floors, imports go down only.

``science``   tensors in, tensors out: diffusion, gradients, projection, kernel
``store``     Zarr arrays, data sets and model folders on disk
``workflow``  configuration, the plan (paths and specs), what every script shares
"""
