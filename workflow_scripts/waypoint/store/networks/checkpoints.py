"""Diffusers folders: build, save, load and check models by value, not only by shape."""

# diffusers is partly untyped; it declares a configuration, whose keys are its attributes, as a dict
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportAttributeAccessIssue=false

import importlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, cast

import torch

from waypoint.errors import WaypointError
from waypoint.patches.lean_diffusers import (
    DDPMScheduler,
    UNet2DConditionModel,
    UNet2DModel,
    __version__,
)
from waypoint.science.networks.known import network_of, network_of_new
from waypoint.science.networks.network import Network
from waypoint.science.networks.unet import kind_of
from waypoint.science.processes.ddpm import Denoiser, check_scheduler
from waypoint.science.processes.schedules import clips, require_ancestral
from waypoint.science.random_streams import derive
from waypoint.science.types import Doubles, Integers, UNet
from waypoint.store.artifacts.atomic import share
from waypoint.store.artifacts.checksums import require_intact
from waypoint.store.networks import filling, sizes, training_states, weight_files
from waypoint.store.networks.checkpoint_messages import NO_NETWORK, NO_SCHEDULE
from waypoint.store.networks.filling import Notes
from waypoint.store.networks.hub import fetch
from waypoint.store.networks.layouts import Layout, examine
from waypoint.store.networks.typed_diffusers import from_config, load_config, on_device
from waypoint.store.types import Attributes, StrPath

State: TypeAlias = dict[str, Any]  # tensors by name, or their shapes
Class: TypeAlias = type[UNet2DModel] | type[UNet2DConditionModel]
# class and configuration of a network, a function that reads its state (or shapes, given False), and notes
Parts: TypeAlias = "tuple[Class, Attributes, Callable[[bool], State], Notes]"
Option: TypeAlias = Attributes | str | int | None  # an attribute of ``LoadOptions``

PARTS = ("unet", "scheduler")  # of a pipeline's folder


def build(model: Attributes, seed: int, name: str) -> Denoiser:
    """Build a denoiser from the config section ``model``, with weights from the random stream (seed, name).

    Raises:
        WaypointError: diffusers refuses the configuration, or Waypoint does not support it.
    """
    scheduler = _scheduler(model)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(seed, "initial weights", name))
        return _fitting(_network(model), scheduler)


def outline_of(model: Attributes) -> Denoiser:
    """Build a denoiser from the config section ``model`` on the meta device: its configuration and shapes, no values.

    Raises:
        WaypointError: as ``build``.
    """
    scheduler = _scheduler(model)
    with torch.device("meta"):
        return _fitting(_network(model), scheduler)


def _fitting(unet: UNet, scheduler: DDPMScheduler) -> Denoiser:
    """Return the denoiser of the config section ``model``."""
    try:
        sizes.require_divisible(unet, "sample_size")
        _require_steps(unet, scheduler)
    except WaypointError as error:
        raise WaypointError(f"model.unet.{error}") from error
    return Denoiser(unet, scheduler)


def _require_steps(unet: UNet, scheduler: DDPMScheduler) -> None:
    """Refuse a network with fewer learned embeddings of time than the schedule has steps."""
    known, steps = unet.config.get("num_train_timesteps"), scheduler.config.num_train_timesteps
    if unet.config.get("time_embedding_type") == "learned" and (known or 0) < steps:
        raise WaypointError(
            f"num_train_timesteps: the network has {known} learned embeddings of time (time_embedding_type: learned), "
            f"but its schedule has {steps} steps; give the schedule that it was trained with"
        )


def _scheduler(model: Attributes) -> DDPMScheduler:
    scheduler = DDPMScheduler(**model["scheduler"])
    check_scheduler(scheduler)
    return scheduler


def class_of(network: Network) -> Class:
    """Return the diffusers class of a kind of network."""
    return getattr(importlib.import_module(f"diffusers.{network.module}"), network.name)


def _network(model: Attributes) -> UNet:
    try:
        return class_of(network_of_new(model["unet"]))(**model["unet"])
    except (TypeError, ValueError, RuntimeError) as error:
        raise WaypointError(f"model.unet: {error}") from error


def save(unet: UNet, scheduler: DDPMScheduler, folder: StrPath) -> None:
    """Write a diffusers pipeline folder, with safetensors weights.

    ``DDPMPipeline.from_pretrained`` opens that of an unconditional model. ``StableDiffusionPipeline`` or
    ``StableDiffusionXLPipeline`` opens that of a text-conditional one, given the experiment's VAE, text encoders and
    tokenizers.
    """
    unet.save_pretrained(Path(folder, "unet"), safe_serialization=True)
    share(Path(folder, "unet"))
    scheduler.save_pretrained(Path(folder, "scheduler"))
    index = {
        "_class_name": kind_of(unet).pipeline(unet.config),
        "_diffusers_version": __version__,
        "scheduler": ["diffusers", type(scheduler).__name__],
        "unet": ["diffusers", type(unet).__name__],
    }
    Path(folder, "model_index.json").write_text(json.dumps(index, indent=2) + "\n")


def load(source: StrPath, device: torch.device | str = "cpu", **options: Option) -> Denoiser:
    """Load a denoiser in evaluation mode from a pipeline's or a UNet's folder, a state dict, or a hub id.

    Args:
        options: attributes of ``LoadOptions``.

    Raises:
        WaypointError: there is no model, or it is damaged or not supported; names ``source``.
    """
    denoiser, _ = take(source, device, **options)
    return denoiser


def take(source: StrPath, device: torch.device | str = "cpu", **options: Option) -> tuple[Denoiser, list[str]]:
    """Do as ``load``, but return (denoiser, notes on what was chosen as a list of str)."""
    return _load(source, _load_options(options), device)


def outline(source: StrPath, **options: Option) -> Denoiser:
    """Return ``load``'s denoiser on the meta device: its weights are compared by name and shape, but not read.

    Raises:
        WaypointError: as ``load``, except for damaged values.
    """
    denoiser, _ = outlined(source, **options)
    return denoiser


def outlined(source: StrPath, **options: Option) -> tuple[Denoiser, list[str]]:
    """Do as ``outline``, but return (denoiser, notes on what was chosen as a list of str)."""
    return _load(source, _load_options(options), None)


@dataclass(frozen=True)
class LoadOptions:
    """How existing models are loaded.

    Attributes:
        sampler: "ddpm" takes the noise schedule and the kind of prediction from whichever scheduler is stored, and
            samples ancestrally; None requires a stored DDPMScheduler.
        timestep_spacing: replaces the scheduler's own, if not None.
        weights: "raw" or "ema", for models that have both.
        model: the section ``model`` of the configuration, or None: the network of state dicts, and the schedule of
            networks without one.
        cells: side of the network's inputs, replacing its own, if not None.
        latent: whether the inputs are latents, which are never clipped.
    """

    sampler: str | None = None
    timestep_spacing: str | None = None
    weights: str | None = None
    model: Attributes | None = None
    cells: int | None = None
    latent: bool = False


def _load_options(options: Mapping[str, Option]) -> LoadOptions:
    return LoadOptions(**cast(dict[str, Any], options))


def _load(source: StrPath, options: LoadOptions, device: torch.device | str | None) -> tuple[Denoiser, list[str]]:
    """Return a denoiser, without values if ``device`` is None, and notes on it."""
    name, source = str(source), fetch(str(source), parts=PARTS)
    if device is not None and Path(source).is_dir():
        require_intact(source)
    try:
        layout = examine(source, options.weights)
        scheduler, notes = _scheduler_of(layout, options)
        parts = _network_in(layout, options)
        if device is not None:
            unet, fill_notes = filling.fill(*parts[:2], parts[2](True))
        else:
            unet, state = filling.build_unfilled(*parts[:2]).eval(), parts[2](False)
            state, fill_notes = filling.rename(unet, state)
            filling.require_filled(unet, state)
        kind_of(unet).check(unet.config)
        resized = sizes.set_size(unet, options.cells)
        sizes.require_divisible(unet, "sample_size of its unet" if options.cells is None else "sampling.size")
        _require_steps(unet, scheduler)
    except WaypointError as error:
        raise WaypointError(f"checkpoint {name}: {error}") from error
    except Exception as error:  # every library involved raises exceptions of its own
        raise WaypointError(f"checkpoint {name}: cannot be loaded ({error})") from error
    unet = unet if device is None else on_device(unet, device)
    return Denoiser(unet, scheduler), [*layout.notes, *notes, *parts[3], *fill_notes, *resized]


def _network_in(layout: Layout, options: LoadOptions) -> Parts:
    """Return the ``Parts`` of a stored network."""
    if layout.network is None:
        file, model = layout.file, options.model
        assert file is not None and model is not None  # otherwise ``_scheduler_of`` has refused it
        kind = class_of(network_of_new(model["unet"]))
        (_, notes) = training_states.state_in(file, options.weights, values=False)
        return (
            kind,
            model["unet"],
            lambda values: training_states.state_in(file, options.weights, values)[0],
            notes,
        )
    kind = class_of(network_of(layout.config or {}))
    config, notes = filling.known_config(kind, layout.network / "config.json")
    try:
        weights = weight_files.find(layout.network)
    except WaypointError as error:
        raise WaypointError(f"cannot be loaded: {error}") from error

    def state(values: bool) -> State:
        return (weight_files.read if values else weight_files.shapes)(weights.files)

    return kind, config, state, (*notes, *filling.variant_notes(weights))


def _scheduler_of(layout: Layout, options: LoadOptions) -> tuple[DDPMScheduler, tuple[str, ...]]:
    """Return the scheduler of a stored model, and notes on it."""
    if layout.schedule is None:
        if options.model is None:
            raise WaypointError(NO_NETWORK if layout.network is None else NO_SCHEDULE)
        return _scheduler(options.model), ("its noise schedule is model.scheduler of the configuration",)
    stored, notes = layout.schedule, ()
    scheduler = ancestral(stored) if options.sampler == "ddpm" else stored_scheduler(stored)
    if options.latent and scheduler.config.clip_sample:
        scheduler.register_to_config(clip_sample=False)
        notes = ("clip_sample of its scheduler is turned off: latents are not clipped",)
    if options.timestep_spacing is not None:
        scheduler.register_to_config(timestep_spacing=options.timestep_spacing)
    check_scheduler(scheduler)
    return scheduler, notes


def alpha_bars(folder: StrPath) -> Doubles:
    """Read ᾱ_t (T,), float64, of the scheduler in a folder that ``save`` wrote, without the network.

    Raises:
        WaypointError: a file is damaged, or there is no DDPMScheduler.
    """
    require_intact(folder)
    try:
        stored = load_config(DDPMScheduler, folder, "scheduler")
    except OSError as error:
        raise WaypointError(f"checkpoint {folder}: its scheduler cannot be read ({error})") from error
    return stored_scheduler(stored).alphas_cumprod.double().numpy()


def stored_scheduler(config: Attributes) -> DDPMScheduler:
    """Return the DDPMScheduler of a stored config.

    Raises:
        WaypointError: the config is another scheduler's.
    """
    require_ancestral(config)
    return from_config(DDPMScheduler, config)


def ancestral(config: Attributes) -> DDPMScheduler:
    """Return a DDPMScheduler with the noise schedule and prediction of any scheduler's config.

    A config without ``clip_sample`` clips if the scheduler that it names does so by default. Keys that ancestral
    sampling does not know are dropped.

    Raises:
        WaypointError: the config has no variance-preserving noise schedule.
    """
    require_ancestral(config, "ddpm")
    known_keys = filling.arguments(DDPMScheduler)
    settings = {
        key: value for key, value in config.items() if key in known_keys and (key, value) != ("variance_type", None)
    }
    return from_config(DDPMScheduler, {**settings, "clip_sample": clips(config), "_class_name": "DDPMScheduler"})


def differences(first: "UNet | DDPMScheduler", second: "UNet | DDPMScheduler") -> list[str]:
    """Return the differences of two networks or two schedulers *by value*, with defaults: 'key: a against b'.

    Two UNets whose configurations give equal shapes can load each other's weights without an error and still differ in
    their outputs (``flip_sin_to_cos``, ``freq_shift``, ``norm_eps`` …). Only arguments of a network's class matter: EMA
    folders and other versions of diffusers store further keys. Of a scheduler, what ancestral sampling uses matters.
    """
    if isinstance(first, DDPMScheduler) and isinstance(second, DDPMScheduler):
        keys = _schedule_keys(first, second)
    else:
        keys = filling.arguments(type(first)) | filling.arguments(type(second))
    a, b = first.config, second.config
    return [
        f"{key}: {a.get(key)!r} against {b.get(key)!r}"
        for key in sorted(keys)
        if not filling.same_value(a.get(key), b.get(key))
    ]


def _schedule_keys(first: DDPMScheduler, second: DDPMScheduler) -> set[str]:
    """Return the keys of two schedulers on which ancestral sampling depends."""
    keys = {"num_train_timesteps", "prediction_type", "timestep_spacing", "clip_sample", "variance_type"}
    if "leading" in (first.config.timestep_spacing, second.config.timestep_spacing):
        keys.add("steps_offset")
    if first.config.clip_sample and second.config.clip_sample:
        keys.add("clip_sample_range")
    if first.betas.shape != second.betas.shape or not torch.allclose(first.betas, second.betas, rtol=1e-5, atol=0):
        keys |= {"beta_schedule", "beta_start", "beta_end", "trained_betas", "rescale_betas_zero_snr"}
    return keys


def require_same(denoiser: Denoiser, reference: Denoiser, name: str, reference_name: str) -> None:
    """Refuse a checkpoint whose UNet config, scheduler or image shape is not the reference's.

    Raises:
        WaypointError: lists every key that differs, with both values.
    """
    for part in ("unet", "scheduler"):
        differing = differences(getattr(denoiser, part), getattr(reference, part))
        if differing:
            raise WaypointError(
                f"checkpoint {name} and {reference_name} have different {part} configs:\n  " + "\n  ".join(differing)
            )


def adopt_grid(denoiser: Denoiser, reference: Denoiser, reference_name: str) -> list[str]:
    """Give a model the reference's sampling grid: the grid of another sampler is no property of the model.

    Returns:
        Notes on the change, a list of str.
    """
    config, reference_config = denoiser.scheduler.config, reference.scheduler.config
    keys = ("timestep_spacing", "steps_offset")
    if all(config[key] == reference_config[key] for key in keys):
        return []
    before = " and ".join(f"{key} {config[key]!r}" for key in keys)
    denoiser.scheduler.register_to_config(**{key: reference_config[key] for key in keys})
    after = " and ".join(f"{key} {reference_config[key]!r}" for key in keys)
    return [f"its sampling grid is laid as that of {reference_name}: {after}, not {before}"]


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
    """Refuse a model that the encoders do not fit, for experiments without data to compare it with.

    Args:
        text_width: width of embedded captions, or None without a text encoder.
        latent_channels: channels of the VAE's latents, or None without a VAE.

    Raises:
        WaypointError: other widths of captions or channels of latents, no image size, or unequal channels.
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
    width = config.cross_attention_dim if denoiser.conditioned_by == "encoder_hidden_states" else None
    if not filling.same_value(width, text_width):  # one for every level, or one for all
        actual = (
            "there is no text_encoder" if text_width is None else f"text_encoder embeds them in {text_width} numbers"
        )
        requirement = (
            "attends to no captions" if width is None else f"attends to captions (cross_attention_dim {width})"
        )
        raise WaypointError(f"{name} {requirement}, but {actual}; fit text_encoder")


def require_fit(
    denoiser: Denoiser,
    shape: Sequence[int],
    labels: torch.Tensor | Integers | None,
    name: str,
    text_width: int | None = None,
) -> None:
    """Refuse a model that does not take inputs of ``shape`` (C, H, W), or needs conditions that the data lacks.

    Args:
        labels: (n,) class of every image, array or tensor, or None.
        text_width: width of the data's embedded captions, or None.

    Raises:
        WaypointError: another shape, missing labels, unknown classes, or captions missing or of another width.
    """
    config, (channels, *size) = denoiser.unet.config, shape
    model_size = [config.sample_size] * 2 if isinstance(config.sample_size, int) else config.sample_size
    if model_size is None or (config.in_channels, config.out_channels, *model_size) != (channels, channels, *size):
        raise WaypointError(
            f"{name} takes {config.in_channels} channels of {model_size} pixels and gives {config.out_channels}, "
            f"but the data has {channels} channels of {size}; fit model.unet, or data.size "
            "and data.channels. For an existing model that works at several sizes, set sampling.size"
        )
    if denoiser.conditioned_by == "encoder_hidden_states":
        width = config.cross_attention_dim
        if not filling.same_value(width, text_width):
            actual = "no embedded captions" if text_width is None else f"captions embedded in {text_width} numbers"
            raise WaypointError(
                f"{name} attends to captions (cross_attention_dim {width}), but the data has {actual}; fit text_encoder"
            )
        return
    classes = config.num_class_embeds
    if classes is not None and (labels is None or labels.min() < 0 or labels.max() >= classes):
        actual = "no labels" if labels is None else f"labels {int(labels.min())} to {int(labels.max())}"
        raise WaypointError(f"{name} is class-conditional (num_class_embeds {classes}), but the data has {actual}")


def target_condition(denoiser: Denoiser, target: Attributes, text: torch.Tensor | None = None) -> torch.Tensor | None:
    """Return the condition of a target as one row: its class (1,), its embedded prompt (1, token, width), or None.

    Args:
        target: a row with a label or a prompt, or neither. text: the embedded prompt (token, width), or None.

    Raises:
        WaypointError: the model needs a class or a prompt that the target lacks, or the other way round.
    """
    for key, by, kind in (("label", "class_labels", "class"), ("prompt", "encoder_hidden_states", "text")):
        needed = denoiser.conditioned_by == by
        if needed != (key in target):
            need = f"is {kind}-conditional and needs one" if needed else f"is not {kind}-conditional"
            raise WaypointError(f"targets: {key}: the generating model {need}")
    if denoiser.conditioned_by is None:
        return None
    return torch.tensor([target["label"]], device=denoiser.device) if text is None else text[None].to(denoiser.device)
