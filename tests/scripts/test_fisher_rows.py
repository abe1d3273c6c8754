"""fisher_rows.py against autograd, row by row: both networks, v-prediction, conditions, flips and latents."""

import json

import numpy as np
import pytest
import torch
from diffusers import DDPMScheduler
from support import EXACT, UNET, captioned, images, run_script, store, tiny_denoiser, unet_with_text

from waypoint.science import fisher
from waypoint.science.gradients.hooks import trainable
from waypoint.science.processes.ddpm import Denoiser
from waypoint.science.projection import Gaussian
from waypoint.store.networks import checkpoints
from waypoint.store.zarr.reader import open_store

N, D, ROWS = 4, 12, 7
KEY = (0, fisher.KERNEL, "full/0")
DIMS = ["train", "channel", "y", "x"]
V = {"prediction_type": "v_prediction"}


def network(unet=None, scheduler=None):
    """A denoiser with random weights: a new one's last layer is nearly zero."""
    denoiser = tiny_denoiser({"unet": {**UNET, **(unet or {})}, "scheduler": scheduler or {}})
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(1)
        for q in denoiser.unet.parameters():
            q.copy_(torch.randn(q.shape) / 4)
    return denoiser


def rows_of(tmp_path, denoiser, arrays, rows=ROWS, flip=False, gradients=EXACT, name="u", **marker):
    checkpoints.save(denoiser.unet, denoiser.scheduler, tmp_path / "model")
    (tmp_path / "model/waypoint.json").write_text(json.dumps({"spec": {}, "weights": "w", **marker}))
    data = store(tmp_path / f"{name}-data.zarr", {"sha256": "x"}, **arrays)
    spec = {"seed": 0, "kernel": {"rows": rows}, "data": {"flip": flip}, "gradients": gradients}
    spec["projection"] = {"kind": "gaussian", "dim": D}
    out = tmp_path / f"{name}.zarr"
    run_script("fisher_rows", spec=spec, data=data, checkpoint=tmp_path / "model", name="full/0", out=out)
    found = open_store(out)
    assert found.attrs["weights"] == "w" and found["row"][:].tolist() == list(range(rows))
    return found["u"][:]


def explicit(denoiser, z, condition=None, flip=False, rows=ROWS):
    """Pᵀ ∇ ⟨net(x_t, t), v⟩ / √D of every row by itself; z (N, C, H, W), condition a function of the image."""
    seen = fisher.row_images(*KEY, rows, 2 * N if flip else N)
    steps, P, found = fisher.row_steps(*KEY, rows, 1000), Gaussian(0, "full/0", D), []
    for r in range(rows):
        i, t = int(seen[r]), int(steps[r])
        x0 = z[i % N].flip(-1) if i >= N else z[i]
        epsilon, v = fisher.row_noise(*KEY, r, x0.shape)
        alpha_bar = denoiser.scheduler.alphas_cumprod[t]
        x_t = alpha_bar.sqrt() * x0 + (1 - alpha_bar).sqrt() * epsilon
        given = {} if condition is None else condition(i % N)
        out = denoiser.unet(x_t[None], torch.tensor([t]), **given).sample[0]
        value = (out * v).sum() / x0.numel() ** 0.5
        gradients = torch.autograd.grad(value, trainable(denoiser.unet), allow_unused=True, materialize_grads=True)
        found.append(P.project(torch.cat([g.flatten() for g in gradients])[None])[0])
    return torch.stack(found).numpy()


def close(found, expected):
    return np.abs(found - expected).max() <= 1e-4 * np.abs(expected).max()


@pytest.mark.parametrize("scheduler", [{}, V], ids=["epsilon", "v"])
@pytest.mark.parametrize("flip", [False, True], ids=["as they are", "flips"])
def test_rows_are_gradients_of_the_raw_output_along_pseudo_targets(tmp_path, scheduler, flip):
    denoiser, z = network(scheduler=scheduler), images(N)
    found = rows_of(tmp_path, denoiser, {"image": (DIMS, z)}, flip=flip)
    assert found.shape == (ROWS, D) and found.dtype == np.float32
    assert close(found, explicit(denoiser, z, flip=flip))
    if flip:
        assert (fisher.row_images(*KEY, ROWS, 2 * N) >= N).any()


def test_a_class_conditional_network_sees_each_images_own_class(tmp_path):
    denoiser, z, labels = network({"num_class_embeds": 3}), images(N), np.array([2, 0, 1, 2])
    found = rows_of(tmp_path, denoiser, {"image": (DIMS, z), "label": (["train"], labels)})
    assert close(found, explicit(denoiser, z, lambda i: {"class_labels": torch.tensor([labels[i]])}))
    assert not close(found, explicit(denoiser, z, lambda i: {"class_labels": torch.tensor([0])}))


def test_a_text_conditional_network_sees_each_images_own_caption_and_no_other(tmp_path):
    denoiser, z = Denoiser(unet_with_text(), DDPMScheduler(clip_sample=False, **V)), images(N)
    texts, null = captioned(N, 5, 12)
    arrays = {"image": (DIMS, z), "text_embedding": (["train", "token", "width"], texts)}
    arrays["null_embedding"] = (["token", "width"], null)
    found = rows_of(tmp_path, denoiser, arrays)
    assert close(found, explicit(denoiser, z, lambda i: {"encoder_hidden_states": texts[i][None]}))


def test_latents_are_what_the_network_sees(tmp_path):
    denoiser, z = network(), images(N)
    pixels = np.zeros((N, 3, 16, 16), np.float32)
    arrays = {"image": (["train", "c", "h", "w"], pixels), "latent": (DIMS, z)}
    assert close(rows_of(tmp_path, denoiser, arrays), explicit(denoiser, z))


@pytest.mark.parametrize("gradients", [EXACT, {"kind": "factorised", "precision": "float32", "rank": 4}], ids=str)
def test_rows_do_not_depend_on_how_many_go_together(tmp_path, gradients, monkeypatch):
    denoiser, arrays = network(), {"image": (DIMS, images(N))}
    together = rows_of(tmp_path, denoiser, arrays, gradients=gradients, name="together")
    monkeypatch.setattr("waypoint.science.gradients.batching.rows_in_memory", lambda p, device: 2)
    in_pairs = rows_of(tmp_path, denoiser, arrays, gradients=gradients, name="pairs")
    assert np.abs(together - in_pairs).max() <= 1e-5 * np.abs(together).max()


def test_a_nan_names_checkpoint_and_row_and_stores_nothing(tmp_path, capsys):
    z = images(N)
    z[:, 0, 0, 0] = 3e38
    with pytest.raises(SystemExit):
        rows_of(tmp_path, network(), {"image": (DIMS, z)})
    assert "u: not finite at checkpoint full/0, row 0; nothing was stored" in capsys.readouterr().err
    assert not (tmp_path / "u.zarr").exists()


def test_a_model_of_other_images_is_refused(tmp_path, capsys):
    with pytest.raises(SystemExit):
        rows_of(tmp_path, network(), {"image": (DIMS, images(N))}, data_sha256="other")
    assert "was trained on other images" in capsys.readouterr().err
