"""Golden outputs of the stages of analyses of scores."""

import numpy as np
import pandas as pd
from inputs import STEPS, D, N, numbers, store
from support import run_script

METHODS = ["trak", "pixel", "norm"]


def scores(tmp_path, steps, methods=METHODS, targets="abc"):
    """Scores of every method and target, some of them equal; the last image is on top of every target's list."""
    stores = []
    for k, method in enumerate(methods):
        for j, target in enumerate(targets):
            score = np.round(numbers(len(steps), N, seed=200 + 10 * k + j), 1)
            score[:, -1] = 4
            arrays = {"score": (["step", "train"], score), "step": (["step"], np.array(steps))}
            attributes = {"method": method, "target": target}
            stores.append(store(tmp_path / f"{method}-{target}.zarr", attributes, **arrays))
    return stores


def table(tmp_path, script, **arguments):
    """A table as numbers: methods and targets by their place, NaN as -9."""
    out = tmp_path / f"{script}.csv"
    run_script(script, **arguments, out=out)
    found = pd.read_csv(out)
    for name in found.select_dtypes(exclude="number"):
        found[name] = pd.factorize(found[name])[0]
    return {"numbers": np.nan_to_num(found.to_numpy(float), nan=-9)}


def step_correlation_stage(tmp_path):
    return table(tmp_path, "step_correlation", spec={}, scores=scores(tmp_path, [*STEPS, 900], METHODS[:2]))


def sign_overlap_stage(tmp_path):
    spec = {"sign_overlap": {"top_k": [1, 2, 3]}}
    return table(tmp_path, "sign_overlap", spec=spec, scores=scores(tmp_path, [*STEPS, 900], METHODS[:2]))


def top_overlap_stage(tmp_path):
    return table(tmp_path, "top_overlap", spec={"top_overlap": {"top_k": [2, 4]}}, scores=scores(tmp_path, STEPS))


def split_half_stage(tmp_path):
    """Two targets and three checkpoints, with halves of the draws."""
    stores, gradients, checkpoints = [], [], range(3)
    for j, target in enumerate("ab"):
        each = numbers(len(STEPS), N, seed=230 + j) + numbers(3, len(STEPS), N, seed=240 + j)
        dims, step = ["checkpoint", "step", "train"], (["step"], np.array(STEPS))
        arrays = {"score": (dims[1:], each.mean(0)), "score_se": (dims[1:], each.std(0)), "step": step}
        arrays["score_by_checkpoint"] = (dims, each)
        stores.append(store(tmp_path / f"trak-{target}.zarr", {"method": "trak", "target": target}, **arrays))
        g = numbers(3, len(STEPS), 1, D, seed=250 + j) + numbers(3, len(STEPS), 2, D, seed=260 + j)
        half = (["checkpoint", "step", "half", "feature"], g)
        gradients.append(store(tmp_path / f"g-{target}.zarr", {"weights": ["w"] * 3}, g_half=half, step=step))
    phi = [numbers(N, 1, D, seed=270 + m) + numbers(N, 2, D, seed=280 + m) for m in checkpoints]
    dims = ["train", "half", "feature"]
    features = [store(tmp_path / f"phi{m}.zarr", {"weights": "w"}, phi_half=(dims, phi[m])) for m in checkpoints]
    spec = {"checkpoints": [f"full/{m}" for m in checkpoints], "kernel": {"damping": 0.1}}
    given = {"scores": stores, "features": features, "gradients": gradients}
    return table(tmp_path, "split_half", spec={**spec, "features": {"keep_halves": True}}, **given)


def group_influences_stage(tmp_path, data):
    """Two lists and the classes, by a method with three checkpoints and by one without."""
    each = numbers(3, len(STEPS), N, seed=290)
    dims, step = ["checkpoint", "step", "train"], (["step"], np.array(STEPS))
    arrays = {"score": (dims[1:], each.mean(0)), "step": step, "score_by_checkpoint": (dims, each)}
    spec = {"checkpoints": ["full/0", "full/1", "full/2"]}
    trak = store(tmp_path / "trak.zarr", {"method": "trak", "target": "a", "spec": spec}, **arrays)
    arrays = {"score": (dims[1:], numbers(len(STEPS), N, seed=291)), "step": step}
    pixel = store(tmp_path / "pixel.zarr", {"method": "pixel", "target": "a"}, **arrays)
    for name, lines in (("first", "2"), ("several", "0\n3\n5")):
        (tmp_path / f"{name}.txt").write_text(lines)
    spec = {"seed": 0, "groups": {"files": {"first": "x", "several": "y"}, "by": "label", "neighbours": "pixels"}}
    lists = [tmp_path / "first.txt", tmp_path / "several.txt"]
    return table(tmp_path, "group_influences", spec=spec, data=data, scores=[trak, pixel], lists=lists, target="a")


def group_table_stage(tmp_path, data):
    group_influences_stage(tmp_path, data)
    return table(tmp_path, "group_table", spec={}, tables=[tmp_path / "group_influences.csv"] * 2)


GOLDEN = {
    "group_influences": group_influences_stage,
    "group_table": group_table_stage,
    "step_correlation": step_correlation_stage,
    "sign_overlap": sign_overlap_stage,
    "top_overlap": top_overlap_stage,
    "split_half": split_half_stage,
}
