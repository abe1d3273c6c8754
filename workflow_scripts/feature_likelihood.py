"""tables/feature_likelihood.csv and steepest_intervals.csv: when does a class appear (§3.1, Fig. 3, B.10)?"""

import pandas as pd
import torch

from waypoint.errors import WaypointError
from waypoint.science.likelihood import shares, steepest_interval
from waypoint.store import classifiers
from waypoint.store.arrays import read
from waypoint.store.whole import whole_file
from waypoint.workflow.script import run
from waypoint.workflow.specs import require_agreement

KINDS = ("standard", "robust")


def main(job):
    device, networks = job.device(), {}
    for kind, folder in zip(KINDS, job.args.classifiers):
        require_agreement(folder, job.spec)
        networks[kind] = classifiers.load(folder, device)
    likelihoods, intervals = [], []
    for n, (samples, trajectory) in enumerate(zip(job.args.samples, job.args.trajectories), 1):
        found = job.open(samples)
        target, image = found.attrs["target"], read(job.open(trajectory)["image"])
        feature = chosen_feature(job, target, networks["standard"], image)
        steps, sample = read(found["step"]).tolist(), torch.from_numpy(read(found["sample"]))
        for kind, network in networks.items():
            row = {"classifier": kind, "target": target, "feature": feature}
            share = shares([network.classes(images) for images in sample], feature)
            for step, value in zip(steps, share):
                likelihoods.append({**row, "step": step, "likelihood": value, "samples": sample.shape[1]})
            steepest = steepest_interval(steps, share)
            intervals.append({**row, **interval_cells(steepest)})
        job.progress(n, len(job.args.samples), "targets")
    for path, rows in ((job.args.likelihood, likelihoods), (job.args.intervals, intervals)):
        with whole_file(path, job.provenance) as tmp:
            pd.DataFrame(rows).to_csv(tmp, index=False, float_format="%.6g")


def interval_cells(steepest):
    """The steepest interval as cells of the table, or why there is none."""
    if steepest is None:
        return {"step_from": None, "step_to": None, "rise": None, "note": "the likelihood never rises"}
    return {"step_from": steepest[0], "step_to": steepest[1], "rise": steepest[2], "note": ""}


def chosen_feature(job, target, network, image):
    """The class whose likelihood is followed: the config's, the target's label, or that of the final image."""
    named = job.spec["likelihood"]["features"] or {}
    labels = dict(zip(*[iter(job.args.labels or [])] * 2))
    feature = named.get(target, labels.get(target))
    if feature is None:
        return int(network.classes(torch.from_numpy(image[None])))
    if not 0 <= int(feature) < network.config["classes"]:
        raise WaypointError(
            f"evaluation.likelihood.features: {target}: class {feature} is not one of {network.config['classes']}"
        )
    return int(feature)


if __name__ == "__main__":
    arguments = ["classifiers*", "samples*", "trajectories*", "labels*", "likelihood", "intervals"]
    run(main, "likelihood", arguments)
