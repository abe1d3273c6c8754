"""Golden outputs of the stages of classifiers, samples and what is read from them."""

import numpy as np
import pandas as pd
import torch
from inputs import STEPS, arrays_of, numbers, store
from support import run_script

from waypoint.science.evaluation.classifier import Classifier
from waypoint.store.networks.classifier import load_classifier, save_classifier

SAMPLING = {"seed": 0, "generator": "full/0", "sampling": {"steps": 10}, "target": {"seed": 3}}
CLASSES, NUMBER = 3, 9
CHOSEN = {"number": NUMBER, "chosen": {"a": STEPS}}


def weights(network, seed):
    """The network with weights from a formula."""
    with torch.no_grad():
        for k, q in enumerate(network.parameters()):
            q.copy_(torch.from_numpy(0.3 * numbers(*q.shape, seed=seed + k)))
    return network


def sampled(tmp_path):
    dims = ["step", "number", "channel", "y", "x"]
    arrays = {"sample": (dims, numbers(2, NUMBER, 1, 8, 8, seed=60)), "step": (["step"], np.array(STEPS))}
    return store(tmp_path / "samples.zarr", {"target": "a"}, **arrays)


def train_classifier_stage(tmp_path, data):
    recipe = {"epochs": 2, "batch_size": 8, "learning_rate": 1e-3, "width": 2, "holdout": 0.25}
    found = {}
    for kind, more in (("standard", {}), ("robust", {"radius": 0.1, "attack_steps": 2})):
        spec = {"seed": 0, "classifier": {kind: {**recipe, **more}}}
        run_script("train_classifier", spec=spec, data=data, kind=kind, out=tmp_path / kind)
        network = load_classifier(tmp_path / kind)
        flat = torch.cat([q.reshape(-1) for q in network.parameters()]).numpy()
        found[kind] = flat @ numbers(len(flat), 8, seed=61)
    return found


def sample_from_x_t_stage(tmp_path, trajectory, checkpoint):
    spec = {**SAMPLING, "samples": {"steps": STEPS, "number": 3}}
    common = {"trajectory": trajectory, "generator": checkpoint, "target": "a"}
    run_script("sample_from_x_t", spec=spec, **common, out=tmp_path / "out.zarr")
    return arrays_of(tmp_path / "out.zarr", "step", "sample")


def one_step_error_stage(tmp_path, trajectory):
    out, given = tmp_path / "one_step_error.csv", {"samples": [sampled(tmp_path)], "trajectories": [trajectory]}
    run_script("one_step_error", spec={"samples": CHOSEN}, **given, out=out)
    return {"numbers": pd.read_csv(out)[["step", "l2", "l2_noise", "spread", "samples"]].to_numpy(float)}


def feature_likelihood_stage(tmp_path, trajectory):
    folders = []
    for kind, seed in (("standard", 62), ("robust", 90)):
        network = weights(Classifier(1, CLASSES, 2), seed)
        save_classifier(network, tmp_path / kind, lambda: {"spec": {}})
        folders.append(tmp_path / kind)
    given = {"classifiers": folders, "samples": [sampled(tmp_path)], "trajectories": [trajectory]}
    spec = {"likelihood": {"features": None}, "samples": CHOSEN, "labels": {"a": 1}}
    out = {"likelihood": tmp_path / "l.csv", "intervals": tmp_path / "i.csv"}
    run_script("feature_likelihood", spec=spec, **given, **out)
    table = pd.read_csv(out["likelihood"])[["feature", "step", "likelihood", "samples"]]
    intervals = pd.read_csv(out["intervals"])[["step_from", "step_to", "rise"]].fillna(-1)
    return {"likelihood": table.to_numpy(float), "intervals": intervals.to_numpy(float)}


def seed_consistency_stage(tmp_path, checkpoint):
    own = {"models": ["full/0", "full/1"], "images": 1}
    spec = {"seed": 0, "sampling": {"steps": 5}, "seed_consistency": own, "seeded": [{"id": "a", "seed": 3}]}
    out = {"out": tmp_path / "out.zarr", "table": tmp_path / "out.csv"}
    run_script("seed_consistency", spec=spec, models=[checkpoint, checkpoint], **out)
    l2 = pd.read_csv(out["table"])["l2"].to_numpy()
    return {**arrays_of(out["out"], "image", "independent"), "l2": l2}


GOLDEN = {
    "train_classifier": train_classifier_stage,
    "sample_from_x_t": sample_from_x_t_stage,
    "one_step_error": one_step_error_stage,
    "feature_likelihood": feature_likelihood_stage,
    "seed_consistency": seed_consistency_stage,
}
