"""tables/feature_likelihood.csv and steepest_intervals.csv: when does a feature appear (§3.1, Fig. 3, B.6, B.10)?

A feature is a class, judged by two classifiers, or the first of two captions against the second, judged by an
image-text model.
"""

import json

import pandas as pd
import torch

from waypoint.errors import WaypointError
from waypoint.science.evaluation.feature_likelihood import nearer_to_first, shares, steepest_interval
from waypoint.store.artifacts.atomic import atomic_file
from waypoint.store.networks.classifier import load_classifier
from waypoint.store.networks.image_encoder import ImageEncoder
from waypoint.store.zarr.reader import read
from waypoint.workflow.jobs.job import run
from waypoint.workflow.jobs.samples import chosen_steps

KINDS = ("standard", "robust")
BATCH = 64  # images per call of an encoder


def main(job):
    device, networks = job.device(), {}
    for kind, folder in zip(KINDS, job.args.classifiers):
        networks[kind] = load_classifier(job.folder(folder), device)
    captions = Captions(job, device) if "caption_likelihood" in job.settings else None
    likelihoods, intervals = [], []
    for n, (samples, trajectory) in enumerate(zip(job.args.samples, job.args.trajectories), 1):
        store = job.open(samples)
        target, number = store.attrs["target"], job.settings["samples"]["number"]
        rows, steps = zip(*chosen_steps(job, store))
        sample, judgements = Samples(store["sample"], rows, number), []
        if networks:
            image = read(job.open(trajectory)["image"])
            feature = chosen_feature(job, target, networks["standard"], image)
            for kind, network in networks.items():
                judgements.append((kind, feature, shares([network.classes(images) for images in sample], feature)))
        if captions and target in captions.pairs:
            judgements.append((captions.name, captions.pairs[target][0], captions.shares(target, sample)))
        for judge, feature, share in judgements:
            row = {"classifier": judge, "target": target, "feature": feature}
            for step, value in zip(steps, share):
                likelihoods.append({**row, "step": step, "likelihood": value, "samples": number})
            intervals.append({**row, **interval_cells(steepest_interval(steps, share))})
        job.progress(n, len(job.args.samples), "targets")
    for path, rows in ((job.args.likelihood, likelihoods), (job.args.intervals, intervals)):
        with atomic_file(path, job.provenance) as tmp:
            pd.DataFrame(rows).to_csv(tmp, index=False, float_format="%.6g")


class Samples:
    """Iterates over the samples of each step, (number, C, H, W): those of all steps may not fit into memory."""

    def __init__(self, array, rows, number):
        self.array, self.rows, self.number = array, rows, number

    def __iter__(self):
        return (torch.from_numpy(read(self.array, s)[: self.number]) for s in self.rows)


class Captions:
    """An image-text model that tells two captions of a target apart (B.6).

    Attributes:
        name: its key in the config's ``image_encoders``. pairs: {target: [first, second]}.
    """

    def __init__(self, job, device):
        settings = job.settings["caption_likelihood"]
        self.name, self.pairs = settings["encoder"], settings["captions"]
        place = json.loads(job.args.places)[self.name]
        self.encoder = ImageEncoder(self.name, job.settings["image_encoder"], place, device)

    def shares(self, target, sample):
        """Return the share of each step's samples (number, C, H, W) that are nearer to the first caption: (S,)."""
        captions = self.encoder.captions(self.pairs[target]).cpu().numpy()
        return shares([nearer_to_first(self.embedded(images), captions) for images in sample], True)

    def embedded(self, images):
        return torch.cat([self.encoder(batch) for batch in images.split(BATCH)]).cpu().numpy()


def interval_cells(steepest):
    """Return the table's cells for the steepest interval, or with a note if there is none."""
    if steepest is None:
        return {"step_from": None, "step_to": None, "rise": None, "note": "the likelihood never rises"}
    return {"step_from": steepest[0], "step_to": steepest[1], "rise": steepest[2], "note": ""}


def chosen_feature(job, target, network, image):
    """Return the class whose likelihood is followed: the config's, the target's label, or the final image's class."""
    features = job.settings["likelihood"]["features"] or {}
    feature = features.get(target, job.settings["labels"].get(target))
    if feature is None:
        return int(network.classes(torch.from_numpy(image[None])))
    if not 0 <= int(feature) < network.config["classes"]:
        raise WaypointError(
            f"evaluation.likelihood.features: {target}: class {feature} is not one of {network.config['classes']}"
        )
    return int(feature)


if __name__ == "__main__":
    arguments = ["classifiers*", "samples*", "trajectories*", "places?", "likelihood", "intervals"]
    run(main, arguments)
