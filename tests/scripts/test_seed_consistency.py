"""Seed consistency: planted equal models, independence of rows, the trajectory's own noises, refusals."""

import json

import numpy as np
import pandas as pd
import pytest
from support import run_script, tiny_denoiser

from waypoint.science.processes.ddpm import generate
from waypoint.science.random_streams import torch_stream
from waypoint.store.networks import checkpoints
from waypoint.store.zarr.reader import open_store

SEED = 7
ROWS = [{"id": "a", "seed": 3}, {"id": "b", "seed": 4}]


@pytest.fixture
def folders(tmp_path, tiny_model):
    """full/0 and full/1 of the same weights, full/2 of others."""
    return saved(tmp_path, tiny_model, {})


def saved(tmp_path, tiny_model, unet):
    for m, name in enumerate(["full/0", "full/0", "full/2"]):
        theta = tiny_denoiser(tiny_model, name, **unet)
        checkpoints.save(theta.unet, theta.scheduler, tmp_path / f"full/{m}")
        (tmp_path / f"full/{m}/waypoint.json").write_text(json.dumps({"spec": {}, "weights": name, "images": 30}))
    return tmp_path


def compared(folder, names=("full/0", "full/1", "full/2"), rows=ROWS, images=0, out="out"):
    own = {"models": list(names), "images": images}
    spec = {"seed": SEED, "sampling": {"steps": 5}, "seed_consistency": own, "seeded": list(rows)}
    outs = {"out": folder / f"{out}.zarr", "table": folder / f"{out}.csv"}
    run_script("seed_consistency", spec=spec, models=[folder / name for name in names], **outs)
    return open_store(outs["out"]), pd.read_csv(outs["table"])


def test_equal_models_agree_on_the_same_noise_only(folders):
    _, table = compared(folders)
    assert list(table) == ["model_a", "model_b", "target", "noise", "l2"]
    assert len(table) == 3 * 2 * 2  # pairs, noises, seeds
    equal = table.query("model_a == 'full/0' and model_b == 'full/1'")
    assert (equal.loc[equal["noise"] == "same", "l2"] == 0).all()
    assert (equal.loc[equal["noise"] == "independent", "l2"] > 0.5).all()
    assert (table.query("model_b == 'full/2'")["l2"] > 0.01).all()


def test_images_are_those_of_the_trajectories(folders):
    """Same x_T and noises as sample_trajectory.py; independent noise is each model's own."""
    found, table = compared(folders)
    assert found["target"][:].tolist() == ["a", "b"] and found["model"][:].tolist() == ["full/0", "full/1", "full/2"]
    for m, name in enumerate(found["model"][:]):
        theta = checkpoints.load(folders / name)
        for r, row in enumerate(ROWS):
            expected = generate(theta, 5, torch_stream(SEED, "trajectory", row["seed"]))[-1]
            assert np.allclose(found["image"][m, r], expected, atol=1e-6)
    assert np.abs(found["independent"][0] - found["independent"][1]).max() > 0.1
    row = table.query("model_a == 'full/0' and model_b == 'full/2' and target == 'b' and noise == 'independent'")
    expected = np.linalg.norm((found["image"][0, 1] - found["independent"][2, 1]).astype(float))
    assert np.isclose(row["l2"].item(), expected, rtol=1e-5)


def test_further_seeds_change_no_earlier_row(folders):
    few, few_table = compared(folders, rows=ROWS[:1])
    more, more_table = compared(folders, images=3, out="more")
    assert more["target"][:].tolist() == ["a", "b", "noise-0", "noise-1", "noise-2"]
    for name in ("image", "independent"):
        assert np.array_equal(few[name][:, 0], more[name][:, 0])
        assert len({image.tobytes() for image in more[name][0]}) == 5
    kept = more_table[more_table["target"] == "a"].reset_index(drop=True)
    pd.testing.assert_frame_equal(few_table, kept)


def test_another_model_changes_no_earlier_pair(folders):
    _, two = compared(folders, names=("full/0", "full/2"))
    _, three = compared(folders, out="three")
    kept = three.query("model_a == 'full/0' and model_b == 'full/2'").reset_index(drop=True)
    pd.testing.assert_frame_equal(two, kept)


def test_labels_are_honoured_and_further_seeds_refused(tmp_path, tiny_model, capsys):
    folder = saved(tmp_path, tiny_model, {"num_class_embeds": 4})
    rows = [{"id": "a", "seed": 3, "label": 0}, {"id": "b", "seed": 3, "label": 1}]
    found, _ = compared(folder, rows=rows)
    assert np.abs(found["image"][0, 0] - found["image"][0, 1]).max() > 1e-4
    with pytest.raises(SystemExit):
        compared(folder, rows=rows, images=2, out="more")
    error = capsys.readouterr().err
    assert "evaluation.seed_consistency.images" in error and "is conditional" in error
    assert not (tmp_path / "more.zarr").exists()
