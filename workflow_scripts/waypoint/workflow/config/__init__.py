"""The configuration: its schema and defaults, and every mistake found before the first job."""
