"""Weight files of networks: found by name, checked by their headers, and read without running any code in them.

File names follow diffusers and transformers: a stem, an optional variant (fp16), optional shards with an index, and
either safetensors or torch's pickle. Importing this module does not import torch.
"""

# some of safetensors' types are unknown
# pyright: reportUnknownVariableType=false

import json
import re
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from waypoint.errors import WaypointError
from waypoint.store.types import StrPath

if TYPE_CHECKING:  # planning imports no torch
    from torch import Tensor, nn

Header: TypeAlias = dict[str, tuple[tuple[int, ...], str]]  # {name: (shape, dtype)}

STEM = "diffusion_pytorch_model"  # diffusers' file name
SUFFIXES = (".safetensors", ".pt", ".pth", ".ckpt", ".bin")  # of weight files
LONGEST_HEADER = 100_000_000  # bytes; safetensors' own limit
FLOATS = {"F64", "F32", "F16", "BF16"}  # safetensors' names of the types of weights; quantised ones have others
COUNTS = {"I64", "BOOL", "I32"}  # types of numbers beside the weights, such as position_ids
LORA = re.compile(r"\blora[._](A|B|down|up|magnitude_vector)\b|\.lora_(A|B)\.|^lora_(unet|te)")
QUANTISED = re.compile(r"\.(absmax|quant_map|quant_state|SCB|qweight|qzeros|weight_format)\b")
UNFUSED = "base_layer"  # part of the names of layers that PEFT has wrapped


@dataclass(frozen=True)
class Weights:
    """The files of one network's weights.

    Attributes:
        files: sorted by name. variant: "fp16", or "" for the plain weights.
    """

    files: tuple[Path, ...]
    variant: str = ""


def find(folder: StrPath, stems: Sequence[str] = (STEM,)) -> Weights:
    """Find the ``Weights`` in a network's folder: plain rather than a variant, safetensors rather than pickled.

    Args:
        stems: of the file names, preferred ones first.

    Raises:
        WaypointError: there are none, several variants, or a shard is missing.
    """
    names = "|".join(map(re.escape, stems))
    candidates: dict[tuple[str, str], Path] = {}
    for file in sorted(Path(folder).iterdir()) if Path(folder).is_dir() else ():
        single = re.fullmatch(rf"({names})(?:\.([\w-]+))?\.(safetensors|bin)", file.name)
        index = re.fullmatch(rf"({names})\.(safetensors|bin)\.index(?:\.([\w-]+))?\.json", file.name)
        if index:
            candidates[(index[3] or "", index[2])] = file  # takes precedence over a single file, as in diffusers
        elif single and not re.search(r"-\d{5}-of-\d{5}", file.name):
            candidates.setdefault((single[2] or "", single[3]), file)
    variants = sorted({variant for variant, _ in candidates if variant})
    for variant in ["", *variants[: len(variants) == 1]]:
        for ending in ("safetensors", "bin"):
            if (variant, ending) in candidates:
                return Weights(tuple(_shards(candidates[variant, ending])), variant)
    if variants:
        raise WaypointError(f"{folder} holds several variants of the weights ({', '.join(variants)}); keep one of them")
    raise WaypointError(f"{Path(folder, f'{stems[0]}.safetensors')} is missing")


def _shards(file: Path) -> list[Path]:
    if file.suffix != ".json":
        return [file]
    try:
        names: set[object] = set(json.loads(file.read_text())["weight_map"].values())
    except (ValueError, KeyError, AttributeError, TypeError, OSError) as error:
        raise WaypointError(f"{file} is damaged ({error}); fetch it again") from error
    if not names or not all(isinstance(name, str) for name in names):
        raise WaypointError(f"{file} is damaged (its weight_map names no files); fetch it again")
    shards = [file.parent / name for name in sorted(map(str, names))]
    for shard in shards:
        require_there(shard)
    return shards


def require_there(file: StrPath) -> None:
    """Refuse a file that does not exist, with the reason.

    Raises:
        WaypointError: it is missing, a folder, or a link to nothing.
    """
    path = Path(file)
    if path.is_dir():
        raise WaypointError(f"{path} is a folder, not a file of weights; put the file in its place")
    if path.is_symlink() and not path.exists():
        raise WaypointError(f"{path} is a link to a file that is not there ({path.readlink()}); fetch it again")
    if not path.is_file():
        raise WaypointError(f"{path} is missing")


def require_whole(file: StrPath) -> None:
    """Refuse a weight file that is truncated or something else, judged by its first bytes and its size.

    Raises:
        WaypointError: names the file and says what is wrong.
    """
    require_there(file)
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


def header(file: StrPath) -> Header:
    """Read {name: (shape, dtype)} from the header of a safetensors file.

    Raises:
        WaypointError: the file is damaged or truncated.
    """
    size = Path(file).stat().st_size
    with open(file, "rb") as handle:
        length = int.from_bytes(handle.read(8), "little")
        if length > min(LONGEST_HEADER, size - 8):
            raise WaypointError(f"{file} is not a safetensors file, or it is cut short; fetch it again")
        try:
            entries: dict[str, Any] = json.loads(handle.read(length))
            tensors = {name: row for name, row in entries.items() if name != "__metadata__"}
            end = max((row["data_offsets"][1] for row in tensors.values()), default=0)
            shapes = {name: (tuple(row["shape"]), row["dtype"]) for name, row in tensors.items()}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise WaypointError(f"{file} is damaged ({error})") from error
    if 8 + length + end != size:
        raise WaypointError(f"{file} is cut short: {size} bytes of {8 + length + end}; fetch it again")
    return shapes


def refuse_other_kinds(names: Sequence[str] | Header) -> None:
    """Refuse tensors that are not a network's own weights, judged by their names.

    Args:
        names: the tensors' names, or {name: (shape, dtype)}.

    Raises:
        WaypointError: says what they are and what to do.
    """
    if quantised := next((name for name in names if QUANTISED.search(name)), None):
        raise WaypointError(f"its weights are quantised ({quantised}); store them in float32 or float16")
    if isinstance(names, dict):
        unknown = next((name for name, (_, dtype) in names.items() if not _is_plain(name, dtype)), None)
        if unknown:
            raise WaypointError(
                f"its weights are quantised ({unknown} is {names[unknown][1]}); store them in float32 or float16"
            )
    if adapter := next((name for name in names if LORA.search(name)), None):
        if wrapped := next((name for name in names if UNFUSED in name), None):
            plain = wrapped.replace(f".{UNFUSED}", "")
            raise WaypointError(
                f"its weights hold adapters of PEFT that are not fused: {wrapped} is unexpected, and {plain} is "
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


def header_of(tensors: "Mapping[str, Tensor]") -> Header:
    """Return what ``header`` would return for a file that holds the tensors."""
    return {name: (tuple(q.shape), _type_of(str(q.dtype).removeprefix("torch."))) for name, q in tensors.items()}


def _type_of(dtype: str) -> str:
    """Return safetensors' name of a type of torch's: F32 for float32."""
    if dtype == "bfloat16":
        return "BF16"
    return re.sub(r"^(float|int|uint)(?=\d+$)", lambda match: match[1][0], dtype).upper()


def require_finite(network: "nn.Module") -> None:
    """Refuse a network with a weight that is NaN or infinite: everything that it gives would be.

    Raises:
        WaypointError: names the weight.
    """
    for name, weight in network.state_dict().items():
        # a sum is finite if all its terms are, unless it overflows, and costs no memory
        if weight.is_floating_point() and not weight.sum().isfinite() and not weight.isfinite().all():
            raise WaypointError(
                f"its weights are not finite: {name} holds NaN or infinity; its training diverged, or the "
                "file is damaged"
            )


def _is_plain(name: str, dtype: str) -> bool:
    return dtype in FLOATS or dtype in COUNTS and not name.endswith((".weight", ".bias"))


def glance(folder: StrPath, stems: Sequence[str] = (STEM,)) -> None:
    """Check a network's weight files by their headers, without torch; missing files are not reported here.

    Raises:
        WaypointError: a file is damaged, or holds something else.
    """
    try:
        files = find(folder, stems).files
    except WaypointError:  # the job, or the process that builds networks, reports missing files
        return
    for file in files:
        require_whole(file)
        if file.suffix == ".safetensors":
            refuse_other_kinds(header(file))


def shapes(files: Iterable[Path]) -> dict[str, tuple[int, ...]]:
    """Read {name: shape} of the weights in some files, without their values.

    Raises:
        WaypointError: a file is damaged or something else; pickled code is never run.
    """
    shape_of: dict[str, tuple[int, ...]] = {}
    for file in files:
        require_whole(file)
        if file.suffix == ".safetensors":
            tensors = header(file)
            refuse_other_kinds(tensors)
            shape_of |= {name: shape for name, (shape, _) in tensors.items()}
        else:
            shape_of |= {name: tuple(tensor.shape) for name, tensor in read_state(file, "meta").items()}
    return shape_of


def read(files: Iterable[Path]) -> "dict[str, Tensor]":
    """Read {name: tensor} of the weights in some files, on the CPU.

    Raises:
        WaypointError: as ``shapes``.
    """
    from safetensors.torch import load_file

    tensors: dict[str, Tensor] = {}
    for file in files:
        require_whole(file)
        if file.suffix == ".safetensors":
            refuse_other_kinds(header(file))
            tensors |= load_file(file)
        else:
            tensors |= read_state(file, "cpu")
    return tensors


def read_state(file: StrPath, device: str) -> "dict[str, Tensor]":
    """Read the state dict {name: tensor} of a torch file.

    Args:
        device: "cpu", or "meta" to read no values.

    Raises:
        WaypointError: the file holds other objects; they are never created.
    """
    state = read_mapping(file, device)
    import torch

    if not state or not all(isinstance(tensor, torch.Tensor) for tensor in state.values()):
        raise WaypointError(f"{file} holds no state dict, a mapping of names to tensors")
    tensors = cast("dict[str, Tensor]", state)
    refuse_other_kinds(header_of(tensors))
    return dict(tensors)


def read_mapping(file: StrPath, device: str) -> dict[object, object]:
    """Read the mapping that a torch file holds.

    Raises:
        WaypointError: the file is damaged, holds objects other than tensors, numbers and strings, or holds no mapping.
    """
    import torch

    try:
        content: object = torch.load(file, map_location=device, weights_only=True)
    except Exception as error:  # torch raises many kinds of exceptions for unexpected files
        raise WaypointError(
            f"{file} cannot be read as tensors alone ({_reason(error)}); other objects are never loaded. Save the "
            "state dict by itself: torch.save(model.state_dict(), …)"
        ) from error
    if not isinstance(content, dict):
        raise WaypointError(f"{file} holds no state dict, a mapping of names to tensors, but {type(content).__name__}")
    return cast(dict[object, object], content)


def _reason(error: Exception) -> str:
    """Return the first line of torch's message, without its advice to load the file unsafely."""
    if match := re.search(r"GLOBAL ([\w.]+)", str(error)):
        return f"it also holds {match[1]}"
    message = re.sub(r".*WeightsUnpickler error:", "", str(error), flags=re.S)
    lines = [line.strip() for line in message.splitlines() if line.strip() and "weights_only" not in line]
    return (lines or [type(error).__name__])[0]
