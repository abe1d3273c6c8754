"""Training images: their sources, one file each, and the stored training set from a model's point of view."""
