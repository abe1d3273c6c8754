"""Settings of an adapter that PEFT and diffusers store beside its factors: alpha, rank and the kind of LoRA.

diffusers writes them to the file's header, PEFT to ``adapter_config.json`` beside the file. Importing this module does
not import torch.
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from waypoint.errors import WaypointError

METADATA = "lora_adapter_metadata"  # diffusers' key in a file's header
BESIDE, PEFT_FILE = "adapter_config.json", "adapter_model.safetensors"  # PEFT's settings and the weights they are of
OTHER_KINDS = {  # settings with which the change of the weights is not (alpha / r) B A alone
    "use_rslora": "rank-stabilised LoRA",
    "use_dora": "DoRA",
    "lora_bias": "LoRA with biases",
    "use_qalora": "QALoRA",
    "use_bdlora": "block-diagonal LoRA",
    "kasa_config": "KaSA",
    "monteclora_config": "MonteCLoRA",
    "arrow_config": "Arrow",
    "alora_invocation_tokens": "activated LoRA",
    "layer_replication": "LoRA with replicated layers",
}
PLAIN_STARTS = ("gaussian", "eva", "orthogonal", "mica")  # these leave the base as it is; true and false do so too


@dataclass(frozen=True)
class AdapterSettings:
    """What is stated about an adapter in one place.

    Attributes:
        place: the file, for messages. alpha, rank: of layers without their own, or None.
        alphas, ranks: by pattern of layer names, as PEFT matches them.
    """

    place: str
    alpha: float | None
    rank: int | None
    alphas: Mapping[str, float]
    ranks: Mapping[str, int]

    def alpha_of(self, layer: str) -> float | None:
        """Return alpha of a layer, or None."""
        return _matching(self.alphas, layer, self.alpha)

    def require_rank(self, layer: str, rank: int) -> None:
        """Refuse a rank other than the stated one.

        Raises:
            WaypointError: the settings are those of another file.
        """
        stated = _matching(self.ranks, layer, self.rank)
        if stated not in (None, rank):
            raise WaypointError(
                f"{self.place} states the rank {stated} of {layer}, whose factors have the rank {rank}: the settings "
                "belong to another file"
            )


def _matching(patterns: Mapping[str, Any], layer: str, default: Any) -> Any:
    return next((value for key, value in patterns.items() if re.match(rf"(.*\.)?({key})$", layer)), default)


def in_header(name: str, metadata: Mapping[str, Any]) -> AdapterSettings | None:
    """Return the settings in the header of a safetensors file, or None.

    Args:
        name: of the file. metadata: of its header.

    Raises:
        WaypointError: they are damaged, or of an adapter that is not plain LoRA.
    """
    text = metadata.get(METADATA)
    return None if text is None else _settings(f"{name}: its {METADATA}", name, text)


def beside(file: Path) -> Path | None:
    """Return the ``adapter_config.json`` of an adapter's file, or None.

    Where PEFT's own file lies in the folder, other files have none.
    """
    settings = file.parent / BESIDE
    of_another = file.name != PEFT_FILE and (file.parent / PEFT_FILE).is_file()
    return settings if settings.is_file() and not of_another else None


def in_folder(file: Path) -> AdapterSettings | None:
    """Return the settings in the ``adapter_config.json`` of an adapter's file, or None.

    Raises:
        WaypointError: they are damaged, or of an adapter that is not plain LoRA.
    """
    place = beside(file)
    if place is None:
        return None
    try:
        text = place.read_text()
    except (OSError, ValueError) as error:
        raise WaypointError(f"{place} cannot be read ({error})") from error
    return _settings(str(place), file.name, text)


def stated_alpha(layer: str, *settings: AdapterSettings | None) -> float | None:
    """Return the alpha of a layer that all the settings state, or None.

    Raises:
        WaypointError: two of them differ.
    """
    stated = [(alpha, each.place) for each in settings if each and (alpha := each.alpha_of(layer)) is not None]
    for alpha, place in stated[1:]:
        if alpha != stated[0][0]:
            raise WaypointError(
                f"{stated[0][1]} states alpha = {stated[0][0]:g} of {layer}, but {place} states {alpha:g}; keep the "
                "one that the adapter was trained with"
            )
    return stated[0][0] if stated else None


def _settings(place: str, name: str, text: str) -> AdapterSettings:
    config = _mapping(place, text)
    for key, kind in OTHER_KINDS.items():
        if config.get(key):
            raise WaypointError(f"{name} is an adapter of {kind} ({key}), which is not supported; plain LoRA is")
    kind, start = config.get("peft_type"), config.get("init_lora_weights")
    if kind not in (None, "LORA"):
        raise WaypointError(f"{name} is an adapter of the kind {kind} (peft_type), which is not supported; LoRA is")
    if isinstance(start, str) and start.lower() not in PLAIN_STARTS:
        raise WaypointError(
            f"{place} says init_lora_weights: {start}, which changes the base before training, so {name} does not fit "
            "the unchanged base; save it as plain LoRA (path_initial_model_for_weight_conversion of PEFT's "
            "save_pretrained)"
        )
    if config.get("r") is not None and config.get("lora_alpha") is None:
        raise WaypointError(f"{place} states r, but no lora_alpha; add the alpha that the adapter was trained with")
    return AdapterSettings(
        place,
        _number(place, "lora_alpha", config.get("lora_alpha")),
        _rank(place, "r", config.get("r")),
        {
            key: alpha
            for key, value in _patterns(place, config, "alpha_pattern")
            if (alpha := _number(place, key, value))
        },
        {key: rank for key, value in _patterns(place, config, "rank_pattern") if (rank := _rank(place, key, value))},
    )


def _mapping(place: str, text: str) -> dict[str, Any]:
    try:
        content: object = json.loads(text)
    except (ValueError, TypeError) as error:
        raise WaypointError(f"{place} is damaged ({error})") from error
    if not isinstance(content, dict):
        raise WaypointError(f"{place} is damaged (it holds no mapping)")
    return {str(key).removeprefix("unet."): value for key, value in cast(dict[object, Any], content).items()}


def _patterns(place: str, config: Mapping[str, Any], key: str) -> list[tuple[str, Any]]:
    """Return the (pattern, value) pairs of a setting, after checking the patterns."""
    patterns: object = config.get(key) or {}
    if not isinstance(patterns, dict):
        raise WaypointError(f"{place}: {key} is no mapping of layers to numbers; correct it")
    found = [(str(pattern), value) for pattern, value in cast(dict[object, Any], patterns).items()]
    for pattern, _ in found:
        try:
            re.compile(pattern)
        except re.error as error:
            raise WaypointError(f"{place}: {key}: {pattern} is no pattern of layers ({error}); correct it") from error
    return found


def _number(place: str, key: str, value: Any) -> float | None:
    """Return an alpha; PEFT takes negative ones too."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value == 0:
        raise WaypointError(f"{place}: {key} is {value!r}; alpha is a finite number other than 0")
    return float(value)


def _rank(place: str, key: str, value: Any) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value <= 0:
        raise WaypointError(f"{place}: {key} is {value!r}; a rank is a whole number above 0")
    return value
