"""The files that hold a network's weights: found by name, judged by their heads, read without running anything.

Names are diffusers' and transformers': a stem, perhaps a variant (fp16), perhaps shards with an index, and either
safetensors or torch's pickle. Importing this needs no torch; only reading does.
"""

# some of safetensors' types are unknown
# pyright: reportUnknownVariableType=false

import json
import re
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from waypoint.errors import WaypointError
from waypoint.store.types import StrPath

if TYPE_CHECKING:  # planning imports no torch
    from torch import Tensor

Heads: TypeAlias = dict[str, tuple[tuple[int, ...], str]]  # {name: (shape, dtype)}

STEM = "diffusion_pytorch_model"  # of diffusers
SUFFIXES = (".safetensors", ".pt", ".pth", ".ckpt", ".bin")  # of files with weights
LONGEST_HEADER = 100_000_000  # bytes; safetensors' own limit
DTYPES = {"F64", "F32", "F16", "BF16", "I64", "BOOL", "I32"}  # others are those of quantised weights
LORA = re.compile(r"\blora[._](A|B|down|up|magnitude_vector)\b|\.lora_(A|B)\.|^lora_(unet|te)")
QUANTISED = re.compile(r"\.(absmax|quant_map|quant_state|SCB|qweight|qzeros|weight_format)\b")
UNFUSED = "base_layer"  # in the names of layers that PEFT has wrapped


@dataclass(frozen=True)
class Weights:
    """The files of one network's weights.

    Attributes:
        files: in the order of their names. variant: "fp16", or "" for the plain weights.
    """

    files: tuple[Path, ...]
    variant: str = ""


def find(folder: StrPath, stems: Sequence[str] = (STEM,)) -> Weights:
    """The ``Weights`` in a network's folder: plain ones before a variant, safetensors before pickled ones.

    Args:
        stems: of the files' names, the better ones first.

    Raises:
        WaypointError: there are none, several variants, or a shard is missing.
    """
    names = "|".join(map(re.escape, stems))
    found: dict[tuple[str, str], Path] = {}
    for file in sorted(Path(folder).iterdir()) if Path(folder).is_dir() else ():
        single = re.fullmatch(rf"({names})(?:\.([\w-]+))?\.(safetensors|bin)", file.name)
        index = re.fullmatch(rf"({names})\.(safetensors|bin)\.index(?:\.([\w-]+))?\.json", file.name)
        if index:
            found[(index[3] or "", index[2])] = file  # instead of a single file, as diffusers does it
        elif single and not re.search(r"-\d{5}-of-\d{5}", file.name):
            found.setdefault((single[2] or "", single[3]), file)
    variants = sorted({variant for variant, _ in found if variant})
    for variant in ["", *variants[: len(variants) == 1]]:
        for ending in ("safetensors", "bin"):
            if (variant, ending) in found:
                return Weights(tuple(_shards(found[variant, ending])), variant)
    if variants:
        raise WaypointError(f"{folder} holds several variants of the weights ({', '.join(variants)}); keep one of them")
    raise WaypointError(f"{Path(folder, f'{stems[0]}.safetensors')} is missing")


def _shards(file: Path) -> list[Path]:
    if file.suffix != ".json":
        return [file]
    try:
        names: list[str] = sorted(set(json.loads(file.read_text())["weight_map"].values()))
    except (ValueError, KeyError, AttributeError) as error:
        raise WaypointError(f"{file} is damaged ({error})") from error
    shards = [file.parent / name for name in names]
    for shard in shards:
        if not shard.is_file():
            raise WaypointError(f"{shard} is missing")
    return shards


def require_whole(file: StrPath) -> None:
    """Refuse a file of weights that is something else, or cut short, by its head and its size.

    Raises:
        WaypointError: names the file and what it is.
    """
    with open(file, "rb") as handle:
        head = handle.read(256)
    if not head:
        raise WaypointError(f"{file} is empty")
    if head.lstrip()[:1] == b"<":
        raise WaypointError(f"{file} is a web page, not weights: its download went wrong; fetch it again")
    if head.startswith(b"version https://git-lfs"):
        raise WaypointError(f"{file} is a pointer of git-lfs, not weights; fetch them with: git lfs pull")
    if Path(file).suffix == ".safetensors":
        header(file)
    elif head.startswith(b"PK\x03\x04") and not zipfile.is_zipfile(file):
        raise WaypointError(f"{file} is cut short: its download or its writing was interrupted; fetch it again")


def header(file: StrPath) -> Heads:
    """{name: (shape, dtype)} in the head of a safetensors file.

    Raises:
        WaypointError: it is damaged or cut short.
    """
    size = Path(file).stat().st_size
    with open(file, "rb") as handle:
        length = int.from_bytes(handle.read(8), "little")
        if length > min(LONGEST_HEADER, size - 8):
            raise WaypointError(f"{file} is no safetensors file, or it is cut short; fetch it again")
        try:
            found: dict[str, Any] = json.loads(handle.read(length))
            tensors = {name: row for name, row in found.items() if name != "__metadata__"}
            end = max((row["data_offsets"][1] for row in tensors.values()), default=0)
            shapes = {name: (tuple(row["shape"]), row["dtype"]) for name, row in tensors.items()}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise WaypointError(f"{file} is damaged ({error})") from error
    if 8 + length + end != size:
        raise WaypointError(f"{file} is cut short: {size} bytes of {8 + length + end}; fetch it again")
    return shapes


def refuse_other_kinds(names: Sequence[str] | Heads) -> None:
    """Refuse tensors that are no network's own weights, judged by their names.

    Args:
        names: of the tensors, or {name: (shape, dtype)}.

    Raises:
        WaypointError: says what they are, and what to do.
    """
    if quantised := next((name for name in names if QUANTISED.search(name)), None):
        raise WaypointError(f"its weights are quantised ({quantised}); store them in float32 or float16")
    if isinstance(names, dict):
        odd = next((name for name, (_, dtype) in names.items() if dtype not in DTYPES), None)
        if odd:
            raise WaypointError(
                f"its weights are quantised ({odd} is {names[odd][1]}); store them in float32 or float16"
            )
    if adapter := next((name for name in names if LORA.search(name)), None):
        if wrapped := next((name for name in names if UNFUSED in name), None):
            plain = wrapped.replace(f".{UNFUSED}", "")
            raise WaypointError(
                f"its weights hold adapters of PEFT that are not fused: {wrapped} is not wanted, and {plain} is "
                "missing. Fuse them (merge_and_unload, or fuse_lora) and store the network again"
            )
        raise WaypointError(
            f"LoRA weights alone ({adapter}); fuse them into their base model (fuse_lora) and store that as a "
            "pipeline, or give both as they are: checkpoints.base and checkpoints.adapters"
        )
    if other := next((name for name in names if name.startswith("model.diffusion_model.")), None):
        raise WaypointError(
            f"its weights have the names of CompVis' code ({other}); convert them with from_single_file of diffusers "
            "and store a pipeline"
        )


def glance(folder: StrPath, stems: Sequence[str] = (STEM,)) -> None:
    """Refuse what the heads of a network's files say of them, without torch; whether there are any is not asked.

    Raises:
        WaypointError: a file is damaged, or holds something else.
    """
    try:
        files = find(folder, stems).files
    except WaypointError:  # their job, or the process that builds networks, says what is missing
        return
    for file in files:
        require_whole(file)
        if file.suffix == ".safetensors":
            refuse_other_kinds(header(file))


def shapes(files: Iterable[Path]) -> dict[str, tuple[int, ...]]:
    """{name: shape} of the weights in some files, without reading their values.

    Raises:
        WaypointError: a file is damaged, or something else; nothing that is pickled is run.
    """
    found: dict[str, tuple[int, ...]] = {}
    for file in files:
        require_whole(file)
        if file.suffix == ".safetensors":
            named = header(file)
            refuse_other_kinds(named)
            found |= {name: shape for name, (shape, _) in named.items()}
        else:
            found |= {name: tuple(tensor.shape) for name, tensor in unpickled(file, "meta").items()}
    return found


def read(files: Iterable[Path]) -> "dict[str, Tensor]":
    """{name: tensor} of the weights in some files, on the CPU.

    Raises:
        WaypointError: as ``shapes``.
    """
    from safetensors.torch import load_file

    found: dict[str, Tensor] = {}
    for file in files:
        require_whole(file)
        if file.suffix == ".safetensors":
            refuse_other_kinds(header(file))
            found |= load_file(file)
        else:
            found |= unpickled(file, "cpu")
    return found


def unpickled(file: StrPath, place: str) -> "dict[str, Tensor]":
    """The state dict {name: tensor} of a torch file.

    Args:
        place: "cpu", or "meta", where no values are read.

    Raises:
        WaypointError: it holds other objects, which are never made.
    """
    state = mapping(file, place)
    import torch

    if not state or not all(isinstance(tensor, torch.Tensor) for tensor in state.values()):
        raise WaypointError(f"{file} holds no state dict, a mapping of names to tensors")
    tensors = cast("dict[str, Tensor]", state)
    refuse_other_kinds(list(tensors))
    return dict(tensors)


def mapping(file: StrPath, place: str) -> dict[object, object]:
    """The mapping that a torch file holds.

    Raises:
        WaypointError: damaged, other objects than tensors, numbers and words, or no mapping.
    """
    import torch

    try:
        found: object = torch.load(file, map_location=place, weights_only=True)
    except Exception as error:  # torch raises many kinds over a file that is not what it should be
        raise WaypointError(
            f"{file} cannot be read as tensors alone ({_reason(error)}); what else a file holds is never run. Save the "
            "state dict by itself: torch.save(model.state_dict(), …)"
        ) from error
    if not isinstance(found, dict):
        raise WaypointError(f"{file} holds no state dict, a mapping of names to tensors, but {type(found).__name__}")
    return cast(dict[object, object], found)


def _reason(error: Exception) -> str:
    """The first line of torch's reason, without its advice to load the file unsafely."""
    if other := re.search(r"GLOBAL ([\w.]+)", str(error)):
        return f"it also holds {other[1]}"
    words = re.sub(r".*WeightsUnpickler error:", "", str(error), flags=re.S)
    lines = [line.strip() for line in words.splitlines() if line.strip() and "weights_only" not in line]
    return (lines or [type(error).__name__])[0]
