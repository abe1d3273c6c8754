"""Configuration, the plan of paths and specs, and what scripts share."""
