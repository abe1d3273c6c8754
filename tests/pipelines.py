"""Tiny Stable Diffusion folders in the hub's layout with random weights: 8 × 8 images, latents (4, 4, 4).

Also for SDXL, whose VAE shortens sides by a factor of eight: 32 × 32 images.
"""

import json
import shutil
from pathlib import Path

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    DDPMPipeline,
    EulerDiscreteScheduler,
    PNDMScheduler,
    UNet2DConditionModel,
)
from support import tiny_clip
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

WIDTH = 16  # width of embedded captions
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


POOLED = 20  # length of SDXL's pooled caption, which exceeds that of a token
SDXL_UNET = {
    **UNET,
    "cross_attention_dim": 2 * WIDTH,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 8,
    "projection_class_embeddings_input_dim": POOLED + 6 * 8,
    "transformer_layers_per_block": [1, 2],
}
SDXL_VAE = {
    **VAE,
    "block_out_channels": [8] * 4,
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
    "sample_size": 32,
    "scaling_factor": 0.13025,
}


def sdxl(folder, seed=0):
    """Write an SDXL pipeline's folder (unet, vae, two text encoders and tokenizers, scheduler) and return its path."""
    small = {"intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "hidden_size": WIDTH}
    text = {"max_position_embeddings": 12, "vocab_size": 514, "bos_token_id": 512, "eos_token_id": 513}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        parts = {
            "unet": UNet2DConditionModel(**SDXL_UNET),
            "vae": AutoencoderKL(**SDXL_VAE),
            "text_encoder": CLIPTextModel(CLIPTextConfig(**small, **text)),
            "text_encoder_2": CLIPTextModelWithProjection(CLIPTextConfig(**small, **text, projection_dim=POOLED)),
        }
    with torch.no_grad():
        for part in ("text_encoder", "text_encoder_2"):
            for q in parts[part].parameters():  # so that captions differ
                q.mul_(5)
        parts["unet"].conv_out.weight.mul_(5)
    schedule = {key: value for key, value in SCHEDULE.items() if key != "set_alpha_to_one"}
    parts["scheduler"] = EulerDiscreteScheduler(**schedule)
    for name, part in parts.items():
        part.save_pretrained(Path(folder, name))
    for name in ("tokenizer", "tokenizer_2"):
        tokenizer(Path(folder, name))
    index = {"_class_name": "StableDiffusionXLPipeline", "force_zeros_for_empty_prompt": True}
    index |= {name: ["diffusers", type(part).__name__] for name, part in parts.items()}
    Path(folder, "model_index.json").write_text(json.dumps(index))
    return str(folder)


def tokenizer(folder):
    """Write a CLIP tokenizer of single letters with a maximum of 12 tokens."""
    words = folder.parent / "words"
    tiny_clip(words)
    CLIPTokenizer.from_pretrained(words, model_max_length=12).save_pretrained(folder)
    shutil.rmtree(words)


def stable_diffusion(folder, seed=0, prediction_type="epsilon", **unet):
    """Write a pipeline's folder (unet, vae, text_encoder, tokenizer, scheduler) and return its path.

    Version 1 uses PNDM with ε-prediction; version 2 used DDIM with v-prediction for a while.
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
    tokenizer(Path(folder, "tokenizer"))
    index = {"_class_name": "StableDiffusionPipeline", "unet": ["diffusers", "UNet2DConditionModel"]}
    Path(folder, "model_index.json").write_text(json.dumps(index))
    return str(folder)


def saved(folder, denoiser):
    """Write a denoiser as diffusers' own pipeline and return its path."""
    DDPMPipeline(denoiser.unet, denoiser.scheduler).save_pretrained(folder)
    return str(folder)


def makers(plan):
    """Return the jobs [(stage, wildcards)] that make an experiment's models of the full set."""
    return [plan.model(checkpoint) for checkpoint in plan.checkpoints]
