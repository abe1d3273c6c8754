"""One file per kind of network; ``networks/known.py`` makes every file here known."""
