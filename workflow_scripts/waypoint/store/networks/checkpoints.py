"""Diffusers folders: build, save, load and check models by value, not only by shape."""

import json
from pathlib import Path

import torch
from safetensors import safe_open

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

# of UNet2DConditionModel: what it would be given besides a caption, which Waypoint does not have
MORE_CONDITIONS = (
    "class_embed_type",
    "num_class_embeds",
    "addition_embed_type",
    "encoder_hid_dim_type",
    "time_cond_proj_dim",
)


PARTS = ("unet", "scheduler")  # of a pipeline's folder


def build(model, seed, name):
    """A freshly initialised denoiser from the config section ``model``; weights from stream (seed, name).

    Raises:
        WaypointError: a configuration that diffusers refuses or Waypoint does not support.
    """
    scheduler = _scheduler(model)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(seed, "initial weights", name))
        return Denoiser(_network(model), scheduler)


def outline_of(model):
    """A denoiser of the config section ``model`` on the meta device: its configuration and shapes, without values.

    Raises:
        WaypointError: as ``build``.
    """
    scheduler = _scheduler(model)
    with torch.device("meta"):
        return Denoiser(_network(model), scheduler)


def _scheduler(model):
    scheduler = DDPMScheduler(**model["scheduler"])
    check_scheduler(scheduler)
    return scheduler


def _network(model):
    kind = UNet2DConditionModel if "cross_attention_dim" in model["unet"] else UNet2DModel
    try:
        return kind(**model["unet"])
    except (TypeError, ValueError, RuntimeError) as error:
        raise WaypointError(f"model.unet: {error}") from error


def save(unet, scheduler, folder):
    """Write a diffusers pipeline folder, safetensors weights.

    ``DDPMPipeline.from_pretrained`` opens an unconditional model's; a text-conditional one's is opened by
    ``StableDiffusionPipeline``, which is given the experiment's VAE, text encoder and tokenizer.
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


def load(source, device="cpu", sampler=None, timestep_spacing=None):
    """A denoiser in evaluation mode from a pipeline folder, a bare UNet folder with a scheduler, or a hub id.

    Args:
        sampler: "ddpm" takes the noise schedule and the kind of prediction from whichever scheduler is stored, and
            samples ancestrally; None wants a stored DDPMScheduler.
        timestep_spacing: instead of the scheduler's own, if not None.

    Raises:
        WaypointError: nothing there, damaged, or not supported; the message names ``source``.
    """
    name, source = str(source), fetch(str(source), parts=PARTS)
    require_intact(source)
    kind, scheduler = _described(name, source, sampler, timestep_spacing)
    try:
        unet, info = kind.from_pretrained(
            source,
            subfolder=_part(source, "unet"),
            local_files_only=True,
            low_cpu_mem_usage=False,
            output_loading_info=True,
        )
    except Exception as error:  # each library on the way raises its own kinds
        raise WaypointError(f"checkpoint {name}: cannot be loaded ({error})") from error
    _require_filled(name, [*info["missing_keys"], *info["unexpected_keys"]])
    return _supported(name, Denoiser(unet.eval().to(device), scheduler))


def outline(source, sampler=None, timestep_spacing=None):
    """The denoiser that ``load`` would give, on the meta device: its weights are compared by name and shape, not read.

    Raises:
        WaypointError: as ``load``, but for values that are damaged.
    """
    name, source = str(source), fetch(str(source), parts=PARTS)
    kind, scheduler = _described(name, source, sampler, timestep_spacing)
    folder = Path(source, _part(source, "unet"))
    try:
        with torch.device("meta"):
            unet = kind.from_config(kind.load_config(folder, local_files_only=True))
        stored = stored_shapes(folder)
        unet._fix_state_dict_keys_on_load(stored)  # names of attention in models of old versions of diffusers
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


def stored_shapes(folder):
    """{name: shape} of the weights in a network's folder, without reading them.

    Raises:
        WaypointError: there are none.
    """
    index, file, pickled = (
        Path(folder, name) for name in (SAFE_WEIGHTS_INDEX_NAME, SAFETENSORS_WEIGHTS_NAME, WEIGHTS_NAME)
    )
    if not index.is_file() and not file.is_file() and pickled.is_file():
        # the meta device: storages are not read
        return {
            key: tensor.shape for key, tensor in torch.load(pickled, map_location="meta", weights_only=True).items()
        }
    files = [file]
    if index.is_file():
        files = [Path(folder, name) for name in sorted(set(json.loads(index.read_text())["weight_map"].values()))]
    shapes = {}
    for file in files:
        if not file.is_file():
            raise WaypointError(f"{file} is missing")
        with safe_open(file, "pt") as weights:
            shapes |= {key: torch.Size(weights.get_slice(key).get_shape()) for key in weights.keys()}
    return shapes


def _part(source, name):
    """The folder of a pipeline that a part lies in, or "" where all lie side by side."""
    return name if Path(source, name).is_dir() else ""


def _described(name, source, sampler, timestep_spacing):
    """The class of a stored network, and its scheduler."""
    try:
        kind = unet_class(UNet2DModel.load_config(source, subfolder=_part(source, "unet"), local_files_only=True))
        stored = DDPMScheduler.load_config(source, subfolder=_part(source, "scheduler"), local_files_only=True)
        scheduler = ancestral(stored) if sampler == "ddpm" else stored_scheduler(stored)
        if timestep_spacing is not None:
            scheduler.register_to_config(timestep_spacing=timestep_spacing)
        check_scheduler(scheduler)
        return kind, scheduler
    except WaypointError as error:
        raise WaypointError(f"checkpoint {name}: {error}") from error
    except Exception as error:  # each library on the way raises its own kinds
        raise WaypointError(f"checkpoint {name}: cannot be loaded ({error})") from error


def _require_filled(name, amiss):
    """Refuse weights that diffusers would fill in at random, or leave out, with a warning."""
    if amiss:
        raise WaypointError(f"checkpoint {name}: its weights do not fill its config exactly: {', '.join(amiss[:3])}")


def _supported(name, denoiser):
    try:
        check_conditions(denoiser.unet.config)
    except WaypointError as error:
        raise WaypointError(f"checkpoint {name}: {error}") from error
    return denoiser


def alpha_bars(folder):
    """ᾱ_t (T,), float64, of the scheduler in a folder that ``save`` wrote, without its network.

    Raises:
        WaypointError: a damaged file, or no DDPMScheduler.
    """
    require_intact(folder)
    try:
        stored = DDPMScheduler.load_config(folder, subfolder="scheduler", local_files_only=True)
    except OSError as error:
        raise WaypointError(f"checkpoint {folder}: its scheduler cannot be read ({error})") from error
    return stored_scheduler(stored).alphas_cumprod.double().numpy()


def unet_class(config):
    """The diffusers class of a stored UNet's config.

    Raises:
        WaypointError: another network than a UNet2DModel or UNet2DConditionModel.
    """
    name = require_known(config)
    return {"UNet2DModel": UNet2DModel, "UNet2DConditionModel": UNet2DConditionModel}[name]


def stored_scheduler(config):
    """The DDPMScheduler of a stored config.

    Raises:
        WaypointError: the config is another scheduler's.
    """
    require_ancestral(config)
    return DDPMScheduler.from_config(config)


def ancestral(config):
    """A DDPMScheduler with the noise schedule and prediction of any scheduler's config.

    A config without ``clip_sample`` is that of a sampler that does not clip; DDPMScheduler's default would.

    Raises:
        WaypointError: the config says nothing of a variance-preserving noise schedule.
    """
    require_ancestral(config, "ddpm")
    return DDPMScheduler.from_config({"clip_sample": False, **config, "_class_name": "DDPMScheduler"})


def check_conditions(config):
    """Refuse a UNet that wants more than an image, a step, and a class or a caption.

    Raises:
        WaypointError: names the key of its config.
    """
    text = "cross_attention_dim" in config
    for key in MORE_CONDITIONS if text else ("class_embed_type",):
        if config.get(key) is not None:
            instead = "captions are" if text else "num_class_embeds is"
            raise WaypointError(f"{key} {config[key]!r} is not supported; {instead}")


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


def require_unclipped(denoiser, name):
    """Refuse a model of latents whose scheduler clips them to the range of pixels.

    Raises:
        WaypointError: its scheduler has ``clip_sample``.
    """
    if denoiser.scheduler.config.clip_sample:
        raise WaypointError(f"{name} has a scheduler with clip_sample, which would clip latents; set it to false")


def require_encoders(denoiser, name, text_width=None, latent_channels=None):
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


def require_fit(denoiser, shape, labels, name, text_width=None):
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
            "and data.channels"
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


def target_condition(denoiser, target, text=None):
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
