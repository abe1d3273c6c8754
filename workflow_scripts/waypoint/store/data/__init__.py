"""Training images: their sources, one file each, and the stored training set as models see it."""
