"""Algorithm 1 in memory gives what the workflow's stages store: they are its lines."""

import json

import numpy as np
import pytest
import torch
from support import run_script, tiny_config

from waypoint.science.algorithm1 import attribute
from waypoint.science.projection import PROJECTIONS
from waypoint.store.networks import checkpoints
from waypoint.store.zarr.reader import open_store
from waypoint.workflow.jobs.target import ORIGIN
from waypoint.workflow.plan.plan import Plan
from waypoint.workflow.plan.specs import settings_of

NAMES, STEPS, DIGIT = ["full/0", "full/1"], [500, 100], 3


@pytest.mark.parametrize("labels", [False, True], ids=["gaussian, no labels", "sjlt, labels"])
def test_the_stages_store_what_the_function_returns(tmp_path, tiny_model, labels):
    kind = "sjlt" if labels else "gaussian"
    if labels:
        tiny_model["unet"]["num_class_embeds"] = 10
    row = {"id": "a", "seed": 1, "steps": STEPS} | ({"label": DIGIT} if labels else {})
    plan = Plan(tiny_config(tiny_model, targets=[row], projection={"kind": kind, "dim": 16}))
    data, stored, key = stages(tmp_path, plan)

    thetas = {name: checkpoints.load(tmp_path / name) for name in NAMES}
    trajectory, settings = open_store(tmp_path / "x.zarr"), plan.config
    x_t = dict(zip(trajectory["step"][:].tolist(), torch.from_numpy(trajectory["x_t"][:])))
    c, c_x = (torch.from_numpy(data["label"][:]), torch.tensor([DIGIT])) if labels else (None, None)
    tau = attribute(
        thetas,
        torch.from_numpy(data["image"][:]),
        {t: x_t[t] for t in stored["step"][:].tolist()},
        K=settings["attribution"]["train_draws"],
        k=settings["attribution"]["target_draws"],
        d=16,
        damping=settings["kernel"]["damping"],
        c=c,
        c_x=c_x,
        projection=PROJECTIONS[kind],
        seed=settings["seed"],
        trajectory=key,
    )
    score = stored["score"][:]
    assert tau.shape == score.shape == (2, 30)
    assert np.abs(tau - score).max() <= 1e-5 * np.abs(score).max()


def stages(tmp_path, plan):
    """Run all stages of one target: its images' store, its scores' store and the name of its trajectory's noises."""

    def spec(stage, checkpoint="full/0"):
        return plan.asked(stage, basis="plain", method="trak", checkpoint=checkpoint, target="a")

    def path(name):
        return tmp_path / f"{name}.zarr"

    data, phi, kernels = path("train"), [], []
    run_script("prepare_data", spec=plan.asked("prepare_data"), places=json.dumps(plan.data_places), out=data)
    for name in NAMES:
        places = {"data": data, "name": name, "out": tmp_path / name}
        run_script("train", spec=spec("train", name), **places, resume=tmp_path / "resume")
        phi.append(path(f"phi-{name[-1]}"))
        kernels.append(path(f"kernel-{name[-1]}"))
        places |= {"checkpoint": tmp_path / name, "out": phi[-1]}
        run_script("featurize", spec=spec("featurize", name), **places)
        run_script("factor_kernel", spec=spec("factor_kernel", name), features=phi[-1], out=kernels[-1])
    models = [tmp_path / name for name in NAMES]
    run_script("sample_trajectory", spec=spec("sample_trajectory"), checkpoint=models[0], out=path("x"))
    given = {"trajectory": path("x"), "checkpoints": models, "generator": models[0]}
    run_script("target_gradients", spec=spec("target_gradients"), **given, out=path("g"))
    inputs = {"gradients": path("g"), "features": phi, "kernels": kernels, "waiting": tmp_path / "resume/scores"}
    run_script("score_trak", spec=spec("score_trak"), **inputs, method="trak", target="a", targets="a", out=path("a"))
    asked = settings_of(json.loads(spec("target_gradients"))["spec"])
    origin = {key: asked["target"][key] for key in ORIGIN if key in asked["target"]}
    key = json.dumps([origin, asked["generator"], asked["sampling"]], sort_keys=True)
    return open_store(data), open_store(path("a")), key
