"""The terminal during a run: a line for each job, how far the run is, and one sentence where something fails."""
