"""Checks of the settings of models, VAE and text encoder, and what planning can know about existing ones."""

from pathlib import Path

from waypoint.errors import WaypointError
from waypoint.science.networks.known import NETWORKS, network_of_new
from waypoint.science.processes.schedules import check_schedule
from waypoint.science.timesteps import sampling_grid
from waypoint.store.networks.packages import PREFIX
from waypoint.store.networks.places import local_place
from waypoint.workflow.config.adapters import check_adapters
from waypoint.workflow.config.class_guidance import check_class_guidance
from waypoint.workflow.config.evaluated import number_of_checkpoints
from waypoint.workflow.config.given_models import check_given, known_cells, stored_config
from waypoint.workflow.types import Config


def check_checkpoints(config):
    section = config["checkpoints"]
    if sum(key in section for key in ("count", "paths", "adapters")) != 1:
        raise WaypointError(
            "config: checkpoints needs either count (train that many) or paths (use existing ones); of adapters of a "
            "base either count or adapters"
        )
    check_adapters(config)
    if "count" in section and "base" not in section and config["model"] is None:
        raise WaypointError("config: model is missing; training needs model.unet")
    check_given(config)


def check_model(config):
    if config["model"] is None:
        return
    data = config["data"] or {}
    unet, size = config["model"]["unet"], data.get("size")
    _check_kind(config, unet)
    try:
        check_schedule(config["model"]["scheduler"])
    except WaypointError as error:
        raise WaypointError(f"config: model.{error}") from error
    if unet["in_channels"] != unet["out_channels"]:
        raise WaypointError("config: model.unet: in_channels and out_channels must be equal: both are the image's")
    groups = unet.get("norm_num_groups", 32)  # diffusers' default
    if any(channels % groups for channels in unet["block_out_channels"]):
        raise WaypointError(f"config: model.unet.norm_num_groups: {groups} does not divide every block_out_channels")
    levels = {len(unet[key]) for key in ("block_out_channels", "down_block_types", "up_block_types")}
    if len(levels) > 1:
        raise WaypointError(
            "config: model.unet: block_out_channels, down_block_types and up_block_types differ in length"
        )
    latent = config["vae"] is not None  # the VAE determines the network's inputs
    if size is not None and not latent and unet["sample_size"] not in (size, [size, size]):
        raise WaypointError(f"config: data.size: {size} is not model.unet.sample_size {unet['sample_size']}")
    channels = data.get("channels")
    if channels is not None and not latent and unet["in_channels"] != channels:
        raise WaypointError(
            f"config: data.channels: {channels}, but model.unet.in_channels is {unet['in_channels']}; make them alike"
        )
    n, d = data.get("subset"), config["projection"]["dim"]
    n = len(n) if isinstance(n, list) else n
    if config["projection"]["kind"] == "none":  # d = p, which only the job knows
        return
    if config["kernel"]["damping"] == 0 and n is not None and n < d:
        raise WaypointError(
            f"config: kernel.damping: 0 needs at least projection.dim ({d}) training images; data.subset leaves {n}"
        )


def _check_kind(config, unet):
    """Refuse keys and blocks of another kind of network, and captions for a network that takes none."""
    network = network_of_new(unet)
    for other in (kind for kind in NETWORKS.values() if kind is not network):
        for key in sorted(unet.keys() & other.keys):
            raise WaypointError(f"config: model.unet.{key} belongs to a network {other.qualifier}")
        for key in ("down_block_types", "mid_block_type", "up_block_types"):
            blocks = [unet[key]] if isinstance(unet.get(key), str) else unet.get(key) or []
            for block in other.blocks.intersection(blocks):
                raise WaypointError(f"config: model.unet.{key}: {block} is not a block of a {network.label}")
    text = network.conditioned_by(unet) == "encoder_hidden_states"
    if text and config["text_encoder"] is None:
        raise WaypointError("config: text_encoder is missing; model.unet.cross_attention_dim attends to its vectors")
    if config["text_encoder"] is not None and not text:
        raise WaypointError("config: text_encoder: model.unet has no cross_attention_dim, so it sees no captions")


def check_captions(config):
    """Refuse guidance and settings of captions if there are no captions."""
    if config["text_encoder"] is not None:
        _check_folder(config["text_encoder"]["path"], "text_encoder.path")
        if config["training"]["label_dropout"]:
            raise WaypointError("config: training.label_dropout is for models of classes; use training.caption_dropout")
        if config["data"] and config["data"]["flip"]:
            raise WaypointError("config: data.flip: a flipped image may not be what its caption says; set it to false")
        return
    if config["training"]["caption_dropout"]:
        share = config["training"]["caption_dropout"]
        raise WaypointError(f"config: training.caption_dropout: {share} needs captions: the section text_encoder")
    check_class_guidance(config, known_of_model)


def check_vae(config):
    if config["vae"] is None:
        return
    if ("path" in config["vae"]) == ("train" in config["vae"]):
        raise WaypointError("config: vae needs either path (use an existing one) or train (train one on the images)")
    if config["data"] and config["data"]["flip"]:
        raise WaypointError(
            "config: data.flip: images are encoded once, and a flipped latent is not the latent of the flipped image; "
            "set it to false"
        )
    if "path" in config["vae"]:
        _check_folder(config["vae"]["path"], "vae.path")
        return
    prefix, autoencoder, size = (
        "config: vae.train.autoencoder",
        config["vae"]["train"]["autoencoder"],
        config["data"]["size"],
    )
    if len({len(autoencoder[key]) for key in ("block_out_channels", "down_block_types", "up_block_types")}) > 1:
        raise WaypointError(f"{prefix}: block_out_channels, down_block_types and up_block_types differ in length")
    groups = autoencoder.get("norm_num_groups", 32)  # diffusers' default
    if any(channels % groups for channels in autoencoder["block_out_channels"]):
        raise WaypointError(f"{prefix}.norm_num_groups: {groups} does not divide every block_out_channels")
    factor = 2 ** (len(autoencoder["block_out_channels"]) - 1)
    if size is not None and size % factor:
        raise WaypointError(
            f"config: data.size: {size} is not a multiple of {factor}, the side of a latent cell with the "
            f"{len(autoencoder['block_out_channels'])} blocks of vae.train.autoencoder"
        )
    if size is not None and autoencoder.get("sample_size", size) != size:
        raise WaypointError(f"{prefix}.sample_size: {autoencoder['sample_size']} is not data.size {size}")
    unet = (config["model"] or {}).get("unet")
    cells = None if size is None else size // factor
    if unet and cells and unet["sample_size"] not in (cells, [cells, cells]):
        raise WaypointError(f"config: model.unet.sample_size: {unet['sample_size']}, but the VAE's latents are {cells}")
    if unet and unet["in_channels"] != autoencoder.get("latent_channels", 4):
        raise WaypointError(
            f"config: model.unet.in_channels: {unet['in_channels']}, but {prefix[8:]}.latent_channels is "
            f"{autoencoder.get('latent_channels', 4)}"
        )


def check_clipping(config):
    if config["vae"] is not None and config["model"] is not None and config["model"]["scheduler"]["clip_sample"]:
        raise WaypointError("config: model.scheduler.clip_sample: latents must not be clipped; set it to false")


def _check_folder(path, key):
    """Refuse a path that is neither a folder, on this machine or in an installed package, nor a possible hub id."""
    folder = Path(local_place(path, f"config: {key}"))
    if not folder.is_dir() and (path.startswith((PREFIX, ".", "/", "~")) or path.count("/") != 1):
        raise WaypointError(f"config: {key}: no folder {path}, and it is not a hub id")


def checkpoint_names(config):
    """Return full/0 … full/M-1."""
    return [f"full/{i}" for i in range(number_of_checkpoints(config))]


def known_of_model(config: Config, part: str, checkpoint: str = "full/0") -> Config | None:
    """Return the settings of "unet" or "scheduler", or None if planning cannot know them, as for a hub id.

    Args:
        checkpoint: only matters without data; otherwise all models have the same settings.
    """
    if config["model"] is not None:
        return config["model"][part]
    section, index = config["checkpoints"], 0 if config["data"] else int(checkpoint.split("/")[1])
    key, path = ("base", section["base"]) if "base" in section else (f"paths[{index}]", section["paths"][index])
    try:
        settings = stored_config(path, part, section.get("weights"))
    except WaypointError as error:
        raise WaypointError(f"config: checkpoints.{key}: {error}") from error
    cells = known_cells(config)
    if part != "unet" or settings is None or cells is None:
        return settings
    return settings | {"sample_size": cells}


def known_grid(config: Config, checkpoint: str = "full/0") -> list[int] | None:
    """Return a model's sampling grid, or None if planning cannot know it."""
    scheduler = known_of_model(config, "scheduler", checkpoint)
    if scheduler is None:
        return None
    if "timestep_spacing" in config["checkpoints"]:
        scheduler = {**scheduler, "timestep_spacing": config["checkpoints"]["timestep_spacing"]}
    return sampling_grid(
        scheduler.get("num_train_timesteps", 1000),
        config["sampling"]["steps"],
        scheduler.get("timestep_spacing", "leading"),
        scheduler.get("steps_offset", 0),
    )
