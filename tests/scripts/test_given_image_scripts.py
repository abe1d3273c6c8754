"""Given images from the file to averaged scores, to the comparison with training images, and to forgetting."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from support import EXACT, run_script, store

from waypoint.errors import WaypointError
from waypoint.science.inversion import inversion_noise
from waypoint.store.data.given_image import fitted_picture
from waypoint.store.networks import checkpoints
from waypoint.store.networks.training_rows import rows_hash
from waypoint.store.zarr.reader import open_store

N, D, NOISES, STEPS = 12, 6, 3, [100, 500]
NAMES = ["full/0", "full/1"]


def numbers(*shape, seed):
    return np.random.Generator(np.random.PCG64(seed)).standard_normal(shape).astype(np.float32)


@pytest.fixture
def models(tmp_path, tiny_model):
    """Two models; the outputs of an untrained network are zero, so the weights are random."""
    for m in range(2):
        denoiser = checkpoints.build(tiny_model, 0, f"model {m}")
        with torch.no_grad():
            for k, q in enumerate(denoiser.unet.parameters()):
                q.copy_(torch.from_numpy(0.2 * numbers(*q.shape, seed=100 * m + k)))
        checkpoints.save(denoiser.unet, denoiser.scheduler, tmp_path / f"m{m}")
        marker = {"spec": {}, "weights": f"w{m}", "images": N, "rows_sha256": rows_hash(np.arange(N))}
        (tmp_path / f"m{m}/waypoint.json").write_text(json.dumps(marker))
    return [tmp_path / "m0", tmp_path / "m1"]


@pytest.fixture
def data(tmp_path):
    """Twelve images, of which three show almost the same."""
    images = np.tanh(numbers(N, 1, 8, 8, seed=1))
    images[4], images[9] = images[2] + 0.002, images[2] - 0.002
    arrays = {"image": (["train", "channel", "y", "x"], images), "source_index": (["train"], np.arange(N))}
    return store(tmp_path / "train.zarr", {"sha256": "fixed"}, **arrays)


def inverted(tmp_path, models, data, **target):
    """The trajectory of training image 2, saved as a picture."""
    grey = ((open_store(data)["image"][2, 0] + 1) * 127.5).round().astype(np.uint8)
    Image.fromarray(grey).save(tmp_path / "made.png")
    spec = {"seed": 0, "generator": "full/0", "sampling": {"steps": 10}, "attribution": {"clip_x0_hat": "scheduler"}}
    spec["target"] = {"image": "its hash", **target}
    out = tmp_path / "trajectory.zarr"
    given = {"checkpoint": models[0], "image": tmp_path / "made.png", "data": data}
    run_script("invert_image", spec=spec, **given, out=out)
    return spec, out


def test_x_t_is_the_image_with_noise_of_its_own_at_every_step(tmp_path, models, data):
    _, out = inverted(tmp_path, models, data, inversion="ddpm", noises=NOISES)
    found, theta = open_store(out), checkpoints.load(models[0])
    x0 = torch.from_numpy(found["image"][:])
    assert np.abs(x0.numpy() - open_store(data)["image"][2]).max() < 0.005
    x_t = np.concatenate([found["x_t"][:][None], found["further_x_t"][:]])
    for noise in range(NOISES):
        for s, t in enumerate(found["step"][:].tolist()):
            alpha_bar = theta.alphas_cumprod[t]
            epsilon = inversion_noise(0, "its hash", noise, t, (1, 8, 8))
            expected = alpha_bar.sqrt() * x0 + (1 - alpha_bar).sqrt() * epsilon
            assert np.allclose(x_t[noise, s], expected, atol=1e-6)
    assert found.attrs["weights"] == "w0" and "again" not in found


def gradients(tmp_path, models, spec, trajectory, halves=False):
    attribution = {"target_draws": 2, "x0_hat": "generating", "clip_x0_hat": "scheduler", "keep_halves": halves}
    spec = {**spec, "attribution": attribution, "checkpoints": NAMES, "gradients": EXACT}
    spec |= {"projection": {"kind": "gaussian", "dim": D}, "target": {**spec["target"], "steps": STEPS, "mask": None}}
    given = {"trajectory": trajectory, "checkpoints": models, "generator": models[0]}
    run_script("target_gradients", spec=spec, **given, out=tmp_path / "g.zarr")
    return tmp_path / "g.zarr"


def test_scores_are_averages_over_noises_and_say_how_far_these_differ(tmp_path, models, data):
    spec, trajectory = inverted(tmp_path, models, data, inversion="ddpm", noises=NOISES)
    g = gradients(tmp_path, models, spec, trajectory, halves=True)
    each = open_store(g)["g_of_noise"][:]  # (noise, checkpoint, step, feature)
    assert each.shape == (NOISES, 2, 2, D) and np.allclose(open_store(g)["g"][:], each.mean(0), atol=1e-7)
    assert not np.allclose(each[0], each[1])
    assert np.allclose(open_store(g)["g_half"][:].mean(2), each.mean(0), atol=1e-6)
    phi = [numbers(N, D, seed=9 + m) for m in (0, 1)]
    features = [
        store(tmp_path / f"phi{m}.zarr", {"weights": f"w{m}"}, phi=(["train", "feature"], phi[m])) for m in (0, 1)
    ]
    given = {"gradients": g, "features": features, "method": "graddot", "target": "a", "targets": ["a"]}
    settings, out = {"scores": {"keep_checkpoints": True}}, tmp_path / "score.zarr"
    run_script("score_graddot", spec=settings, **given, waiting=tmp_path / "resume/scores", out=out)
    tau = np.einsum("mid,kmtd->kmti", np.array(phi), each)  # by noise and checkpoint, one by one
    found = open_store(out)
    assert np.allclose(found["score"][:], tau.mean((0, 1)), rtol=1e-5, atol=1e-6)
    assert np.allclose(found["score_by_checkpoint"][:], tau.mean(0), rtol=1e-5, atol=1e-6)
    of_noise = tau.mean(1).std(0, ddof=1) / NOISES**0.5
    of_checkpoints = tau.mean(0).std(0, ddof=1) / 2**0.5
    assert np.allclose(found["score_se_noise"][:], of_noise, rtol=1e-4)
    assert np.allclose(found["score_se"][:], np.sqrt(of_noise**2 + of_checkpoints**2), rtol=1e-4)


def test_pixel_against_estimates_is_averaged_too(tmp_path, models, data):
    _, trajectory = inverted(tmp_path, models, data, inversion="ddpm", noises=NOISES)
    spec = {"target": {"steps": STEPS}, "pixel": {"against": "x0_hat"}}
    given = {"data": data, "trajectory": trajectory, "method": "pixel", "target": "a"}
    run_script("score_pixel", spec=spec, **given, out=tmp_path / "out.zarr")
    found, made = open_store(trajectory), open_store(tmp_path / "out.zarr")
    rows = [found["step"][:].tolist().index(t) for t in STEPS]
    x0_hat = np.concatenate([found["x0_hat"][:][None], found["further_x0_hat"][:]])[:, rows].reshape(NOISES, 2, -1)
    images = open_store(data)["image"][:].reshape(N, -1)
    norms = np.linalg.norm(x0_hat, axis=-1)[..., None] * np.linalg.norm(images, axis=-1)
    cosines = x0_hat @ images.T / norms
    assert np.allclose(made["score"][:], cosines.mean(0), atol=1e-5)
    assert np.allclose(made["score_se_noise"][:], cosines.std(0, ddof=1) / NOISES**0.5, atol=1e-5)


def compared(tmp_path, models, data, subset=N):
    spec, trajectory = inverted(tmp_path, models, data, inversion="ddpm", noises=1)
    spec["target"]["steps"] = STEPS
    section = {"source": "digits", "subset": subset, "size": None, "captions": False}
    spec = {**spec, "compared": {"encoders": []}, "data": section}
    places = json.dumps({"path": None, "captions": None})
    given = {"data": data, "trajectory": trajectory, "generator": models[0], "places": places, "target": "hers"}
    given |= {"embeddings": [], "scores": []}
    run_script("compare_image", spec=spec, **given, out=tmp_path / "compared.zarr")
    run_script("given_images", spec={}, data=data, compared=[tmp_path / "compared.zarr"], out=tmp_path / "t.csv")
    return open_store(tmp_path / "compared.zarr"), (tmp_path / "t.csv").read_text()


def test_a_training_image_is_recognised_with_those_that_show_the_same(tmp_path, models, data):
    found, table = compared(tmp_path, models, data)
    assert found["nearest"][0] in (2, 4, 9) and found["alike"][0] == 3
    assert "one of 3 that show the same" in table and "It is training image" in table
    assert "of images that it was not trained on" in table and found["held_out_loss"].shape[1] == 2
    # its own loss is one of the sample's, where all images are in it
    own = found["train_loss"][:][found["train"][:].tolist().index(2)]
    assert np.allclose(found["loss"][:], own, rtol=0.02)


def test_without_other_images_nothing_is_held_out(tmp_path, models, data):
    found, table = compared(tmp_path, models, data, subset=None)
    assert "held_out_loss" not in found and "not trained on" not in table


def test_forgetting_starts_again_from_the_noise_that_ddim_found(tmp_path, models, data):
    """The generating model itself, retrained on nothing else, forgets nothing; another model makes another image."""
    spec, trajectory = inverted(tmp_path, models, data, inversion="ddim")
    spec |= {"forgetting": {"step": 100}, "controls": {"full_models": NAMES}}
    given = {"trajectory": trajectory, "generator": models[0], "models": models, "method": "none", "target": "a"}
    run_script("forgetting", spec=spec, **given, out=tmp_path / "out.zarr")
    l2 = open_store(tmp_path / "out.zarr")["l2"][0]
    assert l2[0] == 0 < l2[1]


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "1"])
@pytest.mark.parametrize("channels", [1, 3])
def test_any_picture_becomes_as_the_training_images_are(tmp_path, mode, channels):
    Image.new("RGB", (30, 20), (255, 255, 255)).convert(mode).save(tmp_path / "p.png")
    image = fitted_picture(tmp_path / "p.png", (channels, 8, 8))
    assert image.shape == (channels, 8, 8) and image.dtype == np.float32 and np.allclose(image, 1, atol=1e-6)


def test_the_centred_square_is_kept(tmp_path):
    wide = np.zeros((10, 30), np.uint8)
    wide[:, 10:20] = 255
    Image.fromarray(wide).save(tmp_path / "p.png")
    assert np.allclose(fitted_picture(tmp_path / "p.png", (1, 10, 10)), 1)


def test_colour_becomes_its_luma(tmp_path):
    Image.new("RGB", (8, 8), (255, 0, 0)).save(tmp_path / "p.png")
    assert np.allclose(fitted_picture(tmp_path / "p.png", (1, 8, 8)), 2 * 0.299 - 1, atol=0.01)


def test_a_picture_of_another_form_than_wide_training_images_is_refused(tmp_path):
    Image.new("L", (30, 20)).save(tmp_path / "p.png")
    with pytest.raises(WaypointError, match="has 30 × 20 pixels, but the training images have 12 × 8"):
        fitted_picture(tmp_path / "p.png", (1, 8, 12))
    Image.new("L", (12, 8)).save(tmp_path / "p.png")
    assert fitted_picture(tmp_path / "p.png", (1, 8, 12)).shape == (1, 8, 12)
