"""Code that scripts share: a job with its arguments, log and device, and work that several of them do."""
