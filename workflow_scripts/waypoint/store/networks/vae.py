"""VAE folders: diffusers' AutoencoderKL, trained here or given by the user."""

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
    """Return the number of latent channels of an autoencoder, from its configuration alone.

    Raises:
        WaypointError: there is none, or it is another kind of VAE.
    """
    return _stored_config(fetch(str(source), "vae", VAE_PARTS), source)["latent_channels"]


def _stored_config(folder: str, source: StrPath) -> Config:
    part = "vae" if Path(folder, "vae").is_dir() else ""
    try:
        config = load_config(AutoencoderKL, folder, part)
    except Exception as error:  # every library involved raises exceptions of its own
        raise WaypointError(f"vae {source}: cannot be loaded ({error})") from error
    if (name := config.get("_class_name")) != "AutoencoderKL":
        raise WaypointError(f"vae {source}: {name} is not supported; AutoencoderKL is")
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
