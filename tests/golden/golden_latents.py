"""Golden outputs of what latent and text-conditional models see of images and captions."""

import json

import numpy as np
import torch
from diffusers import AutoencoderKL
from inputs import N, arrays_of, numbers, store
from safetensors.torch import load_file
from support import AUTOENCODER, run_script, tiny_bert


def vae_folder(folder):
    """Weights from a formula, not from a training."""
    vae = AutoencoderKL(**AUTOENCODER, in_channels=1, out_channels=1, scaling_factor=0.7, shift_factor=0.1)
    with torch.no_grad():
        for k, q in enumerate(vae.parameters()):
            q.copy_(torch.from_numpy(0.2 * numbers(*q.shape, seed=300 + k)))
    vae.save_pretrained(folder)


def text_folder(folder):
    from transformers import BertModel

    tiny_bert(folder)
    model = BertModel.from_pretrained(folder)
    with torch.no_grad():
        for k, q in enumerate(model.parameters()):
            q.copy_(torch.from_numpy(numbers(*q.shape, seed=400 + k)))
    model.save_pretrained(folder)


def summary(folder, name):
    """Eight numbers that stand for a network in a golden file."""
    stored = load_file(folder / name)
    flat = torch.cat([stored[key].reshape(-1).float() for key in sorted(stored)]).numpy()
    return flat @ numbers(len(flat), 8, seed=8)


def import_vae_stage(tmp_path):
    vae_folder(tmp_path / "vae")
    run_script("import_encoder", spec={"vae": {"path": str(tmp_path / "vae")}}, out=tmp_path / "out")
    config = json.loads((tmp_path / "out/config.json").read_text())
    scale = np.array([config["scaling_factor"], config["shift_factor"]])
    return {"vae": summary(tmp_path / "out", "diffusion_pytorch_model.safetensors"), "scale": scale}


def import_text_encoder_stage(tmp_path):
    text_folder(tmp_path / "text")
    given = {"path": str(tmp_path / "text"), "max_length": 6}
    run_script("import_encoder", spec={"text_encoder": given}, out=tmp_path / "out")
    words = json.loads((tmp_path / "out/tokenizer.json").read_text())["model"]["vocab"]
    return {"text": summary(tmp_path / "out", "model.safetensors"), "words": np.array(sorted(words.values()))}


def encode_data_stage(tmp_path):
    vae_folder(tmp_path / "vae")
    text_folder(tmp_path / "text")
    for name in ("vae", "text"):
        (tmp_path / name / "waypoint.json").write_text(json.dumps({"spec": {}, "weights": "w"}))
    dims, captions = ["train", "channel", "y", "x"], [f"a {('red', 'blue')[k % 2]} thing" for k in range(N)]
    arrays = {"image": (dims, np.tanh(numbers(N, 1, 8, 8, seed=1))), "train": (["train"], np.arange(N))}
    attributes = {"sha256": "fixed", "source": None}
    images = store(tmp_path / "images.zarr", attributes, caption=(["train"], np.array(captions)), **arrays)
    found, text = {}, {"path": "t", "max_length": 6}
    for latent in ("mean", "sample"):
        spec = {"seed": 0, "vae": {"path": "v", "latent": latent}, "text_encoder": text}
        out, given = tmp_path / f"{latent}.zarr", {"vae": tmp_path / "vae", "text": tmp_path / "text"}
        run_script("encode_data", spec=spec, images=images, **given, out=out)
        found[latent] = arrays_of(out, "latent")["latent"]
    return found | arrays_of(out, "text_embedding", "null_embedding", "image")


GOLDEN = {
    "import_vae": import_vae_stage,
    "import_text_encoder": import_text_encoder_stage,
    "encode_data": encode_data_stage,
}
