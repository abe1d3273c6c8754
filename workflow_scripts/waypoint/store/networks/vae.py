"""VAE folders: diffusers' AutoencoderKL, trained here or by somebody else."""

# diffusers and science have no or partial type hints
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false, reportPrivateImportUsage=false
from pathlib import Path
from typing import cast

import torch
from torch import nn

from waypoint.errors import WaypointError
from waypoint.patches.lean_diffusers import AutoencoderKL
from waypoint.science.autoencoder import Autoencoder
from waypoint.store.artifacts.atomic import share
from waypoint.store.artifacts.checksums import require_intact
from waypoint.store.artifacts.fingerprint import json_hash, weights_hash
from waypoint.store.networks.checkpoints import LoadingInfo
from waypoint.store.networks.hub import fetch
from waypoint.store.types import Attributes, StrPath

VAE_PARTS = ("vae",)  # of a pipeline's folder


def load_vae(source: StrPath, device: torch.device | str = "cpu") -> Autoencoder:
    """The autoencoder in the folder of a VAE, in the folder ``vae`` of a pipeline, or on the hub.

    Raises:
        WaypointError: it is missing, damaged, or another kind of VAE.
    """
    folder = fetch(str(source), "vae", VAE_PARTS)
    require_intact(folder)
    part = "vae" if Path(folder, "vae").is_dir() else ""
    _stored_config(folder, source)
    try:
        options = {"local_files_only": True, "low_cpu_mem_usage": False, "output_loading_info": True}
        loaded = AutoencoderKL.from_pretrained(folder, subfolder=part, **options)
        vae, info = cast(tuple[nn.Module, LoadingInfo], loaded)
    except Exception as error:  # each library on the way raises its own kinds
        raise WaypointError(f"vae {source}: cannot be loaded ({error})") from error
    amiss = [*info["missing_keys"], *info["unexpected_keys"]]
    if amiss:
        raise WaypointError(f"vae {source}: its weights do not fill its config exactly: {', '.join(amiss[:3])}")
    return Autoencoder(vae.eval().to(device))  # pyright: ignore[reportArgumentType]


def latent_channels(source: StrPath) -> int:
    """Channels of the latents of an autoencoder's folder, from its configuration alone.

    Raises:
        WaypointError: it is missing, or another kind of VAE.
    """
    return _stored_config(fetch(str(source), "vae", VAE_PARTS), source)["latent_channels"]


def _stored_config(folder: str, source: StrPath) -> Attributes:
    part = "vae" if Path(folder, "vae").is_dir() else ""
    try:
        config = cast(Attributes, AutoencoderKL.load_config(folder, subfolder=part, local_files_only=True))
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
    """Write a diffusers ``AutoencoderKL`` to a folder with safetensors weights."""
    vae.save_pretrained(folder, safe_serialization=True)
    share(folder)


def vae_identity(folder: StrPath) -> str:
    """SHA-256 of a stored VAE's weights and settings, on which an image's latent depends."""
    settings = cast(Attributes, AutoencoderKL.load_config(folder, local_files_only=True))
    public = {
        key: value for key, value in settings.items() if not key.startswith("_")
    }  # not the path that it was loaded from
    return json_hash([weights_hash(folder), public])
