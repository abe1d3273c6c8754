"""Style and parts of figures, and scores read for figures and tables."""
