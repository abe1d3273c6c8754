"""The configuration, the plan of paths and specs, and the code that scripts share."""
