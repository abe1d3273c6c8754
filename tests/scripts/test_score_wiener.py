"""score_wiener.py: against Gaussians fitted again without each image, in pixels, in latents and under masks."""

import json

import numpy as np
import pytest
from support import UNET, run_script, store, tiny_denoiser

from waypoint.science import wiener
from waypoint.store.networks import checkpoints
from waypoint.store.zarr.reader import open_store

N, STEPS, GRID = 9, [100, 500], np.array([900, 500, 300, 100])
DIMS = ["train", "channel", "y", "x"]


def pictures(*shape, seed=0):
    return np.tanh(np.random.default_rng(seed).standard_normal(shape)).astype(np.float32)


def saved(folder, **scheduler):
    denoiser = tiny_denoiser({"unet": UNET, "scheduler": scheduler})
    checkpoints.save(denoiser.unet, denoiser.scheduler, folder)
    (folder / "waypoint.json").write_text(json.dumps({"spec": {}, "weights": "w"}))
    return denoiser.scheduler.alphas_cumprod.double().numpy()


def scored(tmp_path, images, x0_hat, pixels=8, mask=None, file=(), latent=False, steps=STEPS, weights="w"):
    """Scores by the script; ``images`` are what the model sees."""
    arrays = {"image": (DIMS, pictures(N, 1, pixels, pixels, seed=5))} if latent else {}
    data = store(tmp_path / "train.zarr", **arrays, **{"latent" if latent else "image": (DIMS, images)})
    arrays = {"step": (["step"], GRID), "x0_hat": (["step", *DIMS[1:]], x0_hat)}
    arrays["image"] = (["c", "h", "w"], np.zeros((1, pixels, pixels), np.float32))
    trajectory = store(tmp_path / "trajectory.zarr", {"weights": weights}, **arrays)
    given = {"data": data, "trajectory": trajectory, "generator": tmp_path / "model", "mask": list(file)}
    spec, named = {"target": {"steps": steps, "mask": mask}}, {"method": "wiener", "target": "a"}
    run_script("score_wiener", spec=spec, **given, **named, out=tmp_path / "out.zarr")
    found = open_store(tmp_path / "out.zarr")
    assert found.attrs["method"] == "wiener" and found["step"][:].tolist() == steps and "score_se" not in found
    return found["score"][:]


def refitted(images, x0_hat, alpha_bars, weight=None):
    """f_t without each image − f_t, each f_t by the full matrices of a Gaussian fitted to its images."""

    def output(kept, x, alpha_bar):
        vectors = kept.reshape(len(kept), -1).astype(np.float64)
        size = vectors.shape[1]
        covariance = np.cov(vectors.T, bias=True) + wiener.REGULARISER * np.eye(size)
        inverse = np.linalg.inv(alpha_bar * covariance + (1 - alpha_bar) * np.eye(size))
        w = np.ones(images.shape[1:]) if weight is None else np.broadcast_to(weight, images.shape[1:])
        w = w.ravel() / w.sum()
        # ε − ε̂ = (I − (1−ᾱ) A⁻¹) ε − √(ᾱ(1−ᾱ)) A⁻¹ δ
        noise = np.eye(size) - (1 - alpha_bar) * inverse
        bias = alpha_bar * (1 - alpha_bar) * (inverse @ (x.ravel() - vectors.mean(0))) ** 2
        return w @ ((noise**2).sum(1) + bias)

    whole = np.array([output(images, x, a) for x, a in zip(x0_hat, alpha_bars)])
    without = [[output(np.delete(images, i, 0), x, a) for i in range(N)] for x, a in zip(x0_hat, alpha_bars)]
    return np.array(without) - whole[:, None]


@pytest.mark.parametrize("mask", [None, [0, 0, 4, 8]], ids=["whole", "half"])
def test_scores_are_those_of_gaussians_that_are_fitted_again(tmp_path, mask):
    alpha_bars = saved(tmp_path / "model", beta_schedule="squaredcos_cap_v2")[STEPS]
    images, x0_hat = pictures(N, 1, 8, 8), pictures(4, 1, 8, 8, seed=1)
    weight = None if mask is None else np.repeat([[1.0] * 4 + [0.0] * 4], 8, axis=0)
    expected = refitted(images, x0_hat[[3, 1]], alpha_bars, weight)
    np.testing.assert_allclose(scored(tmp_path, images, x0_hat, mask=mask), expected, rtol=1e-5, atol=1e-12)


def test_latents_are_compared_and_a_mask_counts_the_share_of_each_cell(tmp_path):
    alpha_bars = saved(tmp_path / "model", prediction_type="v_prediction")[STEPS]
    latents, x0_hat = pictures(N, 2, 4, 4), pictures(4, 2, 4, 4, seed=1)
    found = scored(tmp_path, latents, x0_hat, pixels=16, mask=[0, 0, 6, 16], latent=True)
    weight = np.repeat([[1.0, 0.5, 0.0, 0.0]], 4, axis=0)
    np.testing.assert_allclose(found, refitted(latents, x0_hat[[3, 1]], alpha_bars, weight), rtol=1e-5, atol=1e-12)


def test_an_image_unlike_all_others_pushes_the_process_towards_itself(tmp_path):
    saved(tmp_path / "model")
    images = 0.1 * pictures(N, 1, 8, 8)
    images[4] = [[(-1) ** (x + y) for x in range(8)] for y in range(8)]
    score = scored(tmp_path, images, np.repeat(images[4:5], 4, axis=0))
    assert (score.argmax(1) == 4).all() and (score[:, 4] > 0).all()


def test_the_order_of_the_steps_is_the_specs(tmp_path):
    saved(tmp_path / "model")
    images, x0_hat = pictures(N, 1, 8, 8), pictures(4, 1, 8, 8, seed=1)
    both, one = scored(tmp_path, images, x0_hat), scored(tmp_path, images, x0_hat, steps=[500])
    np.testing.assert_allclose(one[0], both[1], rtol=1e-6)


def test_a_step_of_noise_alone_and_a_trajectory_of_other_weights_are_refused(tmp_path, capsys):
    saved(tmp_path / "model", rescale_betas_zero_snr=True, prediction_type="v_prediction", num_train_timesteps=901)
    images, x0_hat = pictures(N, 1, 8, 8), pictures(4, 1, 8, 8, seed=1)
    with pytest.raises(SystemExit):
        scored(tmp_path, images, x0_hat, steps=[900])
    assert "ᾱ = 0.0" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        scored(tmp_path, images, x0_hat, weights="others")
    assert "sampled from other weights" in capsys.readouterr().err
