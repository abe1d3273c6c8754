"""LoRA adapters: adding new and existing ones to a denoiser, and writing and reading their folders in the store.

checkpoints/base/0 holds the base once, as a diffusers folder. An adapter's folder holds only
``pytorch_lora_weights.safetensors``, which ``load_lora_weights`` of diffusers' pipelines opens.
"""

# safetensors and diffusers are partly untyped
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false, reportMissingParameterType=false

import json
from pathlib import Path

import torch
from torch import nn

from waypoint.errors import WaypointError
from waypoint.science.networks import lora
from waypoint.science.processes.ddpm import Denoiser
from waypoint.science.random_streams import derive
from waypoint.store.artifacts.atomic import share
from waypoint.store.artifacts.checksums import require_intact
from waypoint.store.networks import checkpoints
from waypoint.store.networks.adapter_files import FILE, AdapterFile, base_of, read_adapter_file
from waypoint.store.networks.adapter_settings import METADATA
from waypoint.store.types import Attributes, StrPath


def add_new(denoiser: Denoiser, adapter: Attributes, seed: int, name: str) -> None:
    """Add a new adapter to a denoiser, with A from the random stream (seed, name) and B = 0.

    Args:
        adapter: the section ``adapter`` of the configuration.

    Raises:
        WaypointError: a target is not a layer of the base.
    """
    layers = lora.layers_named(denoiser.unet, adapter["targets"])
    rank = int(adapter["rank"])
    alpha = float(rank if adapter["alpha"] is None else adapter["alpha"])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(seed, "initial weights", name))
        lora.add_adapter(denoiser.unet, {layer: rank for layer in layers}, {layer: alpha for layer in layers})


def parameters_of_new(unet: nn.Module, adapter: Attributes) -> int:
    """Return the number of parameters of a new adapter, Σ r (in + out).

    Raises:
        WaypointError: as ``add_new``.
    """
    shapes = shapes_of_layers(unet)
    return sum(adapter["rank"] * sum(shapes[name][:2]) for name in lora.layers_named(unet, adapter["targets"]))


def parameters_of(unet: nn.Module, file: AdapterFile) -> int:
    """Return the number of parameters of an existing adapter.

    Raises:
        WaypointError: as ``AdapterFile.by_layer``.
    """
    pairs = file.by_layer(shapes_of_layers(unet)).values()
    return sum(torch.Size(shape).numel() for pair in pairs for shape in pair.shapes)


def shapes_of_layers(unet: nn.Module) -> dict[str, tuple[int, ...]]:
    """Return {name: shape of its weight} for all layers that an adapter can change."""
    return {
        name: tuple(layer.weight.shape)
        for name, layer in unet.named_modules()
        if isinstance(layer, (nn.Linear, nn.Conv2d))
    }


def add_existing(denoiser: Denoiser, place: StrPath, alpha: float | None) -> None:
    """Add an existing adapter to a denoiser, whatever the naming style of its file.

    Args:
        place: the file or its folder. alpha: ``adapter.alpha``, or None.

    Raises:
        WaypointError: as ``read_adapter_file`` and ``AdapterFile.by_layer``, or values are not finite.
    """
    from safetensors.torch import load_file

    file = read_adapter_file(place)
    alphas, name_of = file.alphas(alpha), {pair.down: name for name, pair in file.pairs.items()}
    factors, tensors = {}, load_file(file.path)
    for layer, pair in file.by_layer(shapes_of_layers(denoiser.unet)).items():
        A, B = tensors[pair.down].float(), tensors[pair.up].float()
        if not (torch.isfinite(A).all() and torch.isfinite(B).all()):
            raise WaypointError(f"{file.path.name}: the factors of {layer} are not finite")
        factors[layer] = lora.Factors(A, B, alphas[name_of[pair.down]])
    lora.put_factors(denoiser.unet, factors)


def save(unet: nn.Module, folder: StrPath) -> None:
    """Write a network's adapter as diffusers and PEFT do: by layer names, with ranks and alphas in the header."""
    from safetensors.torch import save_file

    factors = lora.factors(unet)
    state = {}
    for name, factor in factors.items():
        state[f"unet.{name}.lora_A.weight"] = factor.A.detach().cpu().contiguous()
        state[f"unet.{name}.lora_B.weight"] = factor.B.detach().cpu().contiguous()
    first = next(iter(factors.values()))
    config = {
        "r": first.rank,
        "lora_alpha": first.alpha,
        "rank_pattern": {name: factor.rank for name, factor in factors.items() if factor.rank != first.rank},
        "alpha_pattern": {name: factor.alpha for name, factor in factors.items() if factor.alpha != first.alpha},
        "target_modules": list(factors),
    }
    text = json.dumps({f"unet.{key}": value for key, value in config.items()}, sort_keys=True)
    save_file(state, Path(folder, FILE), metadata={"format": "pt", METADATA: text})
    share(folder)
    share(folder)


def load(folder: StrPath, device: torch.device | str = "cpu") -> Denoiser:
    """Load the denoiser of an adapter in the store: the base beside it with the adapter, in evaluation mode.

    Raises:
        WaypointError: a file is damaged.
    """
    require_intact(folder)
    denoiser = checkpoints.load(base_of(folder))
    add_existing(denoiser, folder, None)
    torch.nn.Module.to(denoiser.unet, device)
    return Denoiser(denoiser.unet, denoiser.scheduler)
