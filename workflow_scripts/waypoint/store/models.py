"""Diffusers folders: build, save, load and check models by value, not only by shape."""

import hashlib
import json
from pathlib import Path

import diffusers
import torch
from diffusers import DDPMScheduler, UNet2DModel
from huggingface_hub import snapshot_download

from ..errors import WaypointError
from ..science.diffusion import Denoiser, check_scheduler
from ..science.streams import derive


def build(model, seed, name):
    """A freshly initialised denoiser from the config section ``model``; weights from stream (seed, name).

    Raises:
        WaypointError: a configuration that diffusers refuses or Waypoint does not support.
    """
    scheduler = DDPMScheduler(**model["scheduler"])
    check_scheduler(scheduler)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(seed, "initial weights", name))
        try:
            unet = UNet2DModel(**model["unet"])
        except (TypeError, ValueError, RuntimeError) as error:
            raise WaypointError(f"model.unet: {error}") from error
    return Denoiser(unet, scheduler)


def save(unet, scheduler, folder):
    """Write a diffusers pipeline folder (``DDPMPipeline.from_pretrained`` opens it), safetensors weights."""
    unet.save_pretrained(Path(folder, "unet"), safe_serialization=True)
    scheduler.save_pretrained(Path(folder, "scheduler"))
    index = {
        "_class_name": "DDPMPipeline",
        "_diffusers_version": diffusers.__version__,
        "scheduler": ["diffusers", type(scheduler).__name__],
        "unet": ["diffusers", type(unet).__name__],
    }
    Path(folder, "model_index.json").write_text(json.dumps(index, indent=2) + "\n")


def fetch(source):
    """The local folder of ``source``: itself, or a snapshot of the hub repository of that id.

    Raises:
        WaypointError: no such folder, and nothing to be had under that id.
    """
    if Path(source).is_dir():
        return source
    if source.startswith((".", "/", "~")) or source.count("/") != 1:
        raise WaypointError(f"checkpoint {source}: no such folder")
    try:
        return snapshot_download(source, allow_patterns=["*.json", "*.safetensors", "*.bin"])
    except Exception as error:  # network, authentication, cache: each library raises its own kinds
        raise WaypointError(f"checkpoint {source}: cannot be fetched from the hub ({error})") from error


def load(source, device="cpu"):
    """A denoiser in evaluation mode from a pipeline folder, a bare UNet folder with a scheduler, or a hub id.

    Raises:
        WaypointError: nothing there, damaged, or not supported; the message names ``source``.
    """
    name, source = str(source), fetch(str(source))
    unet_part = "unet" if Path(source, "unet").is_dir() else ""
    scheduler_part = "scheduler" if Path(source, "scheduler").is_dir() else ""
    try:
        unet, info = UNet2DModel.from_pretrained(
            source, subfolder=unet_part, local_files_only=True, low_cpu_mem_usage=False, output_loading_info=True
        )
        scheduler_config = DDPMScheduler.load_config(source, subfolder=scheduler_part, local_files_only=True)
    except Exception as error:  # each library on the way raises its own kinds
        raise WaypointError(f"checkpoint {name}: cannot be loaded ({error})") from error
    amiss = [*info["missing_keys"], *info["unexpected_keys"]]
    if amiss:  # diffusers would fill in random weights, or leave some out, with a warning
        raise WaypointError(f"checkpoint {name}: its weights do not fill its config exactly: {', '.join(amiss[:3])}")
    stored = scheduler_config.get("_class_name", "DDPMScheduler")
    if stored != "DDPMScheduler":
        raise WaypointError(
            f"checkpoint {name}: scheduler {stored} is not supported: p(·|x_t) needs ancestral sampling; "
            "store a DDPMScheduler with the model's own betas"
        )
    scheduler = DDPMScheduler.from_config(scheduler_config)
    try:
        check_scheduler(scheduler)
    except WaypointError as error:
        raise WaypointError(f"checkpoint {name}: {error}") from error
    if unet.config.class_embed_type is not None:
        kind = unet.config.class_embed_type
        raise WaypointError(f"checkpoint {name}: class_embed_type {kind!r} is not supported; num_class_embeds is")
    return Denoiser(unet.eval().to(device), scheduler)


def differences(mine, theirs):
    """Keys whose *values* differ between two diffusers configs, defaults filled in: 'key: a against b'.

    Two UNet configurations with equal shapes can give different outputs (``flip_sin_to_cos``,
    ``freq_shift``, ``norm_eps`` …), and load each other's weights without an error.
    """
    as_json = [json.loads(json.dumps(dict(config), default=str)) for config in (mine, theirs)]
    keys = sorted(k for k in as_json[0].keys() | as_json[1].keys() if not k.startswith("_"))
    return [
        f"{k}: {as_json[0].get(k)!r} against {as_json[1].get(k)!r}"
        for k in keys
        if as_json[0].get(k) != as_json[1].get(k)
    ]


def require_same(denoiser, reference, name, reference_name):
    """Refuse a checkpoint whose UNet config, scheduler or image shape is not the reference's.

    Raises:
        WaypointError: lists every key that differs, with both values.
    """
    for part in ("unet", "scheduler"):
        found = differences(getattr(denoiser, part).config, getattr(reference, part).config)
        if found:
            raise WaypointError(
                f"checkpoint {name} and {reference_name} have different {part} configs:\n  " + "\n  ".join(found)
            )


def require_fit(denoiser, shape, labels, name):
    """Refuse a model that does not take images of ``shape`` (C, H, W) or whose classes the data does not have.

    Args:
        labels: (n,) class of every image, array or tensor, or None.

    Raises:
        WaypointError: another image shape, no labels, or classes that the model does not have.
    """
    config, (channels, *size) = denoiser.unet.config, shape
    takes = [config.sample_size] * 2 if isinstance(config.sample_size, int) else config.sample_size
    if takes is None or (config.in_channels, config.out_channels, *takes) != (channels, channels, *size):
        raise WaypointError(
            f"{name} takes {config.in_channels} channels of {takes} pixels and gives {config.out_channels}, "
            f"but the data has {channels} channels of {size}; fit model.unet or data.size"
        )
    classes = config.num_class_embeds
    if classes is not None and (labels is None or labels.min() < 0 or labels.max() >= classes):
        found = "no labels" if labels is None else f"labels {int(labels.min())} to {int(labels.max())}"
        raise WaypointError(f"{name} is class-conditional (num_class_embeds {classes}), but the data has {found}")


def target_label(denoiser, target):
    """A target's class as the (1,) tensor that the model wants, or None for an unconditional model.

    Raises:
        WaypointError: a class-conditional model and no label, or a label and no class-conditional model.
    """
    conditional = denoiser.unet.config.num_class_embeds is not None
    if conditional != ("label" in target):
        need = "is class-conditional and needs one" if conditional else "is not class-conditional"
        raise WaypointError(f"targets: label: the generating model {need}")
    if not conditional:
        return None
    return torch.tensor([target["label"]], device=denoiser.device)


def weights_hash(folder):
    """SHA-256 of all weights stored in a folder: the identity that what was made with a model carries."""
    digest = hashlib.sha256()
    for file in sorted(Path(folder).rglob("*.safetensors")):
        with open(file, "rb") as handle:
            while chunk := handle.read(1 << 22):
                digest.update(chunk)
    return digest.hexdigest()
