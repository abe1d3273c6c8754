"""Changes to foreign libraries, each with its reason and the versions that it was written for."""
