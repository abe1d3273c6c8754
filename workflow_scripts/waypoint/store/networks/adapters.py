"""LoRA adapters in the store and beside it: new ones, existing ones, and what one folder of the store holds.

checkpoints/base/0 holds the base once, as a diffusers folder; the folder of an adapter holds
``pytorch_lora_weights.safetensors`` alone, which ``load_lora_weights`` of diffusers' pipelines opens.
"""

# safetensors and diffusers are partly untyped
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false, reportMissingParameterType=false

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from waypoint.errors import WaypointError
from waypoint.science.networks import lora
from waypoint.science.processes.ddpm import Denoiser
from waypoint.science.random_streams import derive
from waypoint.store.artifacts.atomic import share
from waypoint.store.artifacts.checksums import require_intact
from waypoint.store.networks import checkpoints
from waypoint.store.networks.adapter_files import FILE, METADATA, AdapterFile, base_of, read_adapter_file
from waypoint.store.types import StrPath


def add_new(denoiser: Denoiser, adapter: Mapping[str, Any], seed: int, name: str) -> None:
    """Put a new adapter into a denoiser: A from the stream (seed, name), and B = 0.

    Args:
        adapter: the section ``adapter`` of the configuration.

    Raises:
        WaypointError: a target that is no layer of the base.
    """
    names = lora.layers_named(denoiser.unet, adapter["targets"])
    rank = int(adapter["rank"])
    alpha = float(rank if adapter["alpha"] is None else adapter["alpha"])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(seed, "initial weights", name))
        lora.add_adapter(denoiser.unet, {name: rank for name in names}, {name: alpha for name in names})


def parameters_of_new(unet: nn.Module, adapter: Mapping[str, Any]) -> int:
    """p of a new adapter: Σ r (in + out).

    Raises:
        WaypointError: as ``add_new``.
    """
    layers = shapes_of_layers(unet)
    return sum(adapter["rank"] * sum(layers[name][:2]) for name in lora.layers_named(unet, adapter["targets"]))


def parameters_of(unet: nn.Module, file: AdapterFile) -> int:
    """p of an existing adapter.

    Raises:
        WaypointError: as ``AdapterFile.by_layer``.
    """
    pairs = file.by_layer(shapes_of_layers(unet)).values()
    return sum(torch.Size(shape).numel() for pair in pairs for shape in pair.shapes)


def shapes_of_layers(unet: nn.Module) -> dict[str, tuple[int, ...]]:
    """{name: shape of its weight} of all layers that an adapter can be for."""
    return {
        name: tuple(layer.weight.shape)
        for name, layer in unet.named_modules()
        if isinstance(layer, (nn.Linear, nn.Conv2d))
    }


def add_existing(denoiser: Denoiser, place: StrPath, alpha: float | None) -> None:
    """Put an existing adapter into a denoiser, whatever the style of its file.

    Args:
        place: the file or its folder. alpha: ``adapter.alpha``, or None.

    Raises:
        WaypointError: as ``read_adapter_file`` and ``AdapterFile.by_layer``; values that are not finite.
    """
    from safetensors.torch import load_file

    file = read_adapter_file(place)
    alphas, called = file.alphas(alpha), {pair.down: name for name, pair in file.pairs.items()}
    values, stored = {}, load_file(file.path)
    for layer, pair in file.by_layer(shapes_of_layers(denoiser.unet)).items():
        A, B = stored[pair.down].float(), stored[pair.up].float()
        if not (torch.isfinite(A).all() and torch.isfinite(B).all()):
            raise WaypointError(f"{file.path.name}: the factors of {layer} are not finite")
        values[layer] = lora.Factors(A, B, alphas[called[pair.down]])
    lora.put_factors(denoiser.unet, values)


def save(unet: nn.Module, folder: StrPath) -> None:
    """Write the adapter of a network, as diffusers and PEFT do: names of layers, and rank and alpha in the head."""
    from safetensors.torch import save_file

    found = lora.factors(unet)
    state = {}
    for name, each in found.items():
        state[f"unet.{name}.lora_A.weight"] = each.A.detach().cpu().contiguous()
        state[f"unet.{name}.lora_B.weight"] = each.B.detach().cpu().contiguous()
    first = next(iter(found.values()))
    config = {
        "r": first.rank,
        "lora_alpha": first.alpha,
        "rank_pattern": {name: each.rank for name, each in found.items() if each.rank != first.rank},
        "alpha_pattern": {name: each.alpha for name, each in found.items() if each.alpha != first.alpha},
        "target_modules": list(found),
    }
    text = json.dumps({f"unet.{key}": value for key, value in config.items()}, sort_keys=True)
    save_file(state, Path(folder, FILE), metadata={"format": "pt", METADATA: text})
    share(folder)
    share(folder)


def load(folder: StrPath, device: torch.device | str = "cpu") -> Denoiser:
    """The denoiser of an adapter in the store: the base beside it, with the adapter, in evaluation mode.

    Raises:
        WaypointError: a damaged file.
    """
    require_intact(folder)
    denoiser = checkpoints.load(base_of(folder))
    add_existing(denoiser, folder, None)
    torch.nn.Module.to(denoiser.unet, device)
    return Denoiser(denoiser.unet, denoiser.scheduler)
