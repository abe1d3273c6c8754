"""Waypoint's library. Imports go down only: workflow → store → science → kernels.

``workflow``  configuration, the plan (paths and specs), what scripts share, figures, estimates
``store``     Zarr arrays, artifacts and what made them, data sources, model folders
``science``   the paper, tensors in and tensors out
``kernels``   compiled CPU kernels, and the threads that they run in
``patches``   changes to foreign libraries; they import nothing of Waypoint but ``errors``
"""
