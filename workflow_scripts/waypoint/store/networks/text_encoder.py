"""Text encoders: transformers models that embed captions for a text-conditional UNet."""

# transformers has no or partial type hints
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch

from waypoint.errors import WaypointError
from waypoint.store.artifacts.checksums import require_intact
from waypoint.store.artifacts.fingerprint import content_hash
from waypoint.store.artifacts.provenance import MARKER
from waypoint.store.networks.hub import fetch
from waypoint.store.types import StrPath

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

TEXT_ENCODER_PARTS = ("text_encoder", "tokenizer")  # of a pipeline's folder; other folders hold both side by side


def embedding_width(folder: StrPath) -> int:
    """The length of a token's embedding, from the configuration in a folder alone.

    Raises:
        WaypointError: there is no such model.
    """
    from transformers import AutoConfig

    encoder = Path(folder, TEXT_ENCODER_PARTS[0])
    try:
        config = AutoConfig.from_pretrained(
            encoder if encoder.is_dir() else folder, local_files_only=True, trust_remote_code=False
        )
        return getattr(config, "text_config", config).hidden_size  # of a whole CLIP model: that of its text model
    except Exception as error:  # each library on the way raises its own kinds
        raise WaypointError(f"text_encoder: {folder} cannot be loaded ({error})") from error


class TextEncoder:
    """Embedded captions, one vector for every token: call it with a list of texts.

    Captions are padded to one length, as Stable Diffusion's are; the UNet sees the padding's vectors too.

    Args:
        folder: a pipeline folder, or one that holds a transformers model and its tokenizer.
        max_length: tokens of every caption; longer ones are cut. None: the tokenizer's own limit.

    Attributes:
        length, width: shape of an embedded caption.

    Raises:
        WaypointError: the model is missing, damaged, or of a kind that Waypoint does not know.
    """

    def __init__(self, folder: StrPath, max_length: int | None = None, device: torch.device | str = "cpu"):
        from transformers import AutoConfig, AutoModelForTextEncoding, AutoTokenizer, CLIPTextModel

        require_intact(folder)
        encoder, tokenizer = (
            part if part.is_dir() else Path(folder) for part in (Path(folder, name) for name in TEXT_ENCODER_PARTS)
        )
        try:
            # code that a folder brings along is never run
            model_type = AutoConfig.from_pretrained(encoder, local_files_only=True, trust_remote_code=False).model_type
            self.clip = model_type in ("clip", "clip_text_model")
            kind = CLIPTextModel if self.clip else AutoModelForTextEncoding
            loaded = kind.from_pretrained(
                encoder,
                use_safetensors=True,
                output_loading_info=True,
                local_files_only=True,
                trust_remote_code=False,
            )
            model, info = cast(tuple[Any, Mapping[str, Iterable[str]]], loaded)
            self.tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
                tokenizer, local_files_only=True, trust_remote_code=False
            )
        except Exception as error:  # each library on the way raises its own kinds
            raise WaypointError(f"text_encoder: {folder} cannot be loaded ({error})") from error
        # a pooler comes after the last hidden states; many encoders are stored without one
        missing = sorted(key for key in info["missing_keys"] if "pooler." not in key)
        if missing:
            raise WaypointError(f"text_encoder: {folder} lacks the weights {', '.join(missing[:3])}")
        files = self.tokenizer.vocab_files_names.values()
        if files and not any((tokenizer / name).is_file() for name in files):  # every word would be the unknown one
            raise WaypointError(f"text_encoder: {folder} has no vocabulary; a tokenizer needs {' or '.join(files)}")
        self.model = model.eval().to(device)
        positions = getattr(self.model.config, "max_position_embeddings", None) or 1 << 20
        limit = min(self.tokenizer.model_max_length, positions)
        if limit == 1 << 20 and max_length is None:
            raise WaypointError(f"text_encoder.max_length: {folder} has no limit of its own; set it")
        if max_length is not None and max_length > limit:
            raise WaypointError(f"text_encoder.max_length: {max_length} is more than the {limit} tokens of {folder}")
        self.length: int = max_length or limit
        self.width: int = self.model.config.hidden_size

    def too_long(self, captions: Iterable[str]) -> list[int]:
        """Places, ascending, of the captions that have more tokens than are read."""
        tokens = self.tokenizer(list(captions), truncation=False, verbose=False).input_ids
        return [place for place, ids in enumerate(tokens) if len(ids) > self.length]

    @torch.inference_mode()
    def __call__(self, captions: Iterable[str]) -> torch.Tensor:
        """The last hidden states (n, length, width), float32 on the CPU."""
        tokens = self.tokenizer(
            list(captions), padding="max_length", max_length=self.length, truncation=True, return_tensors="pt"
        ).to(self.model.device)
        # Stable Diffusion's CLIP attends to its padding; other encoders were trained not to
        mask = None if self.clip else tokens.attention_mask
        return self.model(tokens.input_ids, attention_mask=mask).last_hidden_state.float().cpu()


def text_encoder_identity(folder: StrPath) -> str:
    """SHA-256 of the files of a stored text encoder and its tokenizer, on which an embedded caption depends."""
    return content_hash(sorted(file for file in Path(folder).rglob("*") if file.is_file() and file.name != MARKER))


def copy(source: str, folder: StrPath) -> None:
    """Copy a text encoder and its tokenizer from a folder or hub id to ``folder``, without files that loading ignores.

    Raises:
        WaypointError: there is no such model.
    """
    fetched = Path(fetch(source, "text_encoder", TEXT_ENCODER_PARTS))
    kept = (".json", ".txt", ".model", ".safetensors")
    parts = [fetched / name for name in TEXT_ENCODER_PARTS if (fetched / name).is_dir()] or [fetched]
    for part in parts:
        to = folder if part == fetched else Path(folder, part.name)
        Path(to).mkdir(parents=True, exist_ok=True)
        for file in sorted(part.iterdir()):
            if file.is_file() and file.suffix in kept:
                shutil.copyfile(file, Path(to, file.name))
