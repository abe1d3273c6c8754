"""Low-rank adapters (LoRA) on a frozen network: W x + (alpha / r) B A x in the place of W x, by PEFT's layers.

A is (r, in) and B (out, r), of a convolution (r, in, k, k) and (out, r, 1, 1). A training begins with B = 0, where the
adapter changes nothing. Of a network with an adapter only A and B are trainable, so whatever honours ``requires_grad``
(training, gradients, curvature) is of the adapter alone.
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

NAME = "default"  # of the adapter within the network: each has one
SHOWN = 12  # names that an error lists


@dataclass(frozen=True)
class Factors:
    """One layer's adapter.

    Attributes:
        A: (r, in). B: (out, r). alpha: B A is multiplied by alpha / r.
    """

    A: torch.Tensor
    B: torch.Tensor
    alpha: float

    @property
    def rank(self) -> int:
        """r."""
        return self.A.shape[0]


def layers_named(network: nn.Module, targets: Sequence[str]) -> list[str]:
    """Names of the Linear layers whose name is one of ``targets`` or ends with it after a dot, in the network's order.

    Raises:
        WaypointError: no Linear layer has one of them; lists the ends that there are.
    """
    linear = [name for name, layer in network.named_modules() if isinstance(layer, nn.Linear)]
    for target in targets:
        if not any(f".{name}".endswith(f".{target}") for name in linear):
            ends = sorted({".".join(_end(name)) for name in linear})
            listed = ", ".join(ends[:SHOWN]) + (" …" if len(ends) > SHOWN else "")
            raise WaypointError(
                f"adapter.targets: {target} is the end of no Linear layer's name in the base; there are {listed}"
            )
    return [name for name in linear if any(f".{name}".endswith(f".{target}") for target in targets)]


def _end(name: str) -> list[str]:
    """The last part of a name, with the one before it where the last is a number: to_out.0."""
    parts = name.split(".")
    return parts[-2:] if parts[-1].isdigit() else parts[-1:]


def add_adapter(network: nn.Module, ranks: Mapping[str, int], alphas: Mapping[str, float]) -> None:
    """Put an adapter into a network: random A from torch's global generator, and B = 0. Everything else is frozen.

    Args:
        ranks, alphas: r and alpha by name of layer.
    """
    from peft import LoraConfig, inject_adapter_in_model  # takes a moment that other jobs need not wait

    usual_rank, usual_alpha = (Counter(each.values()).most_common(1)[0][0] for each in (ranks, alphas))
    config = LoraConfig(
        r=int(usual_rank),
        lora_alpha=usual_alpha,  # pyright: ignore[reportArgumentType], a float is as good
        rank_pattern={_exactly(name): rank for name, rank in ranks.items() if rank != usual_rank},
        alpha_pattern={_exactly(name): alpha for name, alpha in alphas.items() if alpha != usual_alpha},
        target_modules=list(ranks),
    )
    inject_adapter_in_model(config, network, adapter_name=NAME)
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(".lora_A." in name or ".lora_B." in name)


def _exactly(name: str) -> str:
    """The pattern by which PEFT finds one layer and no other."""
    return f"^{re.escape(name)}"


def with_adapter(network: nn.Module) -> bool:
    """Whether a network has an adapter."""
    return any(hasattr(layer, "lora_A") for layer in network.modules())


def factors(network: nn.Module) -> dict[str, Factors]:
    """The adapter's factors by name of layer, in the network's order; its own tensors, not copies."""
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
    """Put an adapter with given values into a network, in evaluation mode.

    Args:
        values: by name of layer.
    """
    ranks = {name: each.rank for name, each in values.items()}
    with torch.random.fork_rng(devices=[]):  # what PEFT draws is overwritten
        add_adapter(network, ranks, {name: each.alpha for name, each in values.items()})
    with torch.no_grad():
        for name, mine in factors(network).items():
            mine.A.copy_(values[name].A)
            mine.B.copy_(values[name].B)
    network.eval()


@contextlib.contextmanager
def switched_off(network: nn.Module) -> Generator[None, None, None]:
    """While it lasts the network is its base: W x alone."""
    layers = [layer for layer in network.modules() if hasattr(layer, "lora_A")]
    try:
        for layer in layers:
            layer.enable_adapters(False)  # pyright: ignore[reportCallIssue], a layer of PEFT
        yield
    finally:
        for layer in layers:
            layer.enable_adapters(True)  # pyright: ignore[reportCallIssue]
