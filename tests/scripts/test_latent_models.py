"""Text-conditional pixel models and unconditional latent ones through every script up to scores."""

import json

import diffusers
import numpy as np
import pytest
import torch
from PIL import Image
from support import AUTOENCODER, TEXT_UNET, UNET, images, run_script, store, tiny_bert

from waypoint.science.draws import target_noise
from waypoint.science.gradients.hooks import trainable
from waypoint.science.projection import Gaussian
from waypoint.store.networks import checkpoints
from waypoint.store.networks.text_encoder import TextEncoder
from waypoint.store.networks.vae import load_vae
from waypoint.store.zarr.reader import open_store
from waypoint.workflow.config.complete import complete
from waypoint.workflow.plan.plan import Plan
from waypoint.workflow.plan.specs import settings_of

N, GUIDANCE, JUDGED = 12, 3, 0.5
BASE = {
    "experiment": "tiny",
    "data": {"source": "digits", "size": 8},
    "training": {"epochs": 2, "batch_size": 6, "learning_rate": 1e-2},
    "checkpoints": {"count": 1},
    "sampling": {"steps": 10},
    "attribution": {"steps": [100, 500], "train_draws": 2, "target_draws": 2},
    "gradients": {"kind": "exact"},
    "projection": {"kind": "gaussian", "dim": 8},
    "targets": [{"id": "a", "seed": 1}],
}


class Run:
    """One experiment's scripts, with the places of what they make."""

    def __init__(self, folder, sections, encoders):
        self.folder, self.encoders = folder, encoders
        arrays = {"image": (["train", "channel", "y", "x"], images(N).numpy()), "train": (["train"], np.arange(N))}
        captions = np.array([f"a {('red', 'blue')[k % 2]} thing" for k in range(N)])
        np.savez(folder / "raw.npz", image=np.zeros((N, 1, 8, 8), np.uint8), caption=captions)  # planning asks for them
        self.sections = {**sections, "data": {"source": "npz", "path": str(folder / "raw.npz"), "size": 8}}
        self.plan = Plan(complete({**BASE, **self.sections}))
        attributes = {"sha256": "fixed", "source": None}
        raw = store(self.at("images"), attributes, **arrays, caption=(["train"], captions))
        self("encode_data", images=raw, **encoders, out=self.at("data"))

    def at(self, name):
        return self.folder / f"{name}.zarr"

    def spec(self, stage, method="trak"):
        return self.plan.spec(stage, basis="plain", checkpoint="full/0", target="a", method=method)

    def __call__(self, stage, **values):
        run_script(stage, spec=self.spec(stage, values.get("method", "trak")), **values)

    def everything(self):
        model, named = self.folder / "model", {"data": self.at("data"), "name": "full/0"}
        self("train", **named, resume=self.folder / "resume", out=model)
        self("featurize", **named, checkpoint=model, out=self.at("phi"))
        self("factor_kernel", features=self.at("phi"), out=self.at("kernel"))
        self("sample_trajectory", checkpoint=model, **self.encoders, out=self.at("trajectory"))
        made = {"trajectory": self.at("trajectory"), "generator": model}
        self("target_gradients", **made, checkpoints=model, out=self.at("g"))
        self("sample_from_x_t", **made, **self.vae, target="a", out=self.at("samples"))
        inputs = {"gradients": self.at("g"), "features": self.at("phi"), "kernels": self.at("kernel")}
        own = {"waiting": self.folder / "resume/scores", "target": "a", "targets": "a", "out": self.at("score")}
        self("score_trak", method="trak", **inputs, **own)
        given = {"data": self.at("data"), "trajectory": self.at("trajectory"), "target": "a", **self.vae}
        self("score_pixel", method="pixel", **given, out=self.at("pixel"))
        return self

    @property
    def vae(self):
        return {name: path for name, path in self.encoders.items() if name == "vae"}

    def open(self, name):
        return {key: array[...] for key, array in open_store(self.at(name)).arrays()}


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    """A text-conditional model of pixels, with one guidance of the sampler's and another of f_t's."""
    folder = tmp_path_factory.mktemp("text")
    given = {"path": tiny_bert(folder / "bert"), "max_length": 6}
    run_script("import_encoder", spec={"text_encoder": given}, out=folder / "imported")
    sections = {
        "text_encoder": given,
        "model": {"unet": TEXT_UNET},
        "training": {**BASE["training"], "caption_dropout": 0.3},
        "sampling": {"steps": 10, "guidance": GUIDANCE},
        "attribution": {**BASE["attribution"], "guidance": JUDGED},
        "targets": [{"id": "a", "seed": 1, "prompt": "a red thing"}],
    }
    return Run(folder, sections, {"text": folder / "imported"}).everything()


@pytest.fixture(scope="module")
def latent(tmp_path_factory):
    """An unconditional model of latents."""
    folder = tmp_path_factory.mktemp("latent")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        vae = diffusers.AutoencoderKL(**AUTOENCODER, in_channels=1, out_channels=1, scaling_factor=0.7)
    vae.save_pretrained(folder / "vae")
    run_script("import_encoder", spec={"vae": {"path": str(folder / "vae")}}, out=folder / "imported")
    sections = {
        "vae": {"path": str(folder / "vae")},
        "model": {
            "unet": {**UNET, "sample_size": 4, "in_channels": 2, "out_channels": 2},
            "scheduler": {"clip_sample": False},
        },
        "pixel": {"against": "x0_hat"},
    }
    return Run(folder, sections, {"vae": folder / "imported"}).everything()


@pytest.mark.parametrize("name", ["text", "latent"])
def test_scores_of_every_training_image(name, request):
    run = request.getfixturevalue(name)
    for method in ("score", "pixel"):
        score = run.open(method)["score"]
        assert score.shape == (2, N) and np.isfinite(score).all() and score.std() > 0


@pytest.mark.parametrize("inversion", ["ddpm", "ddim"])
@pytest.mark.parametrize("name", ["text", "latent"])
def test_a_given_image_goes_the_same_way(name, inversion, request, tmp_path):
    """Through the VAE, or with its prompt."""
    run = request.getfixturevalue(name)
    Image.new("RGB", (20, 20), "red").save(tmp_path / "made.png")
    row = {"id": "pic", "image": str(tmp_path / "made.png"), "inversion": inversion}
    row |= {"prompt": "a red thing"} if name == "text" else {}
    plan = Plan(complete({**BASE, **run.sections, "targets": [row]}))
    model, data, out = run.folder / "model", run.at("data"), tmp_path / "trajectory.zarr"
    given = {"checkpoint": model, "image": row["image"], "data": data, **run.encoders}
    run_script("invert_image", spec=plan.spec("invert_image", target="pic"), **given, out=out)
    found = {key: array[...] for key, array in open_store(out).arrays()}
    assert found["image"].shape == (1, 8, 8) and np.allclose(found["image"], 2 * 0.299 - 1, atol=0.01)
    if name == "latent":
        vae = load_vae(run.encoders["vae"])
        assert np.allclose(found["latent"], vae.encode(torch.from_numpy(found["image"])[None])[0], atol=1e-6)
        assert found["x_t"].shape == (10, 2, 4, 4)
    else:
        assert np.allclose(found["text_embedding"], embedded(run, "a red thing")[0], atol=1e-6)
    assert ("again" in found) == (inversion == "ddim") and ("further_x_t" in found) == (inversion == "ddpm")
    given = {"data": data, "trajectory": out, "generator": model, "embeddings": [], "scores": [], "target": "pic"}
    given |= {"places": json.dumps({"path": None, "captions": None}), **run.encoders}
    spec = plan.spec("compare_image", target="pic")
    run_script("compare_image", spec=spec, **given, out=tmp_path / "compared.zarr")
    losses = open_store(tmp_path / "compared.zarr")
    assert losses["train_loss"].shape == (N, 2) and np.isfinite(losses["loss"][:]).all()
    made = {"trajectory": out, "generator": model, "checkpoints": model, "out": tmp_path / "g.zarr"}
    run_script("target_gradients", spec=plan.spec("target_gradients", basis="plain", target="pic"), **made)
    assert ("g_of_noise" in open_store(tmp_path / "g.zarr")) == (inversion == "ddpm")


def embedded(run, prompt):
    return TextEncoder(run.encoders["text"], 6)([prompt])


def output(theta, x, t, cond, null, scale):
    """null + s (cond − null), two calls."""
    given, without = (
        theta.unet(x, t, encoder_hidden_states=e.expand(len(x), *e.shape[1:])).sample for e in (cond, null)
    )
    return without + scale * (given - without)


def test_a_trajectory_follows_the_prompt_under_the_samplers_guidance(text):
    theta, found = checkpoints.load(text.folder / "model"), text.open("trajectory")
    cond, null = embedded(text, "a red thing"), embedded(text, "")
    assert np.allclose(found["text_embedding"], cond[0], atol=1e-5)
    assert np.allclose(found["null_embedding"], null[0], atol=1e-5)
    with torch.no_grad():
        for t, x_t, x0_hat in zip(found["step"], found["x_t"], found["x0_hat"]):
            x = torch.from_numpy(x_t)[None]
            out = output(theta, x, int(t), cond, null, GUIDANCE)
            alpha = theta.alphas_cumprod[int(t)]
            wanted = ((x - (1 - alpha).sqrt() * out) / alpha.sqrt()).clamp(-1, 1)
            assert np.allclose(x0_hat[None], wanted, atol=1e-3)


def test_gradients_take_the_samplers_guidance_in_x0_hat_and_their_own_in_f_t(text):
    """Algorithm 1, lines 10-13, as a loop: g_t = Pᵀ∇f_t around θ's own guided x̂0_t."""
    theta, found = checkpoints.load(text.folder / "model"), text.open("trajectory")
    cond, null = (torch.from_numpy(found[name])[None] for name in ("text_embedding", "null_embedding"))
    spec = settings_of(text.spec("target_gradients"))
    assert spec["sampling"]["guidance"] == GUIDANCE and spec["attribution"]["guidance"] == JUDGED
    origin = {name: spec["target"][name] for name in ("seed", "prompt")}
    key = json.dumps([origin, spec["generator"], spec["sampling"]], sort_keys=True)
    P, grid = Gaussian(0, "full/0", 8), found["step"].tolist()

    for t, g in zip((100, 500), text.open("g")["g"][0]):
        x_t, alpha = torch.from_numpy(found["x_t"][grid.index(t)])[None], theta.alphas_cumprod[t]
        with torch.no_grad():
            out = output(theta, x_t, t, cond, null, GUIDANCE)
            x0_hat = ((x_t - (1 - alpha).sqrt() * out) / alpha.sqrt()).clamp(-1, 1)
        epsilon = torch.stack([target_noise(0, key, "full/0", t, k, (1, 8, 8)) for k in range(2)])
        noised = alpha.sqrt() * x0_hat + (1 - alpha).sqrt() * epsilon
        f_t = (epsilon - output(theta, noised, t, cond, null, JUDGED)).pow(2).mean()
        gradient = torch.cat([part.flatten() for part in torch.autograd.grad(f_t, trainable(theta.unet))])
        wanted = P.project(gradient[None])[0].numpy()
        assert np.allclose(g, wanted, rtol=1e-3, atol=1e-3 * np.abs(wanted).max())


def test_samples_of_latents_are_decoded(latent):
    made, found = latent.open("samples"), latent.open("trajectory")
    vae = load_vae(latent.encoders["vae"])
    assert made["sample"].shape == (2, 4, 1, 8, 8) and found["x_t"].shape == (10, 2, 4, 4)
    for place, t in enumerate((100, 500)):
        at = found["step"].tolist().index(t)
        for name in ("x_t", "x0_hat"):
            wanted = vae.decode(torch.from_numpy(found[name][at])[None])[0]
            assert np.allclose(made[f"{name}_image"][place], wanted, atol=1e-5)
    scale = latent.open("data")["latent"].std()
    assert found["image"].shape == (1, 8, 8) and np.abs(found["image"]).max() <= 1 < np.abs(found["x_t"]).max() + scale


def test_pixel_scores_of_latents_compare_pixels(latent):
    found, vae = latent.open("trajectory"), load_vae(latent.encoders["vae"])
    train = images(N).flatten(1).double()
    for t, score in zip((100, 500), latent.open("pixel")["score"]):
        x0_hat = torch.from_numpy(found["x0_hat"][found["step"].tolist().index(t)])[None]
        wanted = torch.cosine_similarity(train, vae.decode(x0_hat).flatten(1).double())
        assert np.allclose(score, wanted, atol=1e-5)


def test_an_unconditional_models_stores_hold_no_captions(latent):
    for name in ("data", "trajectory"):
        assert not {"text_embedding", "null_embedding"} & set(latent.open(name))


def test_samples_of_latents_keep_both_and_the_one_step_error_compares_latents(latent):
    made, found = latent.open("samples"), latent.open("trajectory")
    for sample, latents in zip(made["sample"], made["latent"]):
        decoded = load_vae(latent.encoders["vae"]).decode(torch.from_numpy(latents))
        assert np.allclose(sample, decoded, atol=1e-5)
    out, spec = latent.folder / "one_step_error.csv", {"samples": {"number": 3, "chosen": {"a": [500]}}}
    given = {"samples": latent.at("samples"), "trajectories": latent.at("trajectory")}
    run_script("one_step_error", spec=spec, **given, out=out)
    x0_hat = found["x0_hat"][found["step"].tolist().index(500)]
    l2 = np.linalg.norm(x0_hat - made["latent"][1, :3].astype(float).mean(0))
    assert float(out.read_text().splitlines()[1].split(",")[2]) == pytest.approx(l2, rel=1e-4)
