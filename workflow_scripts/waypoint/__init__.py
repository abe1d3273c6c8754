"""Waypoint's library. Imports go down only: workflow → store → science → kernels.

``workflow``  configuration, the plan (paths and specs), code that scripts share, figures, estimates
``store``     Zarr arrays, artifacts and their provenance, data sources, model folders
``science``   the paper, tensors in and tensors out
``kernels``   compiled CPU kernels and the threads they run in
``patches``   changes to third-party libraries; of Waypoint they import only ``errors``
"""
