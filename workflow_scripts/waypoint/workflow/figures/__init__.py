"""The style and parts of figures, and access to scores for figures and tables."""
