"""Changes to third-party libraries, each with its reason and the version it was written for."""
