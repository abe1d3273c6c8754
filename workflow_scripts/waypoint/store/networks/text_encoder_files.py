"""Checks of a text encoder's and a tokenizer's files that need no values of weights, so planning can do them."""

# transformers is partly untyped
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import re
from pathlib import Path
from typing import Any

from waypoint.errors import WaypointError
from waypoint.store.networks import weight_files

STEMS = ("model", "pytorch_model")  # of weight files
LOCAL: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}  # code in a folder is never run


def load_tokenizer(folder: Path, vocabulary: int, name: object) -> Any:
    """Load a tokenizer that gives no token unknown to its encoder.

    Args:
        vocabulary: number of tokens of the encoder. name: the model's name in errors.

    Raises:
        WaypointError: there is none, it has no vocabulary, or it has more tokens than the encoder.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(folder, **LOCAL)
    except Exception as error:  # every library involved raises exceptions of its own
        if not any(folder.glob("*token*")) and not any(folder.glob("vocab*")):
            raise WaypointError(
                f"text_encoder: {name} has no tokenizer; there are no files of one in {folder}"
            ) from error
        raise WaypointError(f"text_encoder: {name} cannot be loaded: its tokenizer in {folder} ({error})") from error
    files = tokenizer.vocab_files_names.values()
    if files and not any((folder / file).is_file() for file in files):  # every word would be unknown
        raise WaypointError(f"text_encoder: {name} has no vocabulary; a tokenizer needs {' or '.join(files)}")
    last = max(tokenizer.get_vocab().values(), default=0)
    if last >= vocabulary:
        raise WaypointError(
            f"text_encoder: {name} has a tokenizer of {last + 1} tokens, but its encoder has only {vocabulary} "
            "(vocab_size); use the tokenizer that it was trained with"
        )
    return tokenizer


def text_config(folder: Path) -> Any:
    """Return the configuration of a text encoder in its folder; a whole CLIP has one for its text model.

    Raises:
        OSError, ValueError: as transformers.
    """
    from transformers import AutoConfig

    config: Any = AutoConfig.from_pretrained(folder, **LOCAL)
    return getattr(config, "text_config", config)


def require_weights(folder: Path, projected: bool = False) -> None:
    """Refuse a text encoder whose weights are damaged, or do not fill its configuration; only shapes are read.

    Args:
        projected: whether its pooled caption is used, as that of SDXL's second encoder.

    Raises:
        WaypointError: names the file or the weight.
    """
    import torch
    from transformers import AutoModelForTextEncoding, CLIPTextModel, CLIPTextModelWithProjection

    stored = weight_files.shapes(weight_files.find(folder, STEMS).files)
    config = text_config(folder)
    with torch.device("meta"):
        if config.model_type == "clip_text_model":
            model: Any = (CLIPTextModelWithProjection if projected else CLIPTextModel)(config)
        else:
            model = AutoModelForTextEncoding.from_config(config)
    tied = {id(q) for name, q in model.named_parameters(remove_duplicate=False) if "embed" in name}
    wanted = {
        name: tuple(q.shape)
        for name, q in model.named_parameters()
        # a pooler comes after the last hidden states; a tied weight may be stored under its other name
        if "pooler." not in name and (id(q) not in tied or not _is_tied(model))
    }
    _compare(wanted, stored)


def _is_tied(model: Any) -> bool:
    return bool(getattr(model, "_tied_weights_keys", None))


def _compare(wanted: dict[str, tuple[int, ...]], stored: dict[str, tuple[int, ...]]) -> None:
    """Compare names and shapes; stored names may have other prefixes, and those of the first BERTs."""
    by_end: dict[str, list[tuple[int, ...]]] = {}
    for name, shape in stored.items():
        name = re.sub(r"\.gamma$", ".weight", re.sub(r"\.beta$", ".bias", name))
        parts = name.split(".")
        for k in range(len(parts)):
            by_end.setdefault(".".join(parts[k:]), []).append(shape)
    found = {name: by_end.get(name) or _without_prefix(by_end, name) for name in wanted}
    missing = sorted(name for name, shapes in found.items() if not shapes)
    if 2 * len(missing) > len(wanted):  # names that only transformers knows
        return
    if missing:
        others = f", and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise WaypointError(f"it lacks the weights {missing[0]}{others}")
    for name, shapes in found.items():
        if shapes and wanted[name] not in shapes:
            raise WaypointError(f"{name} has the shape {shapes[0]}, and its config wants {wanted[name]}")


def _without_prefix(by_end: dict[str, list[tuple[int, ...]]], name: str) -> list[tuple[int, ...]] | None:
    """Return the shapes stored under a name without its first part, unless too little of it is left."""
    rest = name.split(".", 1)[-1]
    return by_end.get(rest) if "." in rest else None
