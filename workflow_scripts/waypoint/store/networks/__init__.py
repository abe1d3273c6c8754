"""Folders of models: denoisers, VAEs, text and image encoders, classifiers."""
