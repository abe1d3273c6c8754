"""Golden outputs of the stages of the linear datamodeling score."""

import json

import numpy as np
import pandas as pd
import torch
from inputs import STEPS, N, arrays_of, numbers, store
from support import run_script

from waypoint.store.networks import checkpoints
from waypoint.store.networks.training_rows import rows_hash

SUBSETS, MODELS = 5, 2
METHODS = ["trak", "pixel", "retrain", "ceiling"]
INCLUDED = np.array([[(i * (j + 2) + j) % 7 < 3 for i in range(N)] for j in range(SUBSETS)])


def draw_subsets_stage(tmp_path, data):
    spec = {"seed": 0, "lds": {"subsets": SUBSETS, "fraction": 0.5}}
    run_script("draw_subsets", spec=spec, data=data, out=tmp_path / "subsets.zarr")
    arrays = arrays_of(tmp_path / "subsets.zarr", "included", "subset", "train")
    return {"mask" if name == "included" else name: values for name, values in arrays.items()}


def subset_model(folder, model, name, rows, seed):
    denoiser = checkpoints.build(model, 0, "golden")
    with torch.no_grad():
        for k, q in enumerate(denoiser.unet.parameters()):
            q.copy_(torch.from_numpy(0.2 * numbers(*q.shape, seed=seed + k)))
    checkpoints.save(denoiser.unet, denoiser.scheduler, folder)
    marker = {"spec": {}, "name": name, "weights": name, "rows_sha256": rows_hash(rows)}
    (folder / "waypoint.json").write_text(json.dumps(marker))


def subset_outputs_stage(tmp_path, trajectory, checkpoint, tiny_model):
    subsets, subset = (
        store(tmp_path / "subsets.zarr", included=(["subset", "train"], INCLUDED[:2])),
        tmp_path / "subset",
    )
    names = [(j, r) for j in range(2) for r in range(MODELS)]
    for j, r in names:
        rows, seed = np.flatnonzero(INCLUDED[j]), 1000 * (1 + MODELS * j + r)
        subset_model(subset / f"{j}-{r}", tiny_model, f"subset/{j}-{r}", rows, seed)
    folders = [subset / f"{j}-{r}" for j, r in names]
    run_script("list_subset_models", spec={}, models=folders, out=subset / "models.json")
    outputs = {}
    for name, mask in (("whole", None), ("masked", [0, 0, 4, 8])):
        spec = {"seed": 0, "generator": "full/0", "sampling": {"steps": 10}, "target": {"seed": 3, "mask": mask}}
        spec["lds"] = {"models_per_subset": MODELS, "draws": 3, "steps": STEPS}
        common = {"trajectory": trajectory, "generator": checkpoint, "mask": [], "subsets": subsets, "target": "a"}
        run_script("subset_outputs", spec=spec, **common, models=subset / "models.json", out=tmp_path / f"{name}.zarr")
        outputs[name] = arrays_of(tmp_path / f"{name}.zarr", "output")["output"]
    return outputs


def lds_tables_stage(tmp_path):
    """Two targets, one of which lacks a step; two methods, one of which is judged by one checkpoint too."""
    subsets, outputs, scores = store(tmp_path / "subsets.zarr", included=(["subset", "train"], INCLUDED)), [], []
    for k, (target, steps) in enumerate({"a": STEPS, "b": STEPS[1:]}.items()):
        step = (["step"], np.array(steps))
        effect = numbers(len(steps), N, seed=60 + k)
        output = (effect @ INCLUDED.T.astype(np.float32)).T[:, None] + numbers(SUBSETS, MODELS, len(steps), seed=50 + k)
        arrays = {"output": (["subset", "model", "step"], output), "step": step}
        outputs.append(store(tmp_path / f"outputs/{target}.zarr", {"target": target}, **arrays))
        for method, spec in (("trak", {"checkpoints": ["full/0", "full/1"]}), ("pixel", {})):
            of_checkpoints = effect + numbers(2, len(steps), N, seed=(70 if method == "trak" else 80) + k)
            arrays = {"score": (["step", "train"], of_checkpoints.mean(0)), "step": step}
            if spec:
                arrays["score_by_checkpoint"] = (["checkpoint", "step", "train"], of_checkpoints)
            attributes = {"target": target, "method": method, "spec": spec}
            scores.append(store(tmp_path / f"{method}/{target}.zarr", attributes, **arrays))
    spec = {"seed": 0, "lds": {"models_per_subset": MODELS, "checkpoints": [1], "spans": [], "bootstrap": 100}}
    tables = {name: tmp_path / f"{name}.csv" for name in ("lds", "summary", "cross", "overall", "comparison")}
    run_script("lds_tables", spec=spec, subsets=subsets, outputs=outputs, scores=scores, **tables)
    columns = {}
    for name, path in tables.items():
        table = pd.read_csv(path)
        columns[name] = np.nan_to_num(table.select_dtypes("number").to_numpy(float), nan=-9)
        columns[f"{name}_methods"] = np.array([METHODS.index(method) for method in table["method"]])
    return columns


GOLDEN = {"draw_subsets": draw_subsets_stage, "subset_outputs": subset_outputs_stage, "lds_tables": lds_tables_stage}
