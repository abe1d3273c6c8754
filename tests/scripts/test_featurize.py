"""The featurizing script: flips, and errors that name checkpoint and image."""

import json

import numpy as np
import pytest
import torch
from support import EXACT, images, run_script, tiny_denoiser

from waypoint.science.draws import train_draws
from waypoint.science.projection import Gaussian
from waypoint.store.networks import checkpoints
from waypoint.store.zarr.reader import open_store
from waypoint.store.zarr.writer import create_store

N, D = 5, 12


def store(path, image):
    with create_store(path, lambda: {"spec": {}, "sha256": "x"}) as writer:
        writer.write("image", ["train", "channel", "y", "x"], image.numpy())
    return path


def saved(folder, denoiser, **marker):
    checkpoints.save(denoiser.unet, denoiser.scheduler, folder)
    (folder / "waypoint.json").write_text(json.dumps({"spec": {}, "weights": "w", **marker}))
    return folder


def featurize(tmp_path, image, checkpoint, flip=False, name="phi", halves=False):
    settings = {"draw_scheme": "independent", "train_draws": 3, "flip": flip, "keep_halves": halves}
    settings["dtype"] = "float32"
    spec = {"seed": 0, "features": settings, "gradients": EXACT, "projection": {"kind": "gaussian", "dim": D}}
    data, out = store(tmp_path / f"{name}-data.zarr", image), tmp_path / f"{name}.zarr"
    run_script("featurize", spec=spec, data=data, checkpoint=checkpoint, name="full/0", out=out)
    return open_store(out)["phi"][:]


def test_flipped_training_averages_the_image_and_its_flip(tmp_path, tiny_model):
    checkpoint, z = saved(tmp_path / "model", tiny_denoiser(tiny_model)), images(N)
    both = featurize(tmp_path, z, checkpoint, flip=True, name="both")
    plain = featurize(tmp_path, z, checkpoint, name="plain")
    mirrored = featurize(tmp_path, z.flip(-1), checkpoint, name="mirrored")
    assert np.abs(both - (plain + mirrored) / 2).max() <= 1e-5 * np.abs(both).max()
    assert np.abs(plain - mirrored).max() > 1e-3 * np.abs(both).max()


def test_a_nan_names_checkpoint_and_image_and_stores_nothing(tmp_path, tiny_model, capsys):
    z = images(N)
    z[3, 0, 0, 0] = 3e38  # finite in the store, not in the loss
    with pytest.raises(SystemExit):
        featurize(tmp_path, z, saved(tmp_path / "model", tiny_denoiser(tiny_model)))
    assert "phi: not finite at checkpoint full/0, image 3; nothing was stored" in capsys.readouterr().err
    assert not (tmp_path / "phi.zarr").exists()


def test_a_model_of_other_images_is_refused(tmp_path, tiny_model, capsys):
    checkpoint = saved(tmp_path / "model", tiny_denoiser(tiny_model), data_sha256="other")
    with pytest.raises(SystemExit):
        featurize(tmp_path, images(N), checkpoint)
    assert "was trained on other images" in capsys.readouterr().err


def test_a_damaged_checkpoint_is_named(tmp_path, tiny_model, capsys):
    checkpoint = saved(tmp_path / "model", tiny_denoiser(tiny_model))
    weights = checkpoint / "unet/diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    with pytest.raises(SystemExit):
        featurize(tmp_path, images(N), checkpoint)
    said = capsys.readouterr().err
    assert f"checkpoint {checkpoint}: " in said and "cut short: 80148 bytes of 81148" in said


def test_same_features_on_one_thread_and_two(tmp_path, tiny_model):
    checkpoint, before = saved(tmp_path / "model", tiny_denoiser(tiny_model)), torch.get_num_threads()
    found = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        found.append(featurize(tmp_path, images(N), checkpoint, name=f"threads{threads}"))
    torch.set_num_threads(before)
    assert np.abs(found[0] - found[1]).max() <= 1e-5 * np.abs(found[0]).max()


@pytest.mark.parametrize("flip", [False, True])
def test_halves_are_of_the_draws_and_their_mean_is_the_whole(tmp_path, tiny_model, flip):
    """Three draws: the even half has two of them, the odd one one; with flips a draw keeps its flip."""
    denoiser, z = tiny_denoiser(tiny_model), images(N)
    checkpoint = saved(tmp_path / "model", denoiser)
    plain = featurize(tmp_path, z, checkpoint, flip=flip, name="plain")
    phi = featurize(tmp_path, z, checkpoint, flip=flip, name="halved", halves=True)
    half = open_store(tmp_path / "halved.zarr")["phi_half"][:]
    assert half.shape == (N, 2, D)
    assert np.abs(phi - plain).max() <= 1e-5 * np.abs(plain).max()
    assert np.abs(phi - (2 * half[:, 0] + half[:, 1]) / 3).max() <= 1e-6 * np.abs(phi).max()
    P = Gaussian(0, "full/0", D)
    for i in (0, N - 1):
        t, epsilon = train_draws(0, "full/0", i, "independent", 3, denoiser.T, z.shape[1:])
        for h, draws in enumerate(([0, 2], [1])):
            losses = []
            for x0 in (z[i], z[i].flip(-1)) if flip else (z[i],):
                losses += [denoiser.train_loss(x0[None], t[[k]], epsilon[[k]]) for k in draws]
            gradient = torch.autograd.grad(torch.cat(losses).mean(), list(denoiser.unet.parameters()))
            expected = P.project(torch.cat([g.reshape(-1) for g in gradient])[None])[0].numpy()
            assert np.abs(half[i, h] - expected).max() <= 1e-4 * np.abs(expected).max()
