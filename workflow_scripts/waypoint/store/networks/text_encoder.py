"""Text encoders: transformers folders that turn captions into the embeddings a text-conditional UNet attends to."""

# transformers is partly untyped
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from waypoint.errors import WaypointError
from waypoint.store.artifacts.checksums import require_intact
from waypoint.store.artifacts.fingerprint import content_hash
from waypoint.store.artifacts.provenance import MARKER
from waypoint.store.networks import weight_files
from waypoint.store.networks.hub import fetch
from waypoint.store.networks.layouts import read_json
from waypoint.store.networks.sdxl_text_encoder import INDEX, SDXLTextEncoder, is_pair
from waypoint.store.networks.text_encoder_files import LOCAL, STEMS, load_tokenizer, require_weights, text_config
from waypoint.store.types import StrPath

COPIED = (".json", ".txt", ".model", ".safetensors")  # suffixes of the files that loading needs
PLAIN = ("model.safetensors", "model.safetensors.index.json")
# folders of a pipeline; other sources have the files of the first two in one folder. Only SDXL has the last two
TEXT_ENCODER_PARTS = ("text_encoder", "tokenizer", "text_encoder_2", "tokenizer_2")
PAIRS = (TEXT_ENCODER_PARTS[:2], TEXT_ENCODER_PARTS[2:])


def load_text_encoder(
    folder: StrPath, max_length: int | None = None, device: torch.device | str = "cpu", name: StrPath | None = None
) -> "TextEncoder | SDXLTextEncoder":
    """Load a ``TextEncoder``, or an ``SDXLTextEncoder`` if the folder holds two; arguments and errors are theirs."""
    kind = SDXLTextEncoder if is_pair(folder) else TextEncoder
    return kind(folder, max_length, device, name)


def embedding_width(folder: StrPath) -> int:
    """Return the width of a token's embedding, after checking a folder's files without reading values of weights.

    Raises:
        WaypointError: there is no such model, its weights do not fill its configuration, or its tokenizer is missing,
            damaged, or has more tokens than the encoder.
    """
    pairs = PAIRS if is_pair(folder) else PAIRS[:1]
    return sum(_width(Path(folder), *pair) for pair in pairs)


def _width(folder: Path, encoder: str, tokenizer: str) -> int:
    place = folder / encoder if (folder / encoder).is_dir() else folder
    try:
        config = text_config(place)
        require_weights(place, encoder == PAIRS[1][0])
    except Exception as error:  # every library involved raises exceptions of its own
        reason = f": {error}" if isinstance(error, WaypointError) else f" ({error})"
        raise WaypointError(f"text_encoder: {place} cannot be loaded{reason}") from error
    load_tokenizer(folder / tokenizer if (folder / tokenizer).is_dir() else folder, config.vocab_size, folder)
    return config.hidden_size


class TextEncoder:
    """Embeds a list of captions when called, with one vector per token.

    Captions are padded to one length, as in Stable Diffusion; the UNet also sees the vectors of the padding.

    Args:
        folder: a pipeline folder, or one that holds a transformers model and its tokenizer.
        max_length: tokens per caption; longer ones are cut. None: the tokenizer's own limit.
        name: the folder's name in errors; default: its path.

    Attributes:
        length, width: shape of an embedded caption.

    Raises:
        WaypointError: there is no such model, or it is damaged or of an unknown kind.
    """

    def __init__(
        self,
        folder: StrPath,
        max_length: int | None = None,
        device: torch.device | str = "cpu",
        name: StrPath | None = None,
    ) -> None:
        from transformers import AutoConfig, AutoModelForTextEncoding, CLIPTextModel

        require_intact(folder)
        encoder, tokenizer = (
            part if part.is_dir() else Path(folder) for part in (Path(folder, name) for name in TEXT_ENCODER_PARTS[:2])
        )
        name = name or folder
        try:
            model_type = AutoConfig.from_pretrained(encoder, **LOCAL).model_type
            self.clip = model_type in ("clip", "clip_text_model")
            kind: Any = CLIPTextModel if self.clip else AutoModelForTextEncoding
            self.model, info = kind.from_pretrained(encoder, use_safetensors=True, output_loading_info=True, **LOCAL)
        except Exception as error:  # every library involved raises exceptions of its own
            raise WaypointError(f"text_encoder: {name} cannot be loaded ({error})") from error
        # a pooler comes after the last hidden states; many encoders are stored without one
        missing = sorted(key for key in info["missing_keys"] if "pooler." not in key)
        if missing:
            raise WaypointError(f"text_encoder: {name} lacks the weights {', '.join(missing[:3])}")
        try:
            weight_files.require_finite(self.model)
        except WaypointError as error:
            raise WaypointError(f"text_encoder: {name}: {error}") from error
        self.tokenizer = load_tokenizer(tokenizer, self.model.config.vocab_size, name)
        self.model.eval().to(device)
        positions = getattr(self.model.config, "max_position_embeddings", None) or 1 << 20
        limit = min(self.tokenizer.model_max_length, positions)
        if limit == 1 << 20 and max_length is None:
            raise WaypointError(f"text_encoder.max_length: {name} has no limit of its own; set it")
        if max_length is not None and max_length > limit:
            raise WaypointError(f"text_encoder.max_length: {max_length} is more than the {limit} tokens of {name}")
        self.length, self.width = max_length or limit, self.model.config.hidden_size

    def too_long(self, captions: Sequence[str]) -> list[int]:
        """Return the indices, ascending, of captions with more tokens than the encoder reads."""
        tokens = self.tokenizer(list(captions), truncation=False, verbose=False).input_ids
        return [i for i, ids in enumerate(tokens) if len(ids) > self.length]

    @torch.inference_mode()
    def __call__(self, captions: Sequence[str]) -> torch.Tensor:
        """Return the last hidden states (n, length, width), float32 on the CPU."""
        tokens = self.tokenizer(
            list(captions), padding="max_length", max_length=self.length, truncation=True, return_tensors="pt"
        ).to(self.model.device)
        # Stable Diffusion's CLIP attends to its padding; other encoders were trained not to
        mask = None if self.clip else tokens.attention_mask
        return self.model(tokens.input_ids, attention_mask=mask).last_hidden_state.float().cpu()


def text_encoder_identity(folder: StrPath) -> str:
    """Return the SHA-256 of a stored text encoder's and tokenizer's files, on which every embedding depends."""
    return content_hash(sorted(file for file in Path(folder).rglob("*") if file.is_file() and file.name != MARKER))


def copy(source: str, folder: StrPath) -> None:
    """Copy a text encoder and its tokenizer from a folder or hub id to ``folder``: only what loading them needs.

    Weights that are pickled, or exist only as a variant, are stored as safetensors under the plain name.

    Raises:
        WaypointError: there is none, or its weights cannot be read.
    """
    place = Path(fetch(source, "text_encoder", TEXT_ENCODER_PARTS))
    parts = [place / name for name in TEXT_ENCODER_PARTS if (place / name).is_dir()] or [place]
    for part in parts:
        target = Path(folder if part == place else Path(folder, part.name))
        target.mkdir(parents=True, exist_ok=True)
        plain = any((part / name).is_file() for name in PLAIN)
        for file in sorted(part.iterdir()):
            is_weights = file.name.endswith(".safetensors") or ".index." in file.name
            if file.is_file() and file.suffix in COPIED and (plain or not is_weights):
                shutil.copyfile(file, target / file.name)
        if not plain and part.name not in TEXT_ENCODER_PARTS[1::2]:
            _convert(part, target)
    if is_pair(place) and (place / INDEX).is_file():
        shutil.copyfile(place / INDEX, Path(folder, INDEX))


def _convert(part: Path, target: Path) -> None:
    """Store a folder's weights as float32 safetensors, and name that dtype in its configuration."""
    try:
        weights = weight_files.find(part, STEMS)
        state = weight_files.read(weights.files)
    except WaypointError as error:
        raise WaypointError(f"text_encoder: {part} cannot be loaded: {error}") from error
    state = {name: (q.float() if q.is_floating_point() else q).clone() for name, q in state.items()}
    save_file(state, target / PLAIN[0], metadata={"format": "pt"})
    config = read_json(target / "config.json")
    for key in {"dtype", "torch_dtype"} & config.keys():
        config[key] = "float32"
    (target / "config.json").write_text(json.dumps(config, indent=2) + "\n")
