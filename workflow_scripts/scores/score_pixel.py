"""Baseline: cosine similarity in pixel space to the final image, or to x̂0_t at each step."""

import numpy as np

from waypoint.science.baselines import cosine
from waypoint.store.zarr.reader import blocks, read
from waypoint.store.zarr.writer import create_store
from waypoint.workflow.jobs.job import run
from waypoint.workflow.jobs.noise_trajectories import mean_and_error, of_every_noise


def main(job):
    trajectory, images = job.open(job.args.trajectory), job.open(job.args.data)["image"]
    steps = job.settings["target"]["steps"]
    if job.settings["pixel"]["against"] == "x0_hat":
        references = estimates(job, trajectory, steps)
    else:
        references = np.repeat(read(trajectory["image"])[None, None], len(steps), axis=1)
    flat_references = references.reshape(-1, *references.shape[2:])  # noises outermost
    cosines = np.concatenate([cosine(rows, flat_references) for _, rows in blocks(images)], axis=1)
    score, error = mean_and_error(cosines.reshape(len(references), len(steps), -1))
    with create_store(job.args.out, lambda: job.provenance(method=job.args.method, target=job.args.target)) as store:
        store.label(method=job.args.method, target=job.args.target)
        store.write("step", ["step"], np.array(steps))
        store.write("train", ["train"], np.arange(score.shape[1]))
        store.write("score", ["step", "train"], score.astype(np.float32), "step", steps)
        if error is not None:
            store.write("score_se_noise", ["step", "train"], error.astype(np.float32), "step", steps)


def estimates(job, trajectory, steps):
    """Return x̂0_t of every noise trajectory at some steps (noises, S, C, H, W) in pixels; latents are decoded."""
    grid = read(trajectory["step"]).tolist()
    x0_hat = of_every_noise(trajectory, "x0_hat", [grid.index(t) for t in steps])
    if not job.args.vae:
        return x0_hat
    import torch  # takes seconds, and only latents need it

    from waypoint.workflow.jobs.decoding import decoder

    images = decoder(job, job.device())(torch.from_numpy(x0_hat).flatten(0, 1)).numpy()
    return images.reshape(*x0_hat.shape[:2], *images.shape[1:])


if __name__ == "__main__":
    run(main, ["data", "trajectory", "vae?", "method", "target", "out"])
