"""Control: f_t without each image − f_t, for the optimal denoiser of a Gaussian fitted to the training images."""

from functools import partial

import numpy as np

from waypoint.science import wiener
from waypoint.store.data.training_set import inputs_of
from waypoint.store.zarr.reader import blocks, read
from waypoint.store.zarr.writer import create_store
from waypoint.workflow.jobs.job import run
from waypoint.workflow.jobs.noise_trajectories import mean_and_error, of_every_noise
from waypoint.workflow.jobs.target import mask_weight


def main(job):
    data, trajectory = job.open(job.args.data), job.open(job.args.trajectory, generator=job.args.generator)
    steps, mask = job.settings["target"]["steps"], job.settings["target"]["mask"]
    grid = read(trajectory["step"]).tolist()
    x0_hat = of_every_noise(trajectory, "x0_hat", [grid.index(t) for t in steps])
    noises, flat_x0_hat = len(x0_hat), x0_hat.reshape(-1, *x0_hat.shape[2:])  # noises outermost
    weight = mask_weight(mask, job.args.mask, trajectory["image"].shape[-2:], x0_hat.shape[-2:])
    alpha_bars = np.tile(job.checkpoint(job.args.generator).alpha_bars()[steps], noises)

    images = partial(blocks, inputs_of(data))
    gaussian, parts = wiener.fit(images), []
    weight = None if weight is None else weight.numpy()
    for start, tau in wiener.scores(gaussian, images, flat_x0_hat, alpha_bars, weight):
        parts.append(tau.reshape(noises, len(steps), -1).astype(np.float32))
        job.progress(start + tau.shape[1], gaussian.count, "images")
    score, error = mean_and_error(np.concatenate(parts, axis=2))
    with create_store(job.args.out, lambda: job.provenance(method=job.args.method, target=job.args.target)) as store:
        store.label(method=job.args.method, target=job.args.target)
        store.write("step", ["step"], np.array(steps))
        store.write("train", ["train"], np.arange(score.shape[1]))
        store.write("score", ["step", "train"], score.astype(np.float32), "step", steps)
        if error is not None:
            store.write("score_se_noise", ["step", "train"], error.astype(np.float32), "step", steps)


if __name__ == "__main__":
    run(main, ["data", "trajectory", "generator", "mask?", "method", "target", "out"])
