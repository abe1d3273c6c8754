"""A file for each kind of network; what lies here is known everywhere (``networks/known.py``)."""
