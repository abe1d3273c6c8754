"""The evaluations, a file each: what it asks of a configuration, what it makes, and what that costs."""
