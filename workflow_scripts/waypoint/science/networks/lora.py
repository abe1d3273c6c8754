"""Low-rank adapters (LoRA) on a frozen network: W x + (alpha / r) B A x instead of W x, with PEFT's layers.

A is (r, in) and B (out, r); for a convolution (r, in, k, k) and (out, r, 1, 1). Training starts at B = 0, where the
adapter has no effect. Only A and B of a network with an adapter are trainable, so everything that honours
``requires_grad`` (training, gradients, curvature) concerns the adapter alone.
"""

# torch and PEFT are partly untyped
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportMissingTypeStubs=false, reportIndexIssue=false

import contextlib
import re
from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from waypoint.errors import WaypointError

NAME = "default"  # of the adapter within the network
SHOWN = 12  # names listed in an error


@dataclass(frozen=True)
class Factors:
    """The adapter of one layer.

    Attributes:
        A: (r, in). B: (out, r). alpha: B A is multiplied by alpha / r.
    """

    A: torch.Tensor
    B: torch.Tensor
    alpha: float

    @property
    def rank(self) -> int:
        """The rank r."""
        return self.A.shape[0]


def layers_named(network: nn.Module, targets: Sequence[str]) -> list[str]:
    """Names of the Linear layers that equal one of ``targets`` or end with it after a dot, in the network's order.

    Raises:
        WaypointError: a target matches no Linear layer; lists the endings that exist.
    """
    linear = [name for name, layer in network.named_modules() if isinstance(layer, nn.Linear)]
    for target in targets:
        if not any(f".{name}".endswith(f".{target}") for name in linear):
            endings = sorted({".".join(_ending(name)) for name in linear})
            listed = ", ".join(endings[:SHOWN]) + (" …" if len(endings) > SHOWN else "")
            raise WaypointError(
                f"adapter.targets: {target} is not the end of a Linear layer's name in the base; there are {listed}"
            )
    return [name for name in linear if any(f".{name}".endswith(f".{target}") for target in targets)]


def _ending(name: str) -> list[str]:
    """Return the last part of a name, with the one before it if the last is a number: to_out.0."""
    parts = name.split(".")
    return parts[-2:] if parts[-1].isdigit() else parts[-1:]


def add_adapter(network: nn.Module, ranks: Mapping[str, int], alphas: Mapping[str, float]) -> None:
    """Add an adapter to a network, with A drawn from torch's global generator and B = 0, and freeze everything else.

    Args:
        ranks, alphas: r and alpha by layer name.
    """
    from peft import LoraConfig, inject_adapter_in_model  # imported lazily: importing PEFT is slow

    common_rank, common_alpha = (Counter(values.values()).most_common(1)[0][0] for values in (ranks, alphas))
    config = LoraConfig(
        r=int(common_rank),
        lora_alpha=common_alpha,  # pyright: ignore[reportArgumentType], a float works too
        rank_pattern={_exact_pattern(name): rank for name, rank in ranks.items() if rank != common_rank},
        alpha_pattern={_exact_pattern(name): alpha for name, alpha in alphas.items() if alpha != common_alpha},
        target_modules=list(ranks),
    )
    inject_adapter_in_model(config, network, adapter_name=NAME)
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(".lora_A." in name or ".lora_B." in name)


def _exact_pattern(name: str) -> str:
    """Return a pattern that matches only this layer in PEFT."""
    return f"^{re.escape(name)}"


def has_adapter(network: nn.Module) -> bool:
    """Whether a network has an adapter."""
    return any(hasattr(layer, "lora_A") for layer in network.modules())


def factors(network: nn.Module) -> dict[str, Factors]:
    """Return the adapter's factors by layer name, in the network's order; not copies."""
    return {
        name: Factors(
            network.get_parameter(f"{name}.lora_A.{NAME}.weight"),
            network.get_parameter(f"{name}.lora_B.{NAME}.weight"),
            float(layer.lora_alpha[NAME]),  # pyright: ignore[reportArgumentType]
        )
        for name, layer in network.named_modules()
        if hasattr(layer, "lora_A")
    }


def put_factors(network: nn.Module, values: Mapping[str, Factors]) -> None:
    """Add an adapter with given values to a network and switch the network to evaluation mode.

    Args:
        values: factors by layer name.
    """
    ranks = {name: factor.rank for name, factor in values.items()}
    with torch.random.fork_rng(devices=[]):  # PEFT's random values are overwritten
        add_adapter(network, ranks, {name: factor.alpha for name, factor in values.items()})
    with torch.no_grad():
        for name, target in factors(network).items():
            target.A.copy_(values[name].A)
            target.B.copy_(values[name].B)
    network.eval()


@contextlib.contextmanager
def switched_off(network: nn.Module) -> Generator[None, None, None]:
    """Within this context the network is its base: W x alone."""
    layers = [layer for layer in network.modules() if hasattr(layer, "lora_A")]
    try:
        for layer in layers:
            layer.enable_adapters(False)  # pyright: ignore[reportCallIssue], a layer of PEFT
        yield
    finally:
        for layer in layers:
            layer.enable_adapters(True)  # pyright: ignore[reportCallIssue]
