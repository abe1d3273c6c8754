"""The evaluations, one file each: settings, checks, outputs, and costs."""
