"""Terminal output during a run: a line for each job, the run's progress, and one sentence for each failure."""
