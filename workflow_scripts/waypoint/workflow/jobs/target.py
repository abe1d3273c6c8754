"""A target in scripts: the generated image, its trajectory at some steps, its key and mask."""

import json

import torch

from waypoint.science.processes.ddpm import repeated
from waypoint.science.processes.guidance import guided
from waypoint.science.regions import cell_shares
from waypoint.science.timesteps import check_steps
from waypoint.store.networks import checkpoints
from waypoint.store.zarr.reader import read
from waypoint.workflow.config.regions import pixels
from waypoint.workflow.jobs.noise_trajectories import of_every_noise

ORIGIN = ("seed", "label", "prompt", "trajectory", "image", "inversion")


class Target:
    """A generated image and its trajectory at the given steps.

    Args:
        job: its ``settings`` hold ``target``, ``generator``, ``sampling``; its arguments ``trajectory`` and
            ``generator`` (the model's folder).
        generator: the generating denoiser.
        steps: training-time steps on the sampling grid.

    Attributes:
        steps, x_t, x0_hat: (S,), (S, C, H, W), (S, C, H, W); x̂0_t is the generating model's.
        x_t_of, x0_hat_of: the same for every noise trajectory, (noises, S, C, H, W); the above are those of the first.
        image: pixels (C, H, W). condition: class (1,), embedded prompt (1, token, width), or None.
        key: identifies the trajectory, equal for all targets and masks that share it; noises are drawn by it.

    Raises:
        WaypointError: a step off the grid, or a trajectory from other weights than the generator's.
    """

    def __init__(self, job, generator, steps):
        device = generator.device
        trajectory = job.open(job.args.trajectory, generator=job.args.generator)
        grid = read(trajectory["step"]).tolist()
        check_steps(steps, grid, "targets: steps")
        rows = [grid.index(t) for t in steps]
        self.steps = steps
        self.x_t_of = torch.from_numpy(of_every_noise(trajectory, "x_t", rows)).to(device)
        self.x0_hat_of = torch.from_numpy(of_every_noise(trajectory, "x0_hat", rows)).to(device)
        self.x_t, self.x0_hat = self.x_t_of[0], self.x0_hat_of[0]
        self.image = torch.from_numpy(read(trajectory["image"]))
        origin = {key: job.settings["target"][key] for key in ORIGIN if key in job.settings["target"]}
        self.condition, self.null = conditions(trajectory, generator, origin)
        self.guidance = {
            section: job.settings.get(section, {}).get("guidance", 1) for section in ("sampling", "attribution")
        }
        self.key = json.dumps([origin, job.settings["generator"], job.settings["sampling"]], sort_keys=True)

    def conditions(self, count):
        """Return the condition repeated for ``count`` rows, or None."""
        return repeated(self.condition, count)

    def sampling(self, theta):
        """Return ``theta`` with the sampler's guidance, as used for images and x̂0_t."""
        return guided(theta, self.null, self.guidance["sampling"])

    def for_output_function(self, theta):
        """Return ``theta`` with the guidance of f_t."""
        return guided(theta, self.null, self.guidance["attribution"])


def conditions(trajectory, generator, origin):
    """Return a target's condition, one row or None, and the embedding of the empty caption (token, width) or None.

    Args:
        trajectory: the target's open store. origin: its row, with a label or prompt if it has one.
    """
    text, null = (
        torch.from_numpy(read(trajectory[name])) if name in trajectory else None
        for name in ("text_embedding", "null_embedding")
    )
    return checkpoints.target_condition(generator, origin, text), null


def mask_weight(mask, file, image, grid):
    """Return the weights (H, W) of a mask at the model's positions, each the masked share of its area, or None.

    Args:
        mask: the spec's entry: a box, a file's hash, or None. file: the PNG, if there is one.
        image, grid: (H, W) of the image, in whose pixels the mask is given, and of x_t.
    """
    return None if mask is None else torch.from_numpy(cell_shares(pixels(mask, file, image), *grid))
