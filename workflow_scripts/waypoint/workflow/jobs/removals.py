"""Models retrained without some images, and samples from them, for counterfactual and forgetting.

``job.args.models`` lists the models' folders by entry of n_remove: one folder for a method, several for ``random``.
"""

import numpy as np
import torch

from waypoint.errors import WaypointError
from waypoint.science.evaluation.subsets import removal_count
from waypoint.science.processes.ddpm import continuations
from waypoint.science.random_streams import torch_stream
from waypoint.store.networks.classifier import load_classifier
from waypoint.store.networks.inception import Inception
from waypoint.store.networks.training_rows import training_rows
from waypoint.workflow.jobs.decoding import decoder
from waypoint.workflow.jobs.target import Target

BATCH = 250  # samples per batch, fixed so that equal models give bit-equal images in every job
SAMPLES = 8  # number of samples that are stored for inspection


class Restarts:
    """Samples of p(·|x_t) of one target, with an optional other model at the steps in (t - Δ, t].

    x_t and all noises are the same for every model (§3.2, Fig. 5).
    """

    def __init__(self, job, generator):
        self.settings, self.seed, self.steps = (
            job.settings["counterfactual"],
            job.settings["seed"],
            job.settings["sampling"]["steps"],
        )
        self.generator, self.target = generator, Target(job, generator, [self.settings["step"]])
        self.decode = decoder(job, generator.device)

    def batches(self, other=None):
        """Iterate over ``counterfactual.images`` samples in batches (≤ BATCH, C, H, W) on the CPU."""
        t, target = self.settings["step"], self.target
        theta = target.sampling(self.generator)
        for start in range(0, self.settings["images"], BATCH):
            numbers = range(start, min(start + BATCH, self.settings["images"]))
            streams = [torch_stream(self.seed, "counterfactual", target.key, t, k) for k in numbers]
            swap = None if other is None else (target.sampling(other), self.settings["delta"])
            yield self.decode(continuations(theta, self.steps, target.x_t[0], t, streams, target.condition, swap))


class Features:
    """The network whose features are compared, chosen by the spec's section ``fid``.

    Attributes:
        name: the network's name in tables.
    """

    def __init__(self, job, device):
        self.device, fid = device, job.settings["fid"]
        if fid["features"] == "classifier":
            self.name, self.network = "classifier", load_classifier(job.args.classifier, device)
        else:
            self.network = Inception(job.args.weights, fid["sha256"], fid["dims"], device)
            self.name = self.network.name

    @torch.inference_mode()
    def __call__(self, images):
        """Return features (B, F) of images (B, C, H, W) in [-1, 1], as a float32 array."""
        return self.network.features(images.to(self.device)).float().cpu().numpy()

    def of(self, batches):
        """Return features (n, F) of all images in the batches, and the first SAMPLES images."""
        features, first = [], []
        for images in batches:
            first = first or [images[:SAMPLES].numpy()]
            features.append(self(images))
        return np.concatenate(features), first[0]


def full_models(job):
    """Iterate over the denoisers of the full set after verifying that; one is loaded at a time to save memory."""
    rows = np.arange(images_of(job))
    for folder in job.args.models:
        yield job.checkpoint(folder, rows=rows).load(job.device())


def models_without(job, section):
    """Iterate over the retrained models, verifying that each lacks exactly the images that ``section`` removes.

    Yields:
        (row, removal), the indices of n_remove in the spec's list and of the removal, and the denoiser.

    Raises:
        WaypointError: a model that was trained with other settings or on other images.
    """
    settings, n = job.settings[section], images_of(job)
    scores = removing_scores(job, settings)
    folders = iter(job.args.models)
    for row, remove in enumerate(settings["n_remove"]):
        for removal in range(removals(job)):
            selection = {"random": removal} if scores is None else {"step": settings["step"]}
            folder = next(folders)
            rows = training_rows({**selection, "remove": remove}, job.settings["seed"], n, scores)
            yield (row, removal), job.checkpoint(folder, rows=rows).load(job.device())


def removing_scores(job, settings):
    """Return the open scores that determine the removed images, or None for random removals.

    Raises:
        WaypointError: scores of another method or target.
    """
    if "method" not in settings:
        return None
    scores = job.open(job.args.scores)
    actual, expected = (scores.attrs["method"], scores.attrs["target"]), (settings["method"], job.args.target)
    if actual != expected:
        raise WaypointError(f"{job.args.scores} holds scores of {actual}, wanted are those of {expected}")
    return scores


def removals(job):
    """Return the number of models for each entry of n_remove: 1, or the number of random removals."""
    return job.settings["controls"].get("random_removals", 1)


def removed(job, section):
    """Return the number of images that each entry of n_remove removes, (n_remove,)."""
    n = images_of(job)
    return np.array([removal_count(remove, n) for remove in job.settings[section]["n_remove"]])


def images_of(job):
    """Return the number of images that the generating model was trained on."""
    return job.checkpoint(job.args.generator).attributes["images"]
