"""Baseline: cosine similarity in pixel space to the final image, or to x̂0_t at each step."""

import numpy as np

from waypoint.science.baselines import cosine
from waypoint.store.zarr.reader import blocks, read
from waypoint.store.zarr.writer import create_store
from waypoint.workflow.jobs.job import run


def main(job):
    trajectory, images = job.open(job.args.trajectory), job.open(job.args.data)["image"]
    steps = job.settings["target"]["steps"]
    if job.settings["pixel"]["against"] == "x0_hat":
        references = estimates(job, trajectory, steps)
    else:
        references = np.repeat(read(trajectory["image"])[None], len(steps), axis=0)
    score = np.concatenate([cosine(rows, references) for _, rows in blocks(images)], axis=1)
    with create_store(job.args.out, lambda: job.provenance(method=job.args.method, target=job.args.target)) as store:
        store.label(method=job.args.method, target=job.args.target)
        store.write("step", ["step"], np.array(steps))
        store.write("train", ["train"], np.arange(score.shape[1]))
        store.write("score", ["step", "train"], score.astype(np.float32), "step", steps)


def estimates(job, trajectory, steps):
    """x̂0_t at some steps (S, C, H, W) in pixels; latents are decoded."""
    grid = read(trajectory["step"]).tolist()
    found = read(trajectory["x0_hat"])[[grid.index(t) for t in steps]]
    if not job.args.vae:
        return found
    import torch  # seconds that nothing else here needs

    from waypoint.workflow.jobs.decoding import decoder

    return decoder(job, job.device())(torch.from_numpy(found)).numpy()


if __name__ == "__main__":
    run(main, ["data", "trajectory", "vae?", "method", "target", "out"])
