"""Small models and examples used by several tests."""

import hashlib
import json
import runpy
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import UNet2DConditionModel

from waypoint.science.draws import target_noise, train_draws
from waypoint.science.gradients.examples import Example
from waypoint.science.gradients.hooks import trainable
from waypoint.science.training import DenoiserTrainer
from waypoint.store.networks import checkpoints
from waypoint.store.zarr.writer import create_store
from waypoint.workflow.config.complete import complete

SCRIPTS = Path(__file__).parents[1] / "workflow_scripts"
SHAPE = (1, 8, 8)
EXACT = {"kind": "exact", "precision": "float32"}
UNET = {
    "sample_size": 8,
    "in_channels": 1,
    "out_channels": 1,
    "block_out_channels": [8, 8],
    "down_block_types": ["DownBlock2D", "DownBlock2D"],
    "up_block_types": ["UpBlock2D", "UpBlock2D"],
    "layers_per_block": 1,
    "norm_num_groups": 4,
}
AUTOENCODER = {  # encodes 8 × 8 images as latents (2, 4, 4)
    "block_out_channels": [8, 8],
    "down_block_types": ["DownEncoderBlock2D", "DownEncoderBlock2D"],
    "up_block_types": ["UpDecoderBlock2D", "UpDecoderBlock2D"],
    "layers_per_block": 1,
    "latent_channels": 2,
    "norm_num_groups": 4,
}


def tiny_denoiser(model, name="full/0", **unet):
    """Return an untrained denoiser, the same for the same name."""
    denoiser = checkpoints.build({**model, "unet": {**model["unet"], **unet}}, 0, name)
    denoiser.unet.eval()
    return denoiser


def seeded(make):
    """Return a module with random weights, the same every time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = make()
        for q in model.parameters():
            q.data = torch.randn(q.shape) / 2
    return model.eval()


def unet_with_text():
    """Return a small UNet that attends to captions of width 12."""
    return seeded(
        lambda: UNet2DConditionModel(
            sample_size=8,
            in_channels=1,
            out_channels=1,
            block_out_channels=[8, 16],
            down_block_types=["CrossAttnDownBlock2D", "DownBlock2D"],
            up_block_types=["UpBlock2D", "CrossAttnUpBlock2D"],
            layers_per_block=1,
            cross_attention_dim=12,
            norm_num_groups=4,
            attention_head_dim=4,
        )
    )


def examples_with_text(n, K=3):
    """Return n training images with their draws, each with a caption of 5 tokens."""
    texts, z = torch.randn(n, 5, 12, generator=torch.Generator().manual_seed(4)), images(n)
    return [replace(train_example(z[i], i, K), condition=texts[i].expand(K, 5, 12)) for i in range(n)]


def images(n, seed=0):
    """Return n smooth images in [-1, 1]."""
    noise = torch.randn(n, 1, 2, 2, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(noise, size=(8, 8), mode="bilinear").tanh()


def train_example(x0, index, K=3, scheme="independent", checkpoint="full/0", T=1000):
    """Return training image ``index`` with its draws."""
    t, epsilon = train_draws(0, checkpoint, index, scheme, K, T, SHAPE)
    return Example(x0.expand(epsilon.shape), t, epsilon)


def target_example(x0_hat, t, k=4, weight=None, key="trajectory", checkpoint="full/0"):
    """Return x̂0_t at step t with its noises."""
    epsilon = torch.stack([target_noise(0, key, checkpoint, t, draw, SHAPE) for draw in range(k)])
    return Example(x0_hat.expand(epsilon.shape), torch.full((k,), t), epsilon, weight=weight)


def flat(gradients):
    """Return the gradients of all parameters in one row."""
    return torch.cat([gradient.flatten() for gradient in gradients])


def one_by_one(model, loss, example):
    """Return autograd's gradients averaged over single draws, one tensor for each trainable parameter."""
    parameters, K = trainable(model), len(example.t)
    total = [torch.zeros_like(q) for q in parameters]
    for k in range(K):
        value = loss(example.draws(slice(k, k + 1))).sum()
        gradients = torch.autograd.grad(value, parameters, allow_unused=True, materialize_grads=True)
        total = [subtotal + gradient / K for subtotal, gradient in zip(total, gradients)]
    return total


def equal_autograd(model, loss, examples, rows, tolerance=2e-5):
    """Return whether each row is autograd's gradient, compared by parameter so that small gradients count as well."""
    for row, example in zip(rows, examples, strict=True):
        expected = one_by_one(model, loss, example)
        rounding = 2e-7 * flat(expected).abs().max()
        for part, gradient in zip(row.split([g.numel() for g in expected]), expected, strict=True):
            if (part - gradient.flatten()).abs().max() > tolerance * gradient.abs().max() + rounding:
                return False
    return True


def store(path, attributes=None, **arrays):
    """Write a store with arrays {name: (dims, values)} or (dims, values, attributes) and return its path.

    By default its spec agrees with every other.
    """
    attributes = {**(attributes or {}), "spec": staged((attributes or {}).get("spec", {}))}
    with create_store(path, lambda: attributes) as writer:
        for name, (dims, values, *array_attributes) in arrays.items():
            writer.write(name, dims, np.asarray(values))
            for more in array_attributes:
                writer.arrays[name].attrs.update(more)
    return path


def staged(sections, stage="fixed"):
    """Return a spec that holds sections of a configuration under one stage; a spec keyed by stage is left unchanged."""
    if any(isinstance(entry, dict) and "version" in entry for entry in sections.values()):
        return sections
    seed = {"seed": sections["seed"]} if "seed" in sections else {}
    return {**seed, stage: {"version": 1, **{name: part for name, part in sections.items() if name != "seed"}}}


def asked(stage, spec):
    """Return the --spec that a rule passes to its script, from ``Plan.asked`` or from sections of a configuration."""
    if isinstance(spec, str):
        return spec
    spec = staged(spec, stage)
    return json.dumps({"stage": stage, "spec": spec, "identity": json.dumps(spec, sort_keys=True)}, sort_keys=True)


def script_arguments(script, /, **values):
    """Return the command-line arguments of a script: lists become several words, a spec becomes JSON."""
    words = []
    for name, value in values.items():
        value = asked(script, value) if name == "spec" else value
        words += [f"--{name}", *map(str, value if isinstance(value, list) else [value])]
    return words


def script_path(name):
    """Return the path of a workflow script by its name."""
    (path,) = SCRIPTS.glob(f"*/{name}.py")
    return path


def trained(model, recipe, images, name):
    """Return a denoiser of a model's section, trained on images (n, C, H, W) without conditions."""
    denoiser = checkpoints.build(model, 0, name)
    trainer = DenoiserTrainer(denoiser, images, None, recipe, 0, name)
    while not trainer.finished:
        trainer.run_epoch()
    trainer.final_weights().eval()
    return denoiser


def run_script(script, /, **values):
    """Run a workflow script in this process as its rule would.

    Raises:
        SystemExit: the script failed; its message is on standard error.
    """
    path = script_path(script)
    original_argv, sys.argv = sys.argv, [str(path), *script_arguments(script, **values)]
    try:
        runpy.run_path(str(path), run_name="__main__")
    finally:
        sys.argv = original_argv


def tiny_config(model, **sections):
    """Return a complete configuration of 30 digits, two checkpoints and one target."""
    return complete(
        {
            "experiment": "tiny",
            "data": {"source": "digits", "subset": 30},
            "model": model,
            "training": {"epochs": 3, "batch_size": 15, "learning_rate": 1e-3, "ema": 0.9},
            "checkpoints": {"count": 2},
            "sampling": {"steps": 20},
            "attribution": {"steps": [100, 500], "train_draws": 3, "target_draws": 3},
            "projection": {"dim": 16},
            "targets": [{"id": "a", "seed": 1}],
            **sections,
        },
        missing=(),  # without looking for an image encoder
    )


def random_inception(path):
    """Write random weights of pytorch-fid's Inception to a file and return its SHA-256."""
    from pytorch_fid import inception

    captured = {}
    with torch.random.fork_rng(), pytest.MonkeyPatch.context() as patch:
        torch.manual_seed(0)
        patch.setattr(inception, "load_state_dict_from_url", lambda *_, **__: {})
        patch.setattr(torch.nn.Module, "load_state_dict", lambda self, state: captured.update(state=self.state_dict()))
        inception.fid_inception_v3()
    torch.save(captured["state"], path)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def randomised(layer, seed=0):
    """Return the layer in double precision with random parameters; frozen parameters stay frozen."""
    generator = torch.Generator().manual_seed(seed)
    for q in layer.parameters():
        q.data = torch.randn(q.shape, generator=generator, dtype=torch.float64)
    return layer


def values(*shape, seed=1):
    """Return random numbers in double precision, the same for the same seed."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def tiny_clip(folder, seed=0):
    """Write a random CLIPModel of 15,000 parameters with processor and tokenizer to a folder; return its path."""
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPTokenizer
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    letters = list(bytes_to_unicode().values())
    words = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    small = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = {"max_position_embeddings": 24, "vocab_size": 514, "bos_token_id": 512, "eos_token_id": 513}
    config = CLIPConfig(
        text_config=small | text, vision_config=small | {"image_size": 16, "patch_size": 8}, projection_dim=8
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = CLIPModel(config)
    with torch.no_grad():  # large weights, so that no comparison depends on rounding
        for q in model.parameters():
            q.mul_(5)
    model.save_pretrained(folder)
    # the shortest edge and the crop differ, so that a wrong order of the two would show
    CLIPImageProcessor(size={"shortest_edge": 20}, crop_size={"height": 16, "width": 16}).save_pretrained(folder)
    CLIPTokenizer(vocab={word: k for k, word in enumerate(words)}, merges=[]).save_pretrained(folder)
    return str(folder)


WORDS = ["red", "blue", "round", "square", "thing", "a"]


def tiny_bert(folder, seed=0, tokens=8):
    """Write a random BertModel of width 8 with a WordPiece tokenizer of WORDS and letters; return the folder's path."""
    from transformers import BertConfig, BertModel, BertTokenizer

    letters = "abcdefghijklmnopqrstuvwxyz"
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, *letters[1:], *(f"##{c}" for c in letters)]
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=8,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=tokens,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = BertModel(config)
    with torch.no_grad():  # large weights, so that captions differ
        for name, q in model.named_parameters():
            q.mul_(1 if "LayerNorm" in name else 20)
    model.save_pretrained(folder)
    vocab = {word: k for k, word in enumerate(vocabulary)}
    BertTokenizer(vocab=vocab, model_max_length=tokens).save_pretrained(folder)
    return str(folder)


TEXT_UNET = {
    **UNET,
    "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D"],
    "up_block_types": ["CrossAttnUpBlock2D", "UpBlock2D"],
    "cross_attention_dim": 8,
    "attention_head_dim": 4,
}


def captioned(n, token=8, width=8, seed=5):
    """Return n embedded captions (n, token, width) and the embedded empty caption (token, width)."""
    captions = torch.randn(n + 1, token, width, generator=torch.Generator().manual_seed(seed))
    return captions[1:], captions[0]
