"""Halves of the draws on their way: a target's gradients, and features joined from shards."""

import json

import numpy as np
import torch
from support import EXACT, SHAPE, images, run_script, store, tiny_denoiser

from waypoint.science.draws import target_noise
from waypoint.science.projection import Gaussian
from waypoint.store.networks import checkpoints
from waypoint.store.zarr.reader import open_store

D, STEPS, DRAWS = 12, [100, 500], 5
KEY = json.dumps([{"seed": 3}, "full/0", {"steps": 10}], sort_keys=True)  # the trajectory's, as noises are keyed by it


def test_halves_of_a_targets_draws_and_their_mean(tmp_path, tiny_model):
    """Five draws: the even half has three of them, the odd one two."""
    denoiser, x0_hat = tiny_denoiser(tiny_model), images(2)
    checkpoints.save(denoiser.unet, denoiser.scheduler, tmp_path / "model")
    (tmp_path / "model/waypoint.json").write_text(json.dumps({"spec": {}, "weights": "w"}))
    dims = ["step", "channel", "y", "x"]
    arrays = {
        "x_t": (dims, x0_hat),
        "x0_hat": (dims, x0_hat),
        "image": (dims[1:], x0_hat[0]),
        "step": (["step"], STEPS),
    }
    trajectory, found = store(tmp_path / "trajectory.zarr", {"weights": "w"}, **arrays), {}
    for halves in (False, True):
        settings = {"target_draws": DRAWS, "x0_hat": "generating", "clip_x0_hat": "none", "keep_halves": halves}
        spec = {"seed": 0, "checkpoints": ["full/0"], "generator": "full/0", "sampling": {"steps": 10}}
        spec |= {"attribution": settings, "gradients": EXACT, "projection": {"kind": "gaussian", "dim": D}}
        spec["target"] = {"seed": 3, "steps": STEPS, "mask": None}
        folder, out = (
            {"checkpoints": [tmp_path / "model"], "generator": tmp_path / "model"},
            tmp_path / f"{halves}.zarr",
        )
        run_script("target_gradients", spec=spec, trajectory=trajectory, **folder, out=out)
        found[halves] = open_store(out)
    g, half = found[True]["g"][0], found[True]["g_half"][0]
    assert "g_half" not in found[False] and half.shape == (2, 2, D)
    assert np.abs(g - found[False]["g"][0]).max() <= 1e-5 * np.abs(g).max()
    assert np.abs(g - (3 * half[:, 0] + 2 * half[:, 1]) / DRAWS).max() <= 1e-6 * np.abs(g).max()
    P = Gaussian(0, "full/0", D)
    for s, t in enumerate(STEPS):
        for h, draws in enumerate(([0, 2, 4], [1, 3])):
            losses = [
                denoiser.noise_loss(x0_hat[[s]], torch.tensor([t]), target_noise(0, KEY, "full/0", t, k, SHAPE)[None])
                for k in draws
            ]
            gradient = torch.autograd.grad(torch.cat(losses).mean(), list(denoiser.unet.parameters()))
            expected = P.project(torch.cat([q.reshape(-1) for q in gradient])[None])[0].numpy()
            assert np.abs(half[s, h] - expected).max() <= 1e-4 * np.abs(expected).max()


def test_shards_are_joined_with_their_halves(tmp_path):
    rng, shards = np.random.default_rng(0), []
    half = rng.standard_normal((7, 2, D)).astype(np.float32)
    for rows in (range(3), range(3, 7)):
        made = {"weights": "w", "checkpoint": "full/0", "parameters": 9}
        arrays = {"phi": (["train", "feature"], half[rows].mean(1)), "train": (["train"], np.array(rows))}
        arrays["phi_half"] = (["train", "half", "feature"], half[rows])
        shards.append(store(tmp_path / f"{rows[0]}.zarr", made, **arrays))
    run_script("join_features", spec={"features": {"keep_halves": True}}, shards=shards, out=tmp_path / "joined.zarr")
    joined = open_store(tmp_path / "joined.zarr")
    assert np.array_equal(joined["phi_half"][:], half) and np.array_equal(joined["phi"][:], half.mean(1))
    assert joined["train"][:].tolist() == list(range(7))
