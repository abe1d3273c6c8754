"""VAE folders: diffusers' AutoencoderKL, trained here or brought along."""

# diffusers is partly untyped
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from pathlib import Path

import torch

from waypoint.errors import WaypointError
from waypoint.patches.lean_diffusers import AutoencoderKL
from waypoint.science.autoencoder import Autoencoder
from waypoint.store.artifacts.atomic import share
from waypoint.store.artifacts.checksums import require_intact
from waypoint.store.artifacts.fingerprint import json_hash, weights_hash
from waypoint.store.networks.filling import from_folder
from waypoint.store.networks.hub import fetch
from waypoint.store.networks.typed_diffusers import load_config, on_device
from waypoint.store.types import Attributes, Config, StrPath

VAE_PARTS = ("vae",)  # of a pipeline's folder


def load_vae(source: StrPath, device: torch.device | str = "cpu") -> Autoencoder:
    """The autoencoder of a folder or hub id: a VAE's own folder, or a pipeline's with a folder ``vae``.

    Raises:
        WaypointError: nothing there, damaged, or another kind of VAE.
    """
    folder = fetch(str(source), "vae", VAE_PARTS)
    require_intact(folder)
    _stored_config(folder, source)
    try:
        vae, _ = from_folder(AutoencoderKL, Path(folder, "vae") if Path(folder, "vae").is_dir() else Path(folder))
    except WaypointError as error:
        words = str(error).removeprefix("cannot be loaded: ")
        raise WaypointError(f"vae {source}: cannot be loaded: {words}") from error
    except Exception as error:  # each library on the way raises its own kinds
        raise WaypointError(f"vae {source}: cannot be loaded ({error})") from error
    return Autoencoder(on_device(vae, device))


def latent_channels(source: StrPath) -> int:
    """Channels of the latents of an autoencoder's folder, from its configuration alone.

    Raises:
        WaypointError: nothing there, or another kind of VAE.
    """
    return _stored_config(fetch(str(source), "vae", VAE_PARTS), source)["latent_channels"]


def _stored_config(folder: str, source: StrPath) -> Config:
    part = "vae" if Path(folder, "vae").is_dir() else ""
    try:
        config = load_config(AutoencoderKL, folder, part)
    except Exception as error:  # each library on the way raises its own kinds
        raise WaypointError(f"vae {source}: cannot be loaded ({error})") from error
    if (name := config.get("_class_name")) != "AutoencoderKL":
        raise WaypointError(f"vae {source}: {name} is not supported; AutoencoderKL is")
    return {"latent_channels": 4, **config}  # diffusers' default


def outline_of(config: Attributes) -> AutoencoderKL:
    """The autoencoder of a configuration, on the meta device: its shapes without values.

    Raises:
        WaypointError: diffusers refuses it.
    """
    try:
        with torch.device("meta"):
            return AutoencoderKL(**config)
    except (TypeError, ValueError, RuntimeError) as error:
        raise WaypointError(f"vae.train.autoencoder: {error}") from error


def save_vae(vae: AutoencoderKL, folder: StrPath) -> None:
    """Write a diffusers ``AutoencoderKL`` to a folder, safetensors weights."""
    vae.save_pretrained(folder, safe_serialization=True)
    share(folder)


def vae_identity(folder: StrPath) -> str:
    """SHA-256 of a stored VAE's weights and settings: all that an image's latent follows from."""
    settings = load_config(AutoencoderKL, folder)
    public = {key: value for key, value in settings.items() if not key.startswith("_")}  # not where it came from
    return json_hash([weights_hash(folder), public])
