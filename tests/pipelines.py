"""Pipelines of diffusers, tiny and with random weights; Stable Diffusion folders as the hub has them, 8 × 8 images."""

import json
from pathlib import Path

import torch
from diffusers import AutoencoderKL, DDIMScheduler, DDPMPipeline, PNDMScheduler, UNet2DConditionModel
from support import tiny_clip
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

WIDTH = 16  # of embedded captions
UNET = {
    "sample_size": 4,
    "in_channels": 4,
    "out_channels": 4,
    "block_out_channels": [8, 8],
    "down_block_types": ["CrossAttnDownBlock2D", "DownBlock2D"],
    "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D"],
    "layers_per_block": 1,
    "norm_num_groups": 4,
    "attention_head_dim": 2,
    "cross_attention_dim": WIDTH,
}
VAE = {
    "block_out_channels": [8, 8],
    "down_block_types": ["DownEncoderBlock2D"] * 2,
    "up_block_types": ["UpDecoderBlock2D"] * 2,
    "norm_num_groups": 4,
    "latent_channels": 4,
    "sample_size": 8,
}
SCHEDULE = {  # Stable Diffusion's
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "set_alpha_to_one": False,
    "steps_offset": 1,
}


def stable_diffusion(folder, seed=0, prediction_type="epsilon", **unet):
    """Write a pipeline's folder: unet, vae, text_encoder, tokenizer, scheduler; its path.

    Version 1's scheduler is PNDM with ε-prediction; version 2's was DDIM with v-prediction for a while.
    """
    schedule = {**SCHEDULE, "prediction_type": prediction_type}
    if prediction_type == "epsilon":
        scheduler = PNDMScheduler(skip_prk_steps=True, **schedule)
    else:
        scheduler = DDIMScheduler(clip_sample=False, **schedule)
    small = {"hidden_size": WIDTH, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = {"max_position_embeddings": 12, "vocab_size": 514, "bos_token_id": 512, "eos_token_id": 513}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        parts = {"unet": UNet2DConditionModel(**{**UNET, **unet}), "vae": AutoencoderKL(**VAE)}
        parts["text_encoder"] = CLIPTextModel(CLIPTextConfig(**small, **text))
    parts["scheduler"] = scheduler
    for name, part in parts.items():
        part.save_pretrained(Path(folder, name))
    tiny_clip(Path(folder, "words"))
    CLIPTokenizer.from_pretrained(Path(folder, "words"), model_max_length=12).save_pretrained(Path(folder, "tokenizer"))
    for file in Path(folder, "words").iterdir():
        file.unlink()
    Path(folder, "words").rmdir()
    index = {"_class_name": "StableDiffusionPipeline", "unet": ["diffusers", "UNet2DConditionModel"]}
    Path(folder, "model_index.json").write_text(json.dumps(index))
    return str(folder)


def saved(folder, denoiser):
    """Write a denoiser as diffusers' own pipeline; its path."""
    DDPMPipeline(denoiser.unet, denoiser.scheduler).save_pretrained(folder)
    return str(folder)


def makers(plan):
    """The jobs that make an experiment's models of the full set, [(stage, wildcards)]."""
    return [plan.model(checkpoint) for checkpoint in plan.checkpoints]
