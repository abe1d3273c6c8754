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
from waypoint.science.processes.schedules import require_ancestral
from waypoint.science.random_streams import derive
from waypoint.science.types import Doubles, Integers, UNet
from waypoint.store.artifacts.atomic import share
from waypoint.store.artifacts.checksums import require_intact
from waypoint.store.networks import filling, sizes, training_states, weight_files
from waypoint.store.networks.checkpoint_messages import NO_NETWORK, NO_SCHEDULE
from waypoint.store.networks.filling import Said
from waypoint.store.networks.hub import fetch
from waypoint.store.networks.layouts import Layout, examine
from waypoint.store.networks.typed_diffusers import from_config, load_config, on_device
from waypoint.store.types import Attributes, StrPath

State: TypeAlias = dict[str, Any]  # tensors by name, or their shapes
Class: TypeAlias = type[UNet2DModel] | type[UNet2DConditionModel]
# the class and the configuration of a network, whether values are wanted → its state dict (or shapes), and sentences
Parts: TypeAlias = "tuple[Class, Attributes, Callable[[bool], State], Said]"
Option: TypeAlias = Attributes | str | int | None  # a value of an attribute of ``Taking``

PARTS = ("unet", "scheduler")  # of a pipeline's folder


def build(model: Attributes, seed: int, name: str) -> Denoiser:
    """A freshly initialised denoiser from the config section ``model``; weights from stream (seed, name).

    Raises:
        WaypointError: a configuration that diffusers refuses or Waypoint does not support.
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


def class_of(network: Network) -> Class:
    """The class of diffusers of a kind of network."""
    return getattr(importlib.import_module(f"diffusers.{network.module}"), network.name)


def _network(model: Attributes) -> UNet:
    try:
        return class_of(network_of_new(model["unet"]))(**model["unet"])
    except (TypeError, ValueError, RuntimeError) as error:
        raise WaypointError(f"model.unet: {error}") from error


def save(unet: UNet, scheduler: DDPMScheduler, folder: StrPath) -> None:
    """Write a diffusers pipeline folder, safetensors weights.

    ``DDPMPipeline.from_pretrained`` opens an unconditional model's; a text-conditional one's is opened by
    ``StableDiffusionPipeline`` or ``StableDiffusionXLPipeline``, which is given the experiment's VAE, text encoders and
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


def load(source: StrPath, device: torch.device | str = "cpu", **taking: Option) -> Denoiser:
    """A denoiser in evaluation mode from a pipeline's or a UNet's folder, a state dict, or a hub id.

    Args:
        taking: as of ``Taking``.

    Raises:
        WaypointError: nothing there, damaged, or not supported; the message names ``source``.
    """
    denoiser, _ = take(source, device, **taking)
    return denoiser


def take(source: StrPath, device: torch.device | str = "cpu", **taking: Option) -> tuple[Denoiser, list[str]]:
    """As ``load``, and sentences on what was chosen, to be told: (denoiser, list of str)."""
    return _taken(source, _taking(taking), device)


def outline(source: StrPath, **taking: Option) -> Denoiser:
    """The denoiser that ``load`` would give, on the meta device: its weights are compared by name and shape, not read.

    Raises:
        WaypointError: as ``load``, but for values that are damaged.
    """
    denoiser, _ = outlined(source, **taking)
    return denoiser


def outlined(source: StrPath, **taking: Option) -> tuple[Denoiser, list[str]]:
    """As ``outline``, and sentences on what was chosen, to be told: (denoiser, list of str)."""
    return _taken(source, _taking(taking), None)


@dataclass(frozen=True)
class Taking:
    """How existing models are taken.

    Attributes:
        sampler: "ddpm" takes the noise schedule and the kind of prediction from whichever scheduler is stored, and
            samples ancestrally; None wants a stored DDPMScheduler.
        timestep_spacing: instead of the scheduler's own, if not None.
        weights: "raw" or "ema" where a model has both.
        model: the section ``model`` of the configuration, or None: the network of state dicts, and the schedule of
            networks that have none.
        cells: side of what the network works on, instead of its own, if not None.
        latent: whether that are latents, which are never clipped.
    """

    sampler: str | None = None
    timestep_spacing: str | None = None
    weights: str | None = None
    model: Attributes | None = None
    cells: int | None = None
    latent: bool = False


def _taking(options: Mapping[str, Option]) -> Taking:
    return Taking(**cast(dict[str, Any], options))


def _taken(source: StrPath, taking: Taking, device: torch.device | str | None) -> tuple[Denoiser, list[str]]:
    """A denoiser and what to say about it; without values where ``device`` is None."""
    name, source = str(source), fetch(str(source), parts=PARTS)
    if device is not None and Path(source).is_dir():
        require_intact(source)
    try:
        layout = examine(source, taking.weights)
        scheduler, said = _scheduler_of(layout, taking)
        parts = _network_in(layout, taking)
        if device is not None:
            unet, more = filling.fill(*parts[:2], parts[2](True))
        else:
            unet, state = filling.unfilled(*parts[:2]).eval(), parts[2](False)
            state, more = filling.renamed(unet, state)
            filling.require_filled(unet, state)
        kind_of(unet).check(unet.config)
        resized = sizes.set_size(unet, taking.cells)
    except WaypointError as error:
        raise WaypointError(f"checkpoint {name}: {error}") from error
    except Exception as error:  # each library on the way raises its own kinds
        raise WaypointError(f"checkpoint {name}: cannot be loaded ({error})") from error
    unet = unet if device is None else on_device(unet, device)
    return Denoiser(unet, scheduler), [*layout.said, *said, *parts[3], *more, *resized]


def _network_in(layout: Layout, taking: Taking) -> Parts:
    """Class and configuration of a network, values → its state dict (or shapes), and what to say about them."""
    if layout.network is None:
        file, model = layout.file, taking.model
        assert file is not None and model is not None  # or ``_scheduler_of`` would have refused it
        kind = class_of(network_of_new(model["unet"]))
        (_, said) = training_states.state_in(file, taking.weights, values=False)
        return (
            kind,
            model["unet"],
            lambda values: training_states.state_in(file, taking.weights, values)[0],
            said,
        )
    kind = class_of(network_of(layout.config or {}))
    config, said = filling.known_config(kind, layout.network / "config.json")
    try:
        weights = weight_files.find(layout.network)
    except WaypointError as error:
        raise WaypointError(f"cannot be loaded: {error}") from error

    def state(values: bool) -> State:
        return (weight_files.read if values else weight_files.shapes)(weights.files)

    return kind, config, state, (*said, *filling.variant_said(weights))


def _scheduler_of(layout: Layout, taking: Taking) -> tuple[DDPMScheduler, tuple[str, ...]]:
    """The scheduler of a stored model, and what to say about it."""
    if layout.schedule is None:
        if taking.model is None:
            raise WaypointError(NO_NETWORK if layout.network is None else NO_SCHEDULE)
        return _scheduler(taking.model), ("its noise schedule is model.scheduler of the configuration",)
    stored, said = layout.schedule, ()
    scheduler = ancestral(stored) if taking.sampler == "ddpm" else stored_scheduler(stored)
    if taking.latent and scheduler.config.clip_sample:
        scheduler.register_to_config(clip_sample=False)
        said = ("clip_sample of its scheduler is turned off: latents are not clipped",)
    if taking.timestep_spacing is not None:
        scheduler.register_to_config(timestep_spacing=taking.timestep_spacing)
    check_scheduler(scheduler)
    return scheduler, said


def alpha_bars(folder: StrPath) -> Doubles:
    """ᾱ_t (T,), float64, of the scheduler in a folder that ``save`` wrote, without its network.

    Raises:
        WaypointError: a damaged file, or no DDPMScheduler.
    """
    require_intact(folder)
    try:
        stored = load_config(DDPMScheduler, folder, "scheduler")
    except OSError as error:
        raise WaypointError(f"checkpoint {folder}: its scheduler cannot be read ({error})") from error
    return stored_scheduler(stored).alphas_cumprod.double().numpy()


def stored_scheduler(config: Attributes) -> DDPMScheduler:
    """The DDPMScheduler of a stored config.

    Raises:
        WaypointError: the config is another scheduler's.
    """
    require_ancestral(config)
    return from_config(DDPMScheduler, config)


def ancestral(config: Attributes) -> DDPMScheduler:
    """A DDPMScheduler with the noise schedule and prediction of any scheduler's config.

    A config without ``clip_sample`` is that of a sampler that does not clip; DDPMScheduler's default would. Only what
    ancestral sampling knows is kept.

    Raises:
        WaypointError: the config says nothing of a variance-preserving noise schedule.
    """
    require_ancestral(config, "ddpm")
    known = filling.arguments(DDPMScheduler)
    kept = {key: value for key, value in config.items() if key in known and (key, value) != ("variance_type", None)}
    return from_config(DDPMScheduler, {"clip_sample": False, **kept, "_class_name": "DDPMScheduler"})


def differences(mine: "UNet | DDPMScheduler", theirs: "UNet | DDPMScheduler") -> list[str]:
    """The differences of two networks or two schedulers *by value*, defaults filled in: 'key: a against b'.

    Two UNet configurations with equal shapes can give different outputs (``flip_sin_to_cos``, ``freq_shift``,
    ``norm_eps`` …), and load each other's weights without an error. Only arguments of a network's class can: EMA
    folders and other versions of diffusers keep more in a configuration. Of a scheduler only what ancestral sampling
    keeps can.
    """
    if isinstance(mine, DDPMScheduler) and isinstance(theirs, DDPMScheduler):
        keys = _schedule_keys(mine, theirs)
    else:
        keys = filling.arguments(type(mine)) | filling.arguments(type(theirs))
    a, b = mine.config, theirs.config
    return [
        f"{key}: {a.get(key)!r} against {b.get(key)!r}"
        for key in sorted(keys)
        if not filling.same_value(a.get(key), b.get(key))
    ]


def _schedule_keys(mine: DDPMScheduler, theirs: DDPMScheduler) -> set[str]:
    """Keys of two schedulers that ancestral sampling depends on."""
    keys = {"num_train_timesteps", "prediction_type", "timestep_spacing", "clip_sample", "variance_type"}
    if "leading" in (mine.config.timestep_spacing, theirs.config.timestep_spacing):
        keys.add("steps_offset")
    if mine.config.clip_sample and theirs.config.clip_sample:
        keys.add("clip_sample_range")
    if mine.betas.shape != theirs.betas.shape or not torch.allclose(mine.betas, theirs.betas, rtol=1e-5, atol=0):
        keys |= {"beta_schedule", "beta_start", "beta_end", "trained_betas", "rescale_betas_zero_snr"}
    return keys


def require_same(denoiser: Denoiser, reference: Denoiser, name: str, reference_name: str) -> None:
    """Refuse a checkpoint whose UNet config, scheduler or image shape is not the reference's.

    Raises:
        WaypointError: lists every key that differs, with both values.
    """
    for part in ("unet", "scheduler"):
        found = differences(getattr(denoiser, part), getattr(reference, part))
        if found:
            raise WaypointError(
                f"checkpoint {name} and {reference_name} have different {part} configs:\n  " + "\n  ".join(found)
            )


def adopt_grid(denoiser: Denoiser, reference: Denoiser, reference_name: str) -> list[str]:
    """Lay a model's sampling grid as the reference's: what another sampler's grid was is no property of a model.

    Returns:
        What to say about it, a list of str.
    """
    mine, theirs = denoiser.scheduler.config, reference.scheduler.config
    keys = ("timestep_spacing", "steps_offset")
    if all(mine[key] == theirs[key] for key in keys):
        return []
    before = " and ".join(f"{key} {mine[key]!r}" for key in keys)
    denoiser.scheduler.register_to_config(**{key: theirs[key] for key in keys})
    after = " and ".join(f"{key} {theirs[key]!r}" for key in keys)
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
    """Refuse a model that the encoders do not fit, where there is no data to compare it with.

    Args:
        text_width: width of embedded captions, or None without a text encoder.
        latent_channels: channels of the VAE's latents, or None without a VAE.

    Raises:
        WaypointError: captions of another width, or none; other latents; no image size; unequal channels.
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
        found = (
            "there is no text_encoder" if text_width is None else f"text_encoder embeds them in {text_width} numbers"
        )
        needs = "attends to no captions" if wants is None else f"attends to captions (cross_attention_dim {wants})"
        raise WaypointError(f"{name} {needs}, but {found}; fit text_encoder")


def require_fit(
    denoiser: Denoiser,
    shape: Sequence[int],
    labels: torch.Tensor | Integers | None,
    name: str,
    text_width: int | None = None,
) -> None:
    """Refuse a model that does not take inputs of ``shape`` (C, H, W), or conditions that the data does not have.

    Args:
        labels: (n,) class of every image, array or tensor, or None.
        text_width: width of the data's embedded captions, or None.

    Raises:
        WaypointError: another shape, no labels, classes that the model does not have, no captions, or of another width.
    """
    config, (channels, *size) = denoiser.unet.config, shape
    takes = [config.sample_size] * 2 if isinstance(config.sample_size, int) else config.sample_size
    if takes is None or (config.in_channels, config.out_channels, *takes) != (channels, channels, *size):
        raise WaypointError(
            f"{name} takes {config.in_channels} channels of {takes} pixels and gives {config.out_channels}, "
            f"but the data has {channels} channels of {size}; fit model.unet, or data.size "
            "and data.channels. Of an existing model that works at other sizes too, sampling.size says which"
        )
    if denoiser.conditioned_by == "encoder_hidden_states":
        wants = config.cross_attention_dim
        if text_width != wants:
            found = "no embedded captions" if text_width is None else f"captions embedded in {text_width} numbers"
            raise WaypointError(
                f"{name} attends to captions (cross_attention_dim {wants}), but the data has {found}; fit text_encoder"
            )
        return
    classes = config.num_class_embeds
    if classes is not None and (labels is None or labels.min() < 0 or labels.max() >= classes):
        found = "no labels" if labels is None else f"labels {int(labels.min())} to {int(labels.max())}"
        raise WaypointError(f"{name} is class-conditional (num_class_embeds {classes}), but the data has {found}")


def target_condition(denoiser: Denoiser, target: Attributes, text: torch.Tensor | None = None) -> torch.Tensor | None:
    """The condition of a target, one row: its class (1,), its embedded prompt (1, token, width), or None.

    Args:
        target: a row with a label or a prompt, or neither. text: the embedded prompt (token, width), or None.

    Raises:
        WaypointError: the model wants a class or a prompt and there is none, or the other way round.
    """
    for key, by, kind in (("label", "class_labels", "class"), ("prompt", "encoder_hidden_states", "text")):
        wanted = denoiser.conditioned_by == by
        if wanted != (key in target):
            need = f"is {kind}-conditional and needs one" if wanted else f"is not {kind}-conditional"
            raise WaypointError(f"targets: {key}: the generating model {need}")
    if denoiser.conditioned_by is None:
        return None
    return torch.tensor([target["label"]], device=denoiser.device) if text is None else text[None].to(denoiser.device)
