"""VAE folders: diffusers' AutoencoderKL, trained here or given by the user."""

# diffusers is partly untyped
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import math
from pathlib import Path

import torch

from waypoint.errors import WaypointError
from waypoint.patches.lean_diffusers import AutoencoderKL
from waypoint.science.autoencoder import Autoencoder
from waypoint.store.artifacts.atomic import share
from waypoint.store.artifacts.checksums import require_intact
from waypoint.store.artifacts.fingerprint import json_hash, weights_hash
from waypoint.store.networks import weight_files
from waypoint.store.networks.filling import build_unfilled, from_folder, known_config, rename, require_filled
from waypoint.store.networks.hub import fetch
from waypoint.store.networks.typed_diffusers import load_config, on_device
from waypoint.store.types import Attributes, Config, StrPath

VAE_PARTS = ("vae",)  # of a pipeline's folder


def load_vae(source: StrPath, device: torch.device | str = "cpu") -> Autoencoder:
    """Load the autoencoder of a folder or hub id: a VAE's own folder, or a pipeline's with a folder ``vae``.

    Raises:
        WaypointError: there is none, or it is damaged or another kind of VAE.
    """
    folder = fetch(str(source), "vae", VAE_PARTS)
    require_intact(folder)
    _stored_config(folder, source)
    try:
        vae, _ = from_folder(AutoencoderKL, Path(folder, "vae") if Path(folder, "vae").is_dir() else Path(folder))
    except WaypointError as error:
        reason = str(error).removeprefix("cannot be loaded: ")
        raise WaypointError(f"vae {source}: cannot be loaded: {reason}") from error
    except Exception as error:  # every library involved raises exceptions of its own
        raise WaypointError(f"vae {source}: cannot be loaded ({error})") from error
    return Autoencoder(on_device(vae, device))


def latent_channels(source: StrPath) -> int:
    """Return the number of latent channels of an autoencoder, after comparing its weights' names and shapes.

    Raises:
        WaypointError: there is none, it is another kind of VAE, or its weights are damaged or do not fill it.
    """
    folder = fetch(str(source), "vae", VAE_PARTS)
    channels = _stored_config(folder, source)["latent_channels"]
    place = Path(folder, "vae") if Path(folder, "vae").is_dir() else Path(folder)
    try:
        outline = build_unfilled(AutoencoderKL, known_config(AutoencoderKL, place / "config.json")[0])
        state, _ = rename(outline, weight_files.shapes(weight_files.find(place).files))
        require_filled(outline, state)
    except WaypointError as error:
        raise WaypointError(f"vae {source}: cannot be loaded: {error}") from error
    return channels


def _stored_config(folder: str, source: StrPath) -> Config:
    part = "vae" if Path(folder, "vae").is_dir() else ""
    try:
        config = load_config(AutoencoderKL, folder, part)
    except Exception as error:  # every library involved raises exceptions of its own
        raise WaypointError(f"vae {source}: cannot be loaded ({error})") from error
    if (name := config.get("_class_name")) != "AutoencoderKL":
        raise WaypointError(f"vae {source}: {name} is not supported; AutoencoderKL is")
    for key in ("latents_mean", "latents_std"):
        if config.get(key) is not None:
            raise WaypointError(f"vae {source}: {key} of its config.json is not supported; scaling_factor is")
    scale, shift = config.get("scaling_factor", 0.18215), config.get("shift_factor")
    if isinstance(scale, bool) or not isinstance(scale, (int, float)) or not (math.isfinite(scale) and scale > 0):
        raise WaypointError(
            f"vae {source}: scaling_factor of its config.json is {scale}, not a number above 0; write the one that it "
            "was trained with, or leave it out for 0.18215"
        )
    if shift is not None and not (isinstance(shift, (int, float)) and math.isfinite(shift)):
        raise WaypointError(f"vae {source}: shift_factor of its config.json is {shift}, not a number")
    return {"latent_channels": 4, **config}  # diffusers' default


def outline_of(config: Attributes) -> AutoencoderKL:
    """Build the autoencoder of a configuration on the meta device: its shapes without values.

    Raises:
        WaypointError: diffusers refuses it.
    """
    try:
        with torch.device("meta"):
            return AutoencoderKL(**config)
    except (TypeError, ValueError, RuntimeError) as error:
        raise WaypointError(f"vae.train.autoencoder: {error}") from error


def save_vae(vae: AutoencoderKL, folder: StrPath) -> None:
    """Write a diffusers ``AutoencoderKL`` to a folder, with safetensors weights."""
    vae.save_pretrained(folder, safe_serialization=True)
    share(folder)


def vae_identity(folder: StrPath) -> str:
    """Return the SHA-256 of a stored VAE's weights and settings, on which every latent depends."""
    settings = load_config(AutoencoderKL, folder)
    public = {key: value for key, value in settings.items() if not key.startswith("_")}  # without its origin
    return json_hash([weights_hash(folder), public])
