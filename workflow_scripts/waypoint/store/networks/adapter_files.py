"""LoRA adapter files as training scripts write them: their layers, ranks and alphas.

Three naming styles are equivalent:

    unet.{layer}.lora.down.weight, .lora.up.weight     diffusers' scripts, after training
    unet.{layer}.lora_A.weight, .lora_B.weight         PEFT: the same scripts' checkpoints
    lora_unet_{layer with _ for .}.lora_down.weight, .lora_up.weight, .alpha     kohya

``adapter_names.py`` reads the names, also of older and wrapped ones.
Only headers are read, and the bytes of what must not be zero, so planning can do this without torch.
"""

import json
import math
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from waypoint.errors import WaypointError
from waypoint.store.networks.adapter_names import OTHER_STYLES, read_name, underscored_names
from waypoint.store.networks.weight_files import header, require_whole
from waypoint.store.types import StrPath

BASE = "base/0"  # the adapters' base in the store, beside full/, subset/ and without/
FILE = "pytorch_lora_weights.safetensors"  # in an adapter's folder
METADATA = "lora_adapter_metadata"  # diffusers' key in a file's header
DORA = re.compile(r"lora_magnitude_vector|dora_scale")
TEXT = re.compile(r"^(text_encoder(_\d)?\.|lora_te\d?_)")
TRANSFORMER = re.compile(r"^(transformer\.|lora_transformer_)")
SIZES = {"F64": "d", "F32": "f", "F16": "e"}  # struct's formats of the numbers in a file


def base_of(folder: StrPath) -> Path:
    """Return the folder of the base that an adapter in the store changes."""
    return Path(folder).parent.parent / BASE


@dataclass(frozen=True)
class Pair:
    """One layer's tensors in a file.

    Attributes:
        down, up: names of A and B. alpha: as the file states it, or None. shapes: of A and B.
    """

    down: str
    up: str
    alpha: float | None
    shapes: tuple[tuple[int, ...], tuple[int, ...]]

    @property
    def rank(self) -> int:
        """The rank r."""
        return self.shapes[0][0]


@dataclass(frozen=True)
class AdapterFile:
    """The contents of an adapter file.

    Attributes:
        path: the file. pairs: by layer name. underscored: whether layer names have _ for every dot.
    """

    path: Path
    pairs: Mapping[str, Pair]
    underscored: bool

    def by_layer(self, layers: Mapping[str, tuple[int, ...]]) -> dict[str, Pair]:
        """Return the pairs by the layer names of the base.

        Args:
            layers: {name: shape of its weight} of all Linear and convolution layers of the base.

        Raises:
            WaypointError: no such layer, or a layer of another shape: the adapter was trained on another network.
        """
        layer_of = underscored_names(layers) if self.underscored else {name: name for name in layers}
        pairs: dict[str, Pair] = {}
        for name, pair in self.pairs.items():
            if name not in layer_of:
                more = sum(other not in layer_of for other in self.pairs) - 1
                raise WaypointError(
                    f"{self.path.name} holds {pair.down}{f' and {more} more' if more else ''}, which is for no layer "
                    "of the base: it was trained on another network"
                )
            layer = layer_of[name]
            if layer in pairs:
                raise WaypointError(
                    f"{self.path.name} holds {pairs[layer].down} and {pair.down}, which are for the same layer "
                    f"{layer}; save each adapter in a file of its own"
                )
            out, into, *kernel = layers[layer]
            expected = ((pair.rank, into, *kernel), (out, pair.rank, *(1 for _ in kernel)))
            if pair.shapes != expected:
                raise WaypointError(
                    f"{self.path.name}: the factors of {layer} have the shapes {pair.shapes[0]} and {pair.shapes[1]}, "
                    f"and the base wants {expected[0]} and {expected[1]}: it was trained on another network"
                )
            pairs[layer] = pair
        return pairs

    def alphas(self, configured: float | None) -> dict[str, float]:
        """Return alpha of every layer, by the file's names: the file's own, else the configured one, else the rank.

        Args:
            configured: ``adapter.alpha`` of the configuration, or None.

        Raises:
            WaypointError: the file states another alpha than the configuration.
        """
        for pair in self.pairs.values():
            if configured is not None and pair.alpha not in (None, configured):
                raise WaypointError(
                    f"adapter.alpha: {configured:g}, but {self.path.name} states alpha = {pair.alpha:g}; "
                    "leave adapter.alpha out"
                )
        return {
            name: pair.alpha if pair.alpha is not None else pair.rank if configured is None else configured
            for name, pair in self.pairs.items()
        }


def file_of(place: StrPath) -> Path:
    """Return the file of an adapter, given the file itself or its folder.

    Raises:
        WaypointError: there is none, or it is of another kind.
    """
    path = Path(place)
    if path.is_dir() and not (path / FILE).is_file():
        files = sorted(file.name for file in path.glob("*.safetensors"))
        if (path / "adapter_config.json").is_file():
            files = [name for name in files if name != "adapter_model.safetensors"]
        if not files:
            raise WaypointError(f"the folder holds no {FILE}")
        raise WaypointError(f"the folder holds {files[0]}, but no {FILE}; name the file itself: {path / files[0]}")
    file = path / FILE if path.is_dir() else path
    if not file.is_file():
        raise WaypointError("there is no such file or folder")
    if file.suffix != ".safetensors":
        raise WaypointError(
            f"{file.name} is not a safetensors file; load it with diffusers (load_lora_weights) and save it with "
            "save_lora_weights, which writes one"
        )
    return file


def read_adapter_file(place: StrPath) -> AdapterFile:
    """Read the contents of an adapter file; of its values only alpha.

    Args:
        place: the file, or a folder that holds ``pytorch_lora_weights.safetensors``.

    Raises:
        WaypointError: the file is not an adapter, of an unsupported kind, lacks a factor, or B is 0 everywhere.
    """
    file = file_of(place)
    require_whole(file)
    shapes = {name: shape for name, (shape, _) in header(file).items()}
    numbers = _NumbersOfFile(file)
    _refuse_other_kinds(file, shapes)
    underscored = any(name.startswith("lora_unet_") for name in shapes)
    sides: dict[str, dict[str, str]] = {}
    for name in shapes:
        layer, side = read_name(name, underscored)
        if layer is None:
            raise WaypointError(
                f"{file.name} holds {name}, which is not a known part of a UNet's LoRA adapter; if diffusers loads it "
                "(load_lora_weights), save it again with save_lora_weights"
            )
        sides.setdefault(layer, {})[side] = name
    alpha_of = _alphas_of_metadata(file, numbers.metadata)
    pairs: dict[str, Pair] = {}
    for layer, names in sides.items():
        for side, other in (("down", "up"), ("up", "down")):
            if side not in names:
                present = names.get(other, names.get("alpha", layer))
                raise WaypointError(f"{file.name} holds {present}, but not the other factor of that layer")
        down, up = shapes[names["down"]], shapes[names["up"]]
        if len(down) < 2 or len(up) < 2 or down[0] != up[1]:
            raise WaypointError(
                f"{file.name}: the factors of {layer} have the shapes {down} and {up}, which do not multiply"
            )
        alpha = numbers.number(names["alpha"]) if "alpha" in names else alpha_of(layer)
        pairs[layer] = Pair(names["down"], names["up"], alpha, (down, up))
    if not any(numbers.nonzero(pair.up) for pair in pairs.values()):
        raise WaypointError(
            f"{file.name} was never trained: B is 0 in every layer, so the adapter changes nothing, and the gradients "
            "of A are 0"
        )
    return AdapterFile(file, pairs, underscored)


def _refuse_other_kinds(file: Path, names: Mapping[str, object]) -> None:
    if not names:
        raise WaypointError(f"{file.name} holds no tensors")
    for name in names:
        if DORA.search(name):
            raise WaypointError(f"{file.name} is a DoRA adapter ({name}), which is not supported; plain LoRA is")
        if TEXT.search(name):
            raise WaypointError(
                f"{file.name} also changes the text encoder ({name}), whose embeddings are computed once, without it; "
                "only adapters of the UNet alone are supported"
            )
        if TRANSFORMER.search(name):
            raise WaypointError(
                f"{file.name} is an adapter of a transformer ({name}); only those of UNets are supported"
            )
        if style := next((style for part, style in OTHER_STYLES.items() if part in name), None):
            raise WaypointError(
                f"{file.name} is an adapter of another kind, {style} ({name}), which is not supported; plain LoRA is"
            )
    if not any("lora" in name for name in names):
        raise WaypointError(
            f"{file.name} holds no LoRA weights ({next(iter(names))}); a whole model belongs in checkpoints.paths"
        )


def _alphas_of_metadata(file: Path, metadata: Mapping[str, Any]) -> Any:
    """Return a function layer → alpha, or None, from diffusers' or PEFT's metadata.

    Raises:
        WaypointError: the metadata cannot be read, or B A is not scaled by alpha / r.
    """
    text = metadata.get(METADATA)
    if text is None:
        return lambda layer: None  # pyright: ignore[reportUnknownLambdaType, reportUnknownVariableType]
    try:
        config = {key.removeprefix("unet."): value for key, value in json.loads(text).items()}
        default, patterns = config.get("lora_alpha"), dict(config.get("alpha_pattern") or {})
    except (ValueError, AttributeError, TypeError) as error:
        raise WaypointError(f"{file.name}: its {METADATA} is damaged ({error})") from error
    for key, kind in (("use_rslora", "rank-stabilised LoRA"), ("use_dora", "DoRA")):
        if config.get(key):
            raise WaypointError(f"{file.name} is an adapter of {kind} ({key}), which is not supported; plain LoRA is")

    def alpha(layer: str) -> float | None:
        matching = (value for key, value in patterns.items() if re.match(rf"(.*\.)?({key})$", layer))
        value = next(matching, default)
        return None if value is None else float(value)

    return alpha


class _NumbersOfFile:
    """Reads numbers of a safetensors file from its bytes."""

    def __init__(self, file: Path) -> None:
        self.file = file
        with open(file, "rb") as handle:
            length = int.from_bytes(handle.read(8), "little")
            self.rows: dict[str, Any] = json.loads(handle.read(length))
        self.start = 8 + length
        self.metadata: Mapping[str, Any] = self.rows.pop("__metadata__", None) or {}

    def bytes(self, name: str) -> bytes:
        """Read the bytes of a tensor."""
        first, last = self.rows[name]["data_offsets"]
        with open(self.file, "rb") as handle:
            handle.seek(self.start + first)
            return handle.read(last - first)

    def nonzero(self, name: str) -> bool:
        """Return whether any number is not 0; −0 is 0."""
        return any(self.bytes(name).replace(b"\x80", b"\0"))

    def number(self, name: str) -> float:
        """Read a tensor of one number.

        Raises:
            WaypointError: it holds several numbers, or none that is finite and above 0.
        """
        kind, data = self.rows[name]["dtype"], self.bytes(name)
        if kind == "BF16" and len(data) == 2:
            data, kind = b"\0\0" + data, "F32"
        size = struct.calcsize(SIZES.get(kind, "f"))
        if kind not in SIZES or len(data) != size:
            raise WaypointError(f"{self.file.name}: {name} is not one number")
        (value,) = struct.unpack(f"<{SIZES[kind]}", data)
        if not math.isfinite(value) or value <= 0:
            raise WaypointError(f"{self.file.name}: {name} is {value:g}; alpha is a number above 0")
        return float(value)
