"""Code that scripts share: a job with its arguments, log and device, and common work."""
