"""Builds, saves, loads and checks models in diffusers folders; configurations are compared by value, not by shape."""

# diffusers and science have no or partial type hints
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false, reportPrivateImportUsage=false
# a configuration is declared as a dict, but its keys are its attributes too, and ``eval`` as giving any module
# pyright: reportAttributeAccessIssue=false
import json
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias, cast

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from torch import nn

from waypoint.errors import WaypointError
from waypoint.patches.lean_diffusers import (
    SAFE_WEIGHTS_INDEX_NAME,
    SAFETENSORS_WEIGHTS_NAME,
    WEIGHTS_NAME,
    DDPMScheduler,
    UNet2DConditionModel,
    UNet2DModel,
    __version__,
)
from waypoint.science.networks.known import require_known
from waypoint.science.processes.ddpm import Denoiser, check_scheduler
from waypoint.science.processes.schedules import require_ancestral
from waypoint.science.random_streams import derive
from waypoint.store.artifacts.atomic import share
from waypoint.store.artifacts.checksums import require_intact
from waypoint.store.networks.hub import fetch
from waypoint.store.types import Attributes, StrPath

# of UNet2DConditionModel: conditions besides a caption, which Waypoint does not have
MORE_CONDITIONS = (
    "class_embed_type",
    "num_class_embeds",
    "addition_embed_type",
    "encoder_hid_dim_type",
    "time_cond_proj_dim",
)


UNet: TypeAlias = UNet2DModel | UNet2DConditionModel

LoadingInfo: TypeAlias = Mapping[str, Sequence[str]]

PARTS = ("unet", "scheduler")  # of a pipeline's folder


def build(model: Attributes, seed: int, name: str) -> Denoiser:
    """A freshly initialised denoiser from the config section ``model``; weights from stream (seed, name).

    Raises:
        WaypointError: diffusers refuses the configuration, or Waypoint does not support it.
    """
    scheduler = _scheduler(model)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(seed, "initial weights", name))
        return Denoiser(_network(model), scheduler)


def outline_of(model: Attributes) -> Denoiser:
    """A denoiser of the config section ``model`` on the meta device: its configuration and shapes, without values.

    Raises:
        WaypointError: as ``build``.
    """
    scheduler = _scheduler(model)
    with torch.device("meta"):
        return Denoiser(_network(model), scheduler)


def _scheduler(model: Attributes) -> DDPMScheduler:
    scheduler = DDPMScheduler(**model["scheduler"])
    check_scheduler(scheduler)
    return scheduler


def _network(model: Attributes) -> UNet:
    kind = UNet2DConditionModel if "cross_attention_dim" in model["unet"] else UNet2DModel
    try:
        return kind(**model["unet"])
    except (TypeError, ValueError, RuntimeError) as error:
        raise WaypointError(f"model.unet: {error}") from error


def save(unet: UNet, scheduler: DDPMScheduler, folder: StrPath) -> None:
    """Write a diffusers pipeline folder with safetensors weights.

    ``DDPMPipeline.from_pretrained`` opens that of an unconditional model; ``StableDiffusionPipeline`` opens that of a
    text-conditional one, together with the experiment's VAE, text encoder and tokenizer.
    """
    unet.save_pretrained(Path(folder, "unet"), safe_serialization=True)
    share(Path(folder, "unet"))
    scheduler.save_pretrained(Path(folder, "scheduler"))
    index = {
        "_class_name": "StableDiffusionPipeline" if isinstance(unet, UNet2DConditionModel) else "DDPMPipeline",
        "_diffusers_version": __version__,
        "scheduler": ["diffusers", type(scheduler).__name__],
        "unet": ["diffusers", type(unet).__name__],
    }
    Path(folder, "model_index.json").write_text(json.dumps(index, indent=2) + "\n")


def load(
    source: StrPath, device: torch.device | str = "cpu", sampler: str | None = None, timestep_spacing: str | None = None
) -> Denoiser:
    """A denoiser in evaluation mode from a pipeline folder, a bare UNet folder with a scheduler, or a hub id.

    Args:
        sampler: "ddpm" takes the noise schedule and the kind of prediction from whichever scheduler is stored, and
            samples ancestrally; None needs a stored DDPMScheduler.
        timestep_spacing: replaces the scheduler's, if not None.

    Raises:
        WaypointError: the model is missing, damaged or not supported; names ``source``.
    """
    name, folder = str(source), fetch(str(source), parts=PARTS)
    require_intact(folder)
    kind, scheduler = _described(name, folder, sampler, timestep_spacing)
    options = {"local_files_only": True, "low_cpu_mem_usage": False, "output_loading_info": True}
    try:
        unet, info = cast(
            tuple[nn.Module, LoadingInfo], kind.from_pretrained(folder, subfolder=_part(folder, "unet"), **options)
        )
    except Exception as error:  # each library on the way raises its own kinds
        raise WaypointError(f"checkpoint {name}: cannot be loaded ({error})") from error
    _require_filled(name, [*info["missing_keys"], *info["unexpected_keys"]])
    return _supported(name, Denoiser(unet.eval().to(device), scheduler))  # pyright: ignore[reportArgumentType]


def outline(source: StrPath, sampler: str | None = None, timestep_spacing: str | None = None) -> Denoiser:
    """The denoiser that ``load`` would return, on the meta device; weights are compared by name and shape, not read.

    Raises:
        WaypointError: as ``load``, except for damaged values.
    """
    name, pipeline = str(source), fetch(str(source), parts=PARTS)
    kind, scheduler = _described(name, pipeline, sampler, timestep_spacing)
    folder = Path(pipeline, _part(pipeline, "unet"))
    try:
        with torch.device("meta"):
            unet = cast(UNet, kind.from_config(cast(dict[str, Any], kind.load_config(folder, local_files_only=True))))
        stored = OrderedDict(stored_shapes(folder))
        # names of attention in models of old versions of diffusers
        unet._fix_state_dict_keys_on_load(stored)  # pyright: ignore[reportPrivateUsage]
    except Exception as error:  # each library on the way raises its own kinds
        raise WaypointError(f"checkpoint {name}: cannot be loaded ({error})") from error
    wanted = {key: tensor.shape for key, tensor in unet.state_dict().items()}
    _require_filled(name, sorted(wanted.keys() ^ stored.keys()))
    for key, shape in wanted.items():
        if stored[key] != shape:
            raise WaypointError(
                f"checkpoint {name}: its weights do not fill its config: {key} has the shape {tuple(stored[key])}, "
                f"and the config wants {tuple(shape)}"
            )
    return _supported(name, Denoiser(unet.eval(), scheduler))


def stored_shapes(folder: StrPath) -> dict[str, torch.Size]:
    """Shapes of the weights in a network's folder by name, without reading the weights.

    Raises:
        WaypointError: there are none.
    """
    index, file, pickled = (
        Path(folder, name) for name in (SAFE_WEIGHTS_INDEX_NAME, SAFETENSORS_WEIGHTS_NAME, WEIGHTS_NAME)
    )
    if not index.is_file() and not file.is_file() and pickled.is_file():
        # the meta device: storages are not read
        state: dict[str, torch.Tensor] = torch.load(pickled, map_location="meta", weights_only=True)
        return {key: tensor.shape for key, tensor in state.items()}
    files = [file]
    if index.is_file():
        weight_map: dict[str, str] = json.loads(index.read_text())["weight_map"]
        files = [Path(folder, name) for name in sorted(set(weight_map.values()))]
    shapes: dict[str, torch.Size] = {}
    for file in files:
        if not file.is_file():
            raise WaypointError(f"{file} is missing")
        with safe_open(file, "pt") as weights:
            shapes |= {key: torch.Size(weights.get_slice(key).get_shape()) for key in weights.keys()}
    return shapes


def _part(source: str, name: str) -> str:
    """The folder of a part of a pipeline, or "" where all parts lie side by side."""
    return name if Path(source, name).is_dir() else ""


def _described(
    name: str, source: str, sampler: str | None, timestep_spacing: str | None
) -> tuple[type[UNet], DDPMScheduler]:
    """The class of a stored network, and its scheduler."""
    try:
        config = UNet2DModel.load_config(source, subfolder=_part(source, "unet"), local_files_only=True)
        kind = unet_class(cast(Attributes, config))
        config = DDPMScheduler.load_config(source, subfolder=_part(source, "scheduler"), local_files_only=True)
        stored = cast(Attributes, config)
        scheduler = ancestral(stored) if sampler == "ddpm" else stored_scheduler(stored)
        if timestep_spacing is not None:
            scheduler.register_to_config(timestep_spacing=timestep_spacing)
        check_scheduler(scheduler)
        return kind, scheduler
    except WaypointError as error:
        raise WaypointError(f"checkpoint {name}: {error}") from error
    except Exception as error:  # each library on the way raises its own kinds
        raise WaypointError(f"checkpoint {name}: cannot be loaded ({error})") from error


def _require_filled(name: str, amiss: Sequence[str]) -> None:
    """Refuse a model with missing or surplus weights, over which diffusers only warns."""
    if amiss:
        raise WaypointError(f"checkpoint {name}: its weights do not fill its config exactly: {', '.join(amiss[:3])}")


def _supported(name: str, denoiser: Denoiser) -> Denoiser:
    try:
        check_conditions(denoiser.unet.config)
    except WaypointError as error:
        raise WaypointError(f"checkpoint {name}: {error}") from error
    return denoiser


def alpha_bars(folder: StrPath) -> NDArray[np.float64]:
    """ᾱ_t (T,), float64, of the scheduler in a folder that ``save`` wrote, without its network.

    Raises:
        WaypointError: a file is damaged, or the scheduler is no DDPMScheduler.
    """
    require_intact(folder)
    try:
        stored = DDPMScheduler.load_config(folder, subfolder="scheduler", local_files_only=True)
    except OSError as error:
        raise WaypointError(f"checkpoint {folder}: its scheduler cannot be read ({error})") from error
    return stored_scheduler(cast(Attributes, stored)).alphas_cumprod.double().numpy()


def unet_class(config: Attributes) -> type[UNet]:
    """The diffusers class of a stored UNet's config.

    Raises:
        WaypointError: the network is no UNet2DModel or UNet2DConditionModel.
    """
    classes: dict[str, type[UNet]] = {"UNet2DModel": UNet2DModel, "UNet2DConditionModel": UNet2DConditionModel}
    return classes[require_known(config)]


def stored_scheduler(config: Attributes) -> DDPMScheduler:
    """The DDPMScheduler of a stored config.

    Raises:
        WaypointError: the config belongs to another scheduler.
    """
    require_ancestral(config)
    return cast(DDPMScheduler, DDPMScheduler.from_config(dict(config)))


def ancestral(config: Attributes) -> DDPMScheduler:
    """A DDPMScheduler with the noise schedule and prediction of any scheduler's config.

    A config without ``clip_sample`` belongs to a sampler that does not clip, although DDPMScheduler does by default.

    Raises:
        WaypointError: the config has no variance-preserving noise schedule.
    """
    require_ancestral(config, "ddpm")
    changed = {"clip_sample": False, **config, "_class_name": "DDPMScheduler"}
    return cast(DDPMScheduler, DDPMScheduler.from_config(changed))


def check_conditions(config: Attributes) -> None:
    """Refuse a UNet that needs more than an image, a step, and a class or a caption.

    Raises:
        WaypointError: names the key of its config.
    """
    text = "cross_attention_dim" in config
    for key in MORE_CONDITIONS if text else ("class_embed_type",):
        if config.get(key) is not None:
            instead = "captions are" if text else "num_class_embeds is"
            raise WaypointError(f"{key} {config[key]!r} is not supported; {instead}")


def differences(mine: Attributes, theirs: Attributes) -> list[str]:
    """Keys whose *values* differ between two diffusers configs with defaults filled in, as 'key: a against b'.

    Two UNet configurations with equal shapes can give different outputs (``flip_sin_to_cos``,
    ``freq_shift``, ``norm_eps`` …), and load each other's weights without an error.
    """
    as_json: list[Attributes] = [json.loads(json.dumps(dict(config), default=str)) for config in (mine, theirs)]
    keys = sorted(k for k in as_json[0].keys() | as_json[1].keys() if not k.startswith("_"))
    return [
        f"{k}: {as_json[0].get(k)!r} against {as_json[1].get(k)!r}"
        for k in keys
        if as_json[0].get(k) != as_json[1].get(k)
    ]


def require_same(denoiser: Denoiser, reference: Denoiser, name: str, reference_name: str) -> None:
    """Refuse a checkpoint whose UNet config, scheduler or image shape differs from the reference's.

    Raises:
        WaypointError: lists every key that differs, with both values.
    """
    for part in ("unet", "scheduler"):
        different = differences(getattr(denoiser, part).config, getattr(reference, part).config)
        if different:
            raise WaypointError(
                f"checkpoint {name} and {reference_name} have different {part} configs:\n  " + "\n  ".join(different)
            )


def require_unclipped(denoiser: Denoiser, name: str) -> None:
    """Refuse a model of latents whose scheduler clips them to the range of pixels.

    Raises:
        WaypointError: its scheduler has ``clip_sample``.
    """
    if denoiser.scheduler.config.clip_sample:
        raise WaypointError(f"{name} has a scheduler with clip_sample, which would clip latents; set it to false")


def require_encoders(
    denoiser: Denoiser, name: str, text_width: int | None = None, latent_channels: int | None = None
) -> None:
    """Refuse a model that does not fit the encoders, where there is no data to compare it with.

    Args:
        text_width: width of embedded captions, or None without a text encoder.
        latent_channels: channels of the VAE's latents, or None without a VAE.

    Raises:
        WaypointError: captions have another width or are missing, latents have other channels, or the model has
            no image size or unequal channels.
    """
    config = denoiser.unet.config
    if config.sample_size is None or config.in_channels != config.out_channels:
        raise WaypointError(
            f"{name} takes {config.in_channels} channels of size {config.sample_size} and gives {config.out_channels}; "
            "a size, and as many channels as it takes, are needed"
        )
    if latent_channels not in (None, config.in_channels):
        raise WaypointError(
            f"{name} takes {config.in_channels} channels, but the VAE's latents have {latent_channels}; fit vae"
        )
    wants = config.cross_attention_dim if denoiser.conditioned_by == "encoder_hidden_states" else None
    if wants != text_width:
        there = (
            "there is no text_encoder" if text_width is None else f"text_encoder embeds them in {text_width} numbers"
        )
        needs = "attends to no captions" if wants is None else f"attends to captions (cross_attention_dim {wants})"
        raise WaypointError(f"{name} {needs}, but {there}; fit text_encoder")


def require_fit(
    denoiser: Denoiser,
    shape: Sequence[int],
    labels: NDArray[np.int64] | torch.Tensor | None,
    name: str,
    text_width: int | None = None,
) -> None:
    """Refuse a model that does not take inputs of ``shape`` (C, H, W), or needs conditions that the data lacks.

    Args:
        labels: (n,) class of every image, array or tensor, or None.
        text_width: width of the data's embedded captions, or None.

    Raises:
        WaypointError: the shape differs, labels or captions are missing, a label is too large, or captions have another
            width.
    """
    config, (channels, *size) = denoiser.unet.config, shape
    takes = [config.sample_size] * 2 if isinstance(config.sample_size, int) else config.sample_size
    if takes is None or (config.in_channels, config.out_channels, *takes) != (channels, channels, *size):
        raise WaypointError(
            f"{name} takes {config.in_channels} channels of {takes} pixels and gives {config.out_channels}, "
            f"but the data has {channels} channels of {size}; fit model.unet, or data.size "
            "and data.channels"
        )
    if denoiser.conditioned_by == "encoder_hidden_states":
        wants = config.cross_attention_dim
        if text_width != wants:
            there = "no embedded captions" if text_width is None else f"captions embedded in {text_width} numbers"
            raise WaypointError(
                f"{name} attends to captions (cross_attention_dim {wants}), but the data has {there}; fit text_encoder"
            )
        return
    classes = config.num_class_embeds
    if classes is not None and (labels is None or labels.min() < 0 or labels.max() >= classes):
        there = "no labels" if labels is None else f"labels {int(labels.min())} to {int(labels.max())}"
        raise WaypointError(f"{name} is class-conditional (num_class_embeds {classes}), but the data has {there}")


def target_condition(denoiser: Denoiser, target: Attributes, text: torch.Tensor | None = None) -> torch.Tensor | None:
    """The condition of a target, one row: its class (1,), its embedded prompt (1, token, width), or None.

    Args:
        target: a row with a label or a prompt, or neither. text: the embedded prompt (token, width), or None.

    Raises:
        WaypointError: the model needs a class or a prompt and the target has none, or the other way round.
    """
    for key, by, kind in (("label", "class_labels", "class"), ("prompt", "encoder_hidden_states", "text")):
        wanted = denoiser.conditioned_by == by
        if wanted != (key in target):
            need = f"is {kind}-conditional and needs one" if wanted else f"is not {kind}-conditional"
            raise WaypointError(f"targets: {key}: the generating model {need}")
    if denoiser.conditioned_by is None:
        return None
    return torch.tensor([target["label"]], device=denoiser.device) if text is None else text[None].to(denoiser.device)
