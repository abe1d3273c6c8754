"""tables/one_step_error.csv: the distance of x̂0_t from the mean of samples of p(·|x_t), which it stands for (§2.2)."""

import pandas as pd

from waypoint.science.evaluation.one_step_error import one_step_error
from waypoint.store.artifacts.atomic import atomic_file
from waypoint.store.zarr.reader import read
from waypoint.workflow.jobs.job import run
from waypoint.workflow.jobs.samples import chosen_steps


def main(job):
    rows = []
    for samples, trajectory in zip(job.args.samples, job.args.trajectories, strict=True):
        restarts = job.open(samples)
        generated = job.open(trajectory, source_of=restarts)  # the trajectory that these samples restarted from
        grid, x0_hat = read(generated["step"]).tolist(), read(generated["x0_hat"])
        sample_array = restarts["latent" if "latent" in restarts else "sample"]
        for s, step in chosen_steps(job, restarts):
            sample = read(sample_array, s)[: job.settings["samples"]["number"]]
            row = one_step_error(x0_hat[grid.index(step)], sample)
            rows.append({"target": restarts.attrs["target"], "step": step, **row})
    with atomic_file(job.args.out, job.provenance) as tmp:
        pd.DataFrame(rows).to_csv(tmp, index=False, float_format="%.6g")


if __name__ == "__main__":
    run(main, ["samples*", "trajectories*", "out"])
