"""Golden outputs of the stages of counterfactuals and forgetting."""

import json
import types

import numpy as np
import pandas as pd
import pytest
import torch
from inputs import N, arrays_of, numbers, store
from support import run_script

from waypoint.science.evaluation.subsets import without_random
from waypoint.store.artifacts.atomic import atomic_file
from waypoint.store.networks import checkpoints
from waypoint.store.networks.training_rows import rows_hash

SAMPLING = {"seed": 0, "generator": "full/0", "sampling": {"steps": 10}, "target": {"seed": 3}}
REMOVED, REMOVALS = [2, 0.25], 3
COUNTERFACTUAL = {**SAMPLING, "fid": {"features": "classifier"}}
COUNTERFACTUAL["counterfactual"] = {"step": 500, "delta": 200, "images": 10}
TOP = np.arange(N)  # scores: the last images are on top


def model(folder, section, rows, seed):
    """A denoiser of weights from a formula that says it was trained on ``rows``."""
    denoiser = checkpoints.build(section, 0, "golden")
    with torch.no_grad():
        for k, q in enumerate(denoiser.unet.parameters()):
            q.copy_(torch.from_numpy(0.2 * numbers(*q.shape, seed=seed + k)))
    checkpoints.save(denoiser.unet, denoiser.scheduler, folder)
    marker = {"spec": {}, "weights": "w", "images": len(rows), "rows_sha256": rows_hash(rows)}
    (folder / "waypoint.json").write_text(json.dumps(marker))
    return folder


def ensemble(tmp_path, section):
    """The generating model, two others of the full set, and the models without pixel's top or random images."""
    full = [model(tmp_path / f"full{m}", section, np.arange(N), 100 + 1000 * m) for m in range(3)]
    counts = [2, 3]
    pixel = [model(tmp_path / f"top{n}", section, np.arange(N - n), 5000 + 1000 * k) for k, n in enumerate(counts)]
    random = [
        model(tmp_path / f"random{r}-{n}", section, without_random(0, r, N, n), 9000 + 1000 * (3 * k + r))
        for k, n in enumerate(counts)
        for r in range(REMOVALS)
    ]
    score = {"score": (["step", "train"], TOP[None].astype(np.float32)), "step": (["step"], np.array([500]))}
    scores = store(tmp_path / "scores.zarr", {"method": "pixel", "target": "a"}, **score)
    return full, {"pixel": (pixel, scores), "random": (random, [])}


@pytest.fixture
def restarts(tmp_path, trajectory, tiny_model, monkeypatch):
    """The original images of a target, made by the script; the models, and what scripts about them are given."""
    weight = torch.from_numpy(numbers(64, 3, seed=40))
    network = types.SimpleNamespace(features=lambda images: images.flatten(1) @ weight)
    monkeypatch.setattr("waypoint.workflow.jobs.removals.load_classifier", lambda folder, device: network)
    full, removed = ensemble(tmp_path, tiny_model)
    common = {"trajectory": trajectory, "generator": full[0], "target": "a", "classifier": full[0], "weights": ""}
    original, named = tmp_path / "original.zarr", {**COUNTERFACTUAL, "controls": {"full_models": ["full/1", "full/2"]}}
    run_script("counterfactual_original", spec=named, models=full[1:], **common, out=original)
    return original, removed, common


def counterfactual_original_stage(restarts):
    return arrays_of(restarts[0], "feature", "fid_baseline", "sample")


def counterfactual_without_stage(tmp_path, restarts):
    found, (original, removed, common) = {}, restarts
    for method, (folders, scores) in removed.items():
        mine = {**COUNTERFACTUAL["counterfactual"], "n_remove": REMOVED} | ({"method": method} if scores else {})
        controls = {"random_removals": REMOVALS} if not scores else {}
        job = {"models": folders, "scores": scores, "original": original, "method": method}
        out = tmp_path / f"{method}.zarr"
        changed = {**COUNTERFACTUAL, "counterfactual": mine, "controls": controls}
        run_script("counterfactual_without", spec=changed, **common, **job, out=out)
        found |= {f"{method}_{name}": values for name, values in arrays_of(out, "fid", "removed", "sample").items()}
    return found


def forgetting_stage(tmp_path, trajectory, tiny_model):
    full, removed = ensemble(tmp_path, tiny_model)
    found = {}
    for method, (folders, scores) in {**removed, "none": (full[1:], [])}.items():
        own = {"step": 500} | ({} if method == "none" else {"n_remove": REMOVED})
        own |= {"method": method} if scores else {}
        controls = {"random_removals": REMOVALS} if method == "random" else {}
        job = {"models": folders, "scores": scores, "method": method, "target": "a"}
        out = tmp_path / f"{method}.zarr"
        spec = {**SAMPLING, "forgetting": own, "controls": controls}
        run_script("forgetting", spec=spec, trajectory=trajectory, generator=full[0], **job, out=out)
        found |= {f"{method}_{name}": values for name, values in arrays_of(out, "image", "l2", "removed").items()}
    return found


MADE = {"spec": {"counterfactual": COUNTERFACTUAL["counterfactual"], "forgetting": {"step": 500}}}
MADE |= {"target": "a", "features": "classifier", "train_images": N}


def distances(tmp_path):
    """The stores of two methods that tables are made of."""
    stores = []
    for method, count in (("pixel", 1), ("random", REMOVALS)):
        arrays = {name: (["n_remove", "removal"], numbers(2, count, seed=42 + count)) for name in ("fid", "l2")}
        arrays["removed"] = (["n_remove"], np.array([2, 3]))
        stores.append(store(tmp_path / f"{method}.zarr", {**MADE, "method": method}, **arrays))
    return stores


def counterfactual_table_stage(tmp_path):
    baseline = (["baseline"], numbers(2, seed=41).astype(np.float64))
    original = store(tmp_path / "original.zarr", MADE, fid_baseline=baseline, baseline=(["baseline"], np.arange(2)))
    given, out = {"originals": [original], "without": distances(tmp_path)}, tmp_path / "fid.csv"
    run_script("counterfactual_table", spec={}, **given, out=out)
    columns = ["step", "delta", "n_remove", "fid", "fid_baseline", "fid_increase", "images"]
    return {"numbers": pd.read_csv(out)[columns].to_numpy(float)}


def forgetting_table_stage(tmp_path):
    out = tmp_path / "forgetting.csv"
    run_script("forgetting_table", spec={}, stores=distances(tmp_path), out=out)
    return {"numbers": pd.read_csv(out)[["step", "n_remove", "l2"]].to_numpy(float)}


def compare_removals_stage(tmp_path):
    out, columns = tmp_path / "comparison.csv", ["step", "n_remove", "difference", "low", "high", "targets"]
    rows = [{"method": m, "target": t, "step": 500, "n_remove": 2} for m in ("pixel", "random") for t in "abc"]
    table = pd.DataFrame(rows).assign(l2=numbers(6, seed=44))
    with atomic_file(tmp_path / "forgetting.csv", lambda: MADE) as tmp:
        table.to_csv(tmp, index=False)
    given = {"evaluation": "forgetting", "table": tmp_path / "forgetting.csv"}
    run_script("compare_removals", spec={"seed": 0}, **given, out=out)
    return {"numbers": pd.read_csv(out)[columns].to_numpy(float)}


GOLDEN = {
    "counterfactual_original": counterfactual_original_stage,
    "counterfactual_without": counterfactual_without_stage,
    "counterfactual_table": counterfactual_table_stage,
    "forgetting": forgetting_stage,
    "forgetting_table": forgetting_table_stage,
    "compare_removals": compare_removals_stage,
}
