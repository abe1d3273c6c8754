"""The configuration: its schema, its defaults, and all checks before the first job."""
