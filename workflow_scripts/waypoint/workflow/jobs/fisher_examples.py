"""The image, step and noises of each Fisher row of a job, on the network's device."""

import torch

from waypoint.science import fisher
from waypoint.science.gradients.examples import Example
from waypoint.store.data.training_set import conditions_of, inputs_of
from waypoint.store.zarr.reader import Rows


class FisherExamples:
    """Examples of a stream of Fisher rows, indexed by row.

    If the model was trained on flips, the flip of image i is a further image i + n.

    Args:
        settings: the job's, with the seed and ``data.flip``. data: the open data/train.zarr.
        theta: a ``Denoiser``. purpose, checkpoint: of the stream (``science/fisher``). count: R, the number of rows.
    """

    def __init__(self, settings, data, theta, purpose, checkpoint, count):
        n, self.key, self.device = data["image"].shape[0], (settings["seed"], purpose, checkpoint), theta.device
        drawn = fisher.row_images(*self.key, count, 2 * n if settings["data"]["flip"] else n)
        self.flipped, images = drawn >= n, drawn % n
        self.steps = torch.from_numpy(fisher.row_steps(*self.key, count, theta.T))
        self.inputs, self.conditions = Rows(inputs_of(data), images), conditions_of(data, theta, images)

    def __getitem__(self, r):
        x0 = torch.from_numpy(self.inputs[[r]])
        x0 = x0.flip(-1) if self.flipped[r] else x0
        epsilon, v = (noise[None].to(self.device) for noise in fisher.row_noise(*self.key, r, x0.shape[1:]))
        condition = None if self.conditions is None else self.conditions[[r]].to(self.device)
        return Example(x0.to(self.device), self.steps[[r]].to(self.device), epsilon, condition, v=v)
