"""What a person sees while Snakemake runs: a line a job, how far the run is, and one sentence where something fails."""
