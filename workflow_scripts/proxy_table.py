"""tables/proxy.csv: how far x̂0_t is from the mean of samples of p(·|x_t), which it stands for (§2.2)."""

import numpy as np
import pandas as pd

from waypoint.store.arrays import read
from waypoint.store.whole import whole_file
from waypoint.workflow.script import run


def main(job):
    rows = []
    for samples, trajectory in zip(job.args.samples, job.args.trajectories):
        found, made = job.open(samples), job.open(trajectory)
        grid, x0_hat = read(made["step"]).tolist(), read(made["x0_hat"])
        for s, step in enumerate(read(found["step"]).tolist()):
            sample = read(found["sample"], s).astype(np.float64)
            spread = np.sqrt(sample.var(0, ddof=1).sum())
            l2 = np.sqrt(((x0_hat[grid.index(step)] - sample.mean(0)) ** 2).sum())
            row = {"target": found.attrs["target"], "step": step, "l2": l2, "l2_noise": spread / len(sample) ** 0.5}
            rows.append({**row, "spread": spread, "samples": len(sample)})
    with whole_file(job.args.out, job.provenance) as tmp:
        pd.DataFrame(rows).to_csv(tmp, index=False, float_format="%.6g")


if __name__ == "__main__":
    run(main, "proxy", ["samples*", "trajectories*", "out"])
