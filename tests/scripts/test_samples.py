"""Samples of p(·|x_t), what is read from them, and images of several models from the same noise."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from support import run_script, store, tiny_denoiser

from waypoint.science.evaluation import classifier
from waypoint.science.processes.ddpm import continuations, generate
from waypoint.science.random_streams import torch_stream
from waypoint.store.networks import checkpoints
from waypoint.store.networks.classifier import load_classifier, save_classifier
from waypoint.store.zarr.reader import open_store, read

SAMPLING, STEPS = {"steps": 10}, [300, 500]


def saved(folder, denoiser, weights="w"):
    checkpoints.save(denoiser.unet, denoiser.scheduler, folder)
    (folder / "waypoint.json").write_text(json.dumps({"spec": {}, "weights": weights, "images": 30}))
    return folder


@pytest.fixture
def trajectory(tmp_path):
    rng, dims = np.random.default_rng(0), ["step", "channel", "y", "x"]
    x = rng.standard_normal((3, 1, 8, 8)).astype(np.float32)
    arrays = {"x_t": (dims, x), "x0_hat": (dims, np.tanh(x)), "step": (["step"], np.array([500, 300, 100]))}
    image = (dims[1:], np.tanh(x[2]))
    return store(tmp_path / "trajectory.zarr", {"weights": "w"}, image=image, **arrays)


def test_samples_are_continuations_with_a_stream_each(tmp_path, tiny_model, trajectory):
    theta = tiny_denoiser(tiny_model)
    spec = {"seed": 0, "generator": "full/0", "sampling": SAMPLING, "target": {"seed": 3}}
    common = {"trajectory": trajectory, "generator": saved(tmp_path / "model", theta), "target": "a"}
    for number in (2, 4):
        own = {**spec, "samples": {"steps": STEPS, "number": number}}
        run_script("sample_from_x_t", spec=own, **common, out=tmp_path / f"{number}.zarr")
    few, many = (open_store(tmp_path / f"{n}.zarr") for n in (2, 4))
    assert few.attrs["target"] == "a" and few["step"][:].tolist() == STEPS
    assert np.abs(many["sample"][:, :2] - few["sample"][:]).max() < 1e-5
    key = json.dumps([{"seed": 3}, "full/0", SAMPLING], sort_keys=True)
    x_t = torch.from_numpy(open_store(trajectory)["x_t"][0])
    streams = [torch_stream(0, "samples", key, 500, k) for k in range(2)]
    assert np.abs(continuations(theta, 10, x_t, 500, streams).numpy() - few["sample"][1]).max() < 1e-5


@pytest.mark.parametrize("images, chunk", [(0.5, 1), (1, 1), (100, 100), (1000, 253)])
def test_a_browser_reads_samples_in_small_chunks(tmp_path, tiny_model, trajectory, monkeypatch, images, chunk):
    """A chunk holds samples of one step, at least one; a batch of 250 that ends inside a chunk changes none."""
    spec = {"seed": 0, "generator": "full/0", "sampling": SAMPLING, "target": {"seed": 3}}
    spec["samples"] = {"steps": [500], "number": 253}
    model = saved(tmp_path / "model", tiny_denoiser(tiny_model))
    monkeypatch.setattr("waypoint.store.zarr.writer.BROWSED_BYTES", int(images * 4 * 8 * 8))
    out = tmp_path / "samples.zarr"
    run_script("sample_from_x_t", spec=spec, trajectory=trajectory, generator=model, target="a", out=out)
    sample = open_store(out)["sample"]
    assert sample.shape == (1, 253, 1, 8, 8) and sample.chunks == (1, chunk, 1, 8, 8)
    key = json.dumps([{"seed": 3}, "full/0", SAMPLING], sort_keys=True)
    streams = [torch_stream(0, "samples", key, 500, k) for k in range(253)]
    x_t = torch.from_numpy(open_store(trajectory)["x_t"][0])
    expected = continuations(tiny_denoiser(tiny_model), 10, x_t, 500, streams).numpy()
    assert np.abs(read(sample)[0] - expected).max() < 1e-5


def test_steps_that_the_chain_never_visits_are_refused(tmp_path, tiny_model, trajectory, capsys):
    spec = {"seed": 0, "generator": "full/0", "sampling": SAMPLING, "target": {"seed": 3}}
    spec["samples"] = {"steps": [300, 450], "number": 2}
    common = {"trajectory": trajectory, "generator": saved(tmp_path / "model", tiny_denoiser(tiny_model))}
    with pytest.raises(SystemExit):
        run_script("sample_from_x_t", spec=spec, **common, target="a", out=tmp_path / "out.zarr")
    assert "step 450 is not on the sampling grid" in capsys.readouterr().err and not (tmp_path / "out.zarr").exists()


def sampled(tmp_path, sample, name="samples"):
    dims = ["step", "number", "channel", "y", "x"]
    return store(tmp_path / f"{name}.zarr", {"target": "a"}, sample=(dims, sample), step=(["step"], np.array(STEPS)))


def one_step_error(tmp_path, number, steps=STEPS, **given):
    """The table of the first ``number`` samples at some steps."""
    spec, out = {"samples": {"number": number, "chosen": {"a": steps}}}, tmp_path / "one_step_error.csv"
    run_script("one_step_error", spec=spec, **given, out=out)
    return pd.read_csv(out)


def test_the_one_step_estimate_is_compared_with_the_samples_mean(tmp_path, trajectory):
    sample = np.random.default_rng(1).standard_normal((2, 5, 1, 8, 8)).astype(np.float32)
    common = {"samples": [sampled(tmp_path, sample)], "trajectories": [trajectory]}
    table = one_step_error(tmp_path, 5, **common)
    assert list(table) == ["target", "step", "l2", "l2_noise", "spread", "samples"]
    x0_hat = open_store(trajectory)["x0_hat"][:]
    for s, row in enumerate((1, 0)):  # steps 300 and 500 of a grid that descends
        mean = sum(sample[s].astype(float)) / 5
        assert np.isclose(table["l2"][s], np.linalg.norm((x0_hat[row] - mean).ravel()), rtol=1e-5)
        spread = np.sqrt(sum(np.linalg.norm(x.ravel() - mean.ravel()) ** 2 for x in sample[s]) / 4)
        assert np.isclose(table["spread"][s], spread, rtol=1e-5)
        assert np.isclose(table["l2_noise"][s], spread / 5**0.5, rtol=1e-5)


def test_samples_of_another_trajectory_are_refused(tmp_path, capsys):
    dims = ["step", "number", "channel", "y", "x"]
    step = (["step"], np.array(STEPS))
    sample = {"sample": (dims, np.zeros((2, 3, 1, 8, 8), np.float32)), "step": step}
    x0_hat = {"x0_hat": (["step", *dims[2:]], np.zeros((2, 1, 8, 8), np.float32)), "step": step}
    samples = store(tmp_path / "samples.zarr", {"target": "a", "spec": {"target": {"seed": 3}}}, **sample)
    other = store(tmp_path / "trajectory.zarr", {"spec": {"target": {"seed": 4}}}, **x0_hat)
    with pytest.raises(SystemExit):
        one_step_error(tmp_path, 3, samples=[samples], trajectories=[other])
    assert "trajectory.zarr was made when target.seed was 4; here it is 3" in capsys.readouterr().err


def test_samples_that_all_equal_the_estimate_are_no_distance_away(tmp_path, trajectory):
    sample = np.repeat(open_store(trajectory)["x0_hat"][:][[1, 0], None], 3, axis=1)
    common = {"samples": [sampled(tmp_path, sample)], "trajectories": [trajectory]}
    assert np.allclose(one_step_error(tmp_path, 3, **common)[["l2", "spread"]], 0, atol=1e-6)


def test_no_more_samples_and_steps_are_taken_than_asked_for(tmp_path, trajectory):
    """A panel may show more of both than an evaluation asks for."""
    sample = np.random.default_rng(1).standard_normal((2, 5, 1, 8, 8)).astype(np.float32)
    few = {"samples": [sampled(tmp_path, sample[:, :3], "few")], "trajectories": [trajectory]}
    many = {"samples": [sampled(tmp_path, sample)], "trajectories": [trajectory]}
    table = one_step_error(tmp_path, 3, STEPS[1:], **many)
    assert table["step"].tolist() == STEPS[1:] and set(table["samples"]) == {3}
    pd.testing.assert_frame_equal(table, one_step_error(tmp_path, 3, **few).query("step == 500").reset_index(drop=True))


@pytest.fixture
def kinds(tmp_path):
    """Two classifiers of three classes."""
    folders = []
    for kind in ("standard", "robust"):
        network = classifier.build(1, 3, 2, 0, kind)
        save_classifier(network, tmp_path / kind, lambda: {"spec": {}})
        folders.append(tmp_path / kind)
    return folders


def likelihood(tmp_path, trajectory, kinds, sample, features=None, labels=None):
    given = {"classifiers": kinds, "samples": [sampled(tmp_path, sample)], "trajectories": [trajectory]}
    out = {"likelihood": tmp_path / "l.csv", "intervals": tmp_path / "i.csv"}
    spec = {"likelihood": {"features": features}, "labels": labels or {}}
    spec["samples"] = {"number": sample.shape[1], "chosen": {"a": STEPS}}
    run_script("feature_likelihood", spec=spec, **given, **out)
    return pd.read_csv(tmp_path / "l.csv"), pd.read_csv(tmp_path / "i.csv")


def test_likelihood_counts_what_a_classifier_calls_the_final_images_class(tmp_path, trajectory, kinds):
    sample = 3 * np.random.default_rng(2).standard_normal((2, 40, 1, 8, 8)).astype(np.float32)
    table, intervals = likelihood(tmp_path, trajectory, kinds, sample)
    assert list(table) == ["classifier", "target", "feature", "step", "likelihood", "samples"]
    standard, robust = (load_classifier(folder) for folder in kinds)
    feature = int(standard(torch.from_numpy(open_store(trajectory)["image"][:])[None]).argmax())
    assert set(table["feature"]) == {feature} and set(table["samples"]) == {40}
    for kind, network in (("standard", standard), ("robust", robust)):
        for s, step in enumerate(STEPS):
            count = sum(int(network(torch.from_numpy(x)[None]).argmax()) == feature for x in sample[s])
            row = table.query(f"classifier == '{kind}' and step == {step}")
            assert np.isclose(row["likelihood"].iloc[0], count / 40)
    assert set(intervals["classifier"]) == {"standard", "robust"}


@pytest.mark.parametrize("features, labels, expected", [({"a": 2}, {"a": 1}, 2), (None, {"a": 1}, 1)])
def test_a_named_class_goes_before_the_label(tmp_path, trajectory, kinds, features, labels, expected):
    sample = np.zeros((2, 3, 1, 8, 8), np.float32)
    table, intervals = likelihood(tmp_path, trajectory, kinds, sample, features, labels)
    assert set(table["feature"]) == {expected}
    assert intervals["note"].tolist() == ["the likelihood never rises"] * 2 and intervals["rise"].isna().all()


def test_a_class_that_no_classifier_knows_is_refused(tmp_path, trajectory, kinds, capsys):
    with pytest.raises(SystemExit):
        likelihood(tmp_path, trajectory, kinds, np.zeros((2, 3, 1, 8, 8), np.float32), {"a": 3})
    assert "evaluation.likelihood.features: a: class 3 is not one of 3" in capsys.readouterr().err


def consistency(tmp_path, folders, rows, images=0, name="s"):
    own = {"models": [f"full/{m}" for m in range(len(folders))], "images": images}
    spec = {"seed": 0, "sampling": SAMPLING, "seed_consistency": own, "seeded": rows}
    out = {"out": tmp_path / f"{name}.zarr", "table": tmp_path / f"{name}.csv"}
    run_script("seed_consistency", spec=spec, models=folders, **out)
    return open_store(out["out"]), pd.read_csv(out["table"])


def test_one_model_under_two_names_makes_the_same_image_of_the_same_noise(tmp_path, tiny_model):
    folders = [saved(tmp_path / name, tiny_denoiser(tiny_model)) for name in ("a", "b")]
    store, table = consistency(tmp_path, folders, [{"id": "t", "seed": 7}], images=2)
    assert list(table) == ["model_a", "model_b", "target", "noise", "l2"]
    assert table["target"].tolist() == ["t", "noise-0", "noise-1"] * 2
    assert (table.query("noise == 'same'")["l2"] == 0).all()
    assert (table.query("noise == 'independent'")["l2"] > 1).all()
    theta = tiny_denoiser(tiny_model)
    expected = generate(theta, 10, torch_stream(0, "trajectory", 7))[-1].numpy()
    assert np.abs(store["image"][0, 0] - expected).max() < 1e-6  # the target's own image


def test_distances_are_between_every_two_models_and_more_seeds_change_none(tmp_path, tiny_model):
    folders = [saved(tmp_path / str(m), tiny_denoiser(tiny_model, f"full/{m}")) for m in range(3)]
    rows = [{"id": "t", "seed": 7}, {"id": "u", "seed": 8}]
    store, table = consistency(tmp_path, folders, rows)
    pairs = [("full/0", "full/1"), ("full/0", "full/2"), ("full/1", "full/2")]
    assert sorted(set(zip(table["model_a"], table["model_b"]))) == pairs
    image, other = store["image"][:].astype(float), store["independent"][:].astype(float)
    row = table.query("model_a == 'full/0' and model_b == 'full/2' and target == 'u'").set_index("noise")["l2"]
    assert np.isclose(row["same"], np.linalg.norm((image[0, 1] - image[2, 1]).ravel()), rtol=1e-5)
    assert np.isclose(row["independent"], np.linalg.norm((image[0, 1] - other[2, 1]).ravel()), rtol=1e-5)
    fewer, _ = consistency(tmp_path, folders, rows[1:], name="fewer")
    assert np.array_equal(fewer["image"][:, 0], store["image"][:, 1])
