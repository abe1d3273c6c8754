"""A spec's engine and projection are those that its keys name, and the scripts use them."""

import json
import warnings

import numpy as np
import pytest
import torch
from support import EXACT, images, run_script, staged, store, tiny_denoiser

from waypoint.errors import WaypointWarning
from waypoint.science.draws import train_draws
from waypoint.science.gradients.engine import PerExampleGradients
from waypoint.science.gradients.examples import Example
from waypoint.science.gradients.logra import LoGra
from waypoint.science.projection import PROJECTIONS
from waypoint.store.networks import checkpoints
from waypoint.store.zarr import quantised
from waypoint.store.zarr.reader import open_store
from waypoint.workflow.jobs import job
from waypoint.workflow.jobs.gradients_from_spec import per_example_gradients, projection

FACTORISED = {"kind": "factorised", "precision": "float32", "rank": 4}
D = 12


def spec(gradients, kind="sjlt", dtype="float32"):
    settings = {"draw_scheme": "independent", "train_draws": 3, "flip": False, "keep_halves": False, "dtype": dtype}
    return {"seed": 5, "features": settings, "gradients": gradients, "projection": {"kind": kind, "dim": D}}


def test_the_kind_decides(tiny_model):
    unet = tiny_denoiser(tiny_model).unet
    exact, factorised = (per_example_gradients(spec(kind), "full/1", unet) for kind in (EXACT, FACTORISED))
    assert type(exact) is PerExampleGradients and not exact.autocast
    assert type(factorised) is LoGra and factorised.rank == 4
    assert factorised.key == LoGra(unet, 5, "full/1", 4).key
    assert per_example_gradients(spec({**EXACT, "precision": "bfloat16"}), "full/1", unet).autocast


@pytest.mark.parametrize("kind", PROJECTIONS)
def test_the_projection_is_that_of_seed_checkpoint_and_kind(tiny_model, kind):
    rows = torch.randn(2, 30)
    found = projection(spec(EXACT, kind), "full/1", tiny_denoiser(tiny_model).unet)
    assert type(found) is PROJECTIONS[kind]
    assert torch.equal(found.project(rows), PROJECTIONS[kind](5, "full/1", D).project(rows))


def test_without_a_projection_gradients_stay_as_they_are(tiny_model):
    unet = tiny_denoiser(tiny_model).unet
    found = projection(spec(EXACT, "none"), "full/1", unet)
    rows = torch.randn(2, sum(q.numel() for q in unet.parameters()))
    assert found.d == rows.shape[1] and torch.equal(found.project(rows), rows)


@pytest.mark.parametrize("dtype", ["float32", "float16", "int8"])
@pytest.mark.parametrize("kind", PROJECTIONS)
@pytest.mark.parametrize("gradients", [EXACT, FACTORISED], ids=["exact", "factorised"])
def test_featurize_stores_what_engine_and_projection_make(tmp_path, tiny_model, gradients, kind, dtype):
    """Every engine × projection × storage, through the script, from shards of another size than one batch."""
    theta, z = tiny_denoiser(tiny_model), images(4)
    checkpoints.save(theta.unet, theta.scheduler, tmp_path / "model")
    (tmp_path / "model/waypoint.json").write_text(json.dumps({"spec": {}, "weights": "w"}))
    data = store(tmp_path / "data.zarr", {"sha256": "x"}, image=(["train", "channel", "y", "x"], z.numpy()))
    asked, shards = spec(gradients, kind, dtype), [tmp_path / f"{k}.zarr" for k in range(2)]
    common = {"spec": asked, "data": data, "checkpoint": tmp_path / "model", "name": "full/1"}
    for k, shard in enumerate(shards):
        run_script("featurize", **common, shard=f"{k}/2", out=shard)
    run_script("join_features", spec=asked, shards=shards, out=tmp_path / "phi.zarr")
    found = open_store(tmp_path / "phi.zarr")
    examples = []
    for i in range(4):
        t, epsilon = train_draws(5, "full/1", i, "independent", 3, theta.T, z.shape[1:])
        examples.append(Example(z[i].expand(epsilon.shape), t, epsilon))
    rows = per_example_gradients(asked, "full/1", theta.unet)(
        lambda e: theta.train_loss(e.x0, e.t, e.epsilon), examples
    )
    expected = projection(asked, "full/1", theta.unet).project(rows).numpy()
    error = {"float32": 1e-5, "float16": 1e-3, "int8": 0.5 / 127 + 1e-5}[dtype]
    phi = np.concatenate([part for _, part in quantised.blocks(found)])
    assert (np.abs(phi - expected) <= error * np.abs(expected).max(1, keepdims=True)).all()
    assert found.attrs["spec"] == staged(asked, "join_features") and found["phi"].dtype == dtype


def test_a_warning_of_the_engine_is_told_like_an_error(tmp_path, capsys):
    """On standard error and in the log, once each, without a traceback's place."""
    log = open(tmp_path / "log", "w")
    with warnings.catch_warnings():
        job._show_warnings(log)
        warnings.warn("weight: no rule", WaypointWarning, stacklevel=1)
    log.close()
    assert capsys.readouterr().err == "Waypoint: warning: weight: no rule\n"
    assert (tmp_path / "log").read_text() == "Waypoint: warning: weight: no rule\n"
