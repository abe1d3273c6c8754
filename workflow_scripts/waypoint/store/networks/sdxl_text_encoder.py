"""SDXL's two text encoders as one: the vectors of both side by side, followed by the second's pooled caption."""

# transformers is partly untyped
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from waypoint.errors import WaypointError
from waypoint.science.networks.sdxl import pack, rows_for
from waypoint.store.artifacts.checksums import require_intact
from waypoint.store.networks.weight_files import require_finite
from waypoint.store.types import StrPath

FIRST, SECOND = ("text_encoder", "tokenizer"), ("text_encoder_2", "tokenizer_2")
INDEX = "model_index.json"  # says how an empty caption is embedded
ZEROS = "force_zeros_for_empty_prompt"


def is_pair(folder: StrPath) -> bool:
    """Return whether a folder holds SDXL's two text encoders."""
    return Path(folder, SECOND[0]).is_dir()


class SDXLTextEncoder:
    """Embeds a list of captions, when called, as SDXL's UNet takes them.

    Uses the last hidden states but one of both encoders, as diffusers' pipeline does. The empty caption, which stands
    for no caption in guidance and training, is all zeros unless the pipeline's folder says otherwise.

    Args:
        folder: a pipeline's folder, with text_encoder, tokenizer, text_encoder_2, tokenizer_2.
        max_length: tokens per caption; longer ones are cut. None: the tokenizers' own limit.
        name: the folder's name in errors; default: its path.

    Attributes:
        length, width: shape of an embedded caption, including the rows of the pooled one.

    Raises:
        WaypointError: an encoder or tokenizer is missing, damaged, or cannot be loaded.
    """

    def __init__(
        self,
        folder: StrPath,
        max_length: int | None = None,
        device: torch.device | str = "cpu",
        name: StrPath | None = None,
    ) -> None:
        from transformers import AutoTokenizer, CLIPTextModel, CLIPTextModelWithProjection

        require_intact(folder)
        name = name or folder
        local: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
        self.models: list[Any] = []
        self.tokenizers: list[Any] = []
        kinds: tuple[Any, Any] = (CLIPTextModel, CLIPTextModelWithProjection)
        for (encoder, tokenizer), kind in zip((FIRST, SECOND), kinds):
            try:
                model, info = kind.from_pretrained(
                    Path(folder, encoder), use_safetensors=True, output_loading_info=True, **local
                )
                self.tokenizers.append(AutoTokenizer.from_pretrained(Path(folder, tokenizer), **local))
            except Exception as error:  # every library involved raises exceptions of its own
                raise WaypointError(f"text_encoder: {name}/{encoder} cannot be loaded ({error})") from error
            if info["missing_keys"]:
                missing = ", ".join(sorted(info["missing_keys"])[:3])
                raise WaypointError(f"text_encoder: {name}/{encoder} lacks the weights {missing}")
            try:
                require_finite(model)
            except WaypointError as error:
                raise WaypointError(f"text_encoder: {name}/{encoder}: {error}") from error
            self.models.append(model.eval().to(device))
        limit = min(tokenizer.model_max_length for tokenizer in self.tokenizers)
        limit = min(limit, *(model.config.max_position_embeddings for model in self.models))
        if max_length is not None and max_length > limit:
            raise WaypointError(f"text_encoder.max_length: {max_length} is more than the {limit} tokens of {name}")
        self.tokens = max_length or limit
        self.width = sum(model.config.hidden_size for model in self.models)
        self.length = self.tokens + rows_for(self.width, self.models[1].config.projection_dim)
        index = Path(folder, INDEX)
        self.zeros = json.loads(index.read_text()).get(ZEROS, True) if index.is_file() else True

    def too_long(self, captions: Sequence[str]) -> list[int]:
        """Return the indices, ascending, of captions with more tokens than the encoders read."""
        tokens = self.tokenizers[0](list(captions), truncation=False, verbose=False).input_ids
        return [i for i, ids in enumerate(tokens) if len(ids) > self.tokens]

    @torch.inference_mode()
    def __call__(self, captions: Sequence[str]) -> torch.Tensor:
        """Return embedded captions (n, length, width), float32 on the CPU."""
        hidden: list[torch.Tensor] = []
        pooled = torch.empty(0)
        for model, tokenizer in zip(self.models, self.tokenizers):
            tokens = tokenizer(
                list(captions), padding="max_length", max_length=self.tokens, truncation=True, return_tensors="pt"
            )
            output = model(tokens.input_ids.to(model.device), output_hidden_states=True)
            hidden.append(output.hidden_states[-2])
            pooled = output[0]  # the second encoder's remains
        packed = pack(torch.cat(hidden, 2), pooled).float().cpu()
        if self.zeros:
            packed[[i for i, caption in enumerate(captions) if not caption]] = 0
        return packed
