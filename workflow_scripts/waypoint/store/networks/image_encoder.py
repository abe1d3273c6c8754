"""Image encoders from local files (transformers' CLIP, timm, torchvision), identified by their weights' hash.

Torch and the model libraries are imported only to build a network; planning needs only the hash. Pickled code is never
run: state dicts are read with ``weights_only``.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

# transformers, timm and torchvision have no or partial type hints
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false, reportMissingTypeStubs=false
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from waypoint.errors import WaypointError
from waypoint.store.artifacts.fingerprint import content_hash, file_hash
from waypoint.store.networks.state_dicts import load_in_order, read_state
from waypoint.store.types import Attributes, StrPath

if TYPE_CHECKING:
    import torch
    from torch import nn
    from transformers import PreTrainedTokenizerBase

Device: TypeAlias = "torch.device | str"

SETTINGS = {".json", ".txt"}  # suffixes in a CLIP folder: sizes, processor, tokenizer
IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225), "size": 224}  # inputs of torchvision's weights


def weights_hash(place: StrPath) -> str:
    """Return the SHA-256 of a weights file, or of all files in a CLIP folder that its embeddings depend on.

    Raises:
        OSError: a file cannot be read.
    """
    return content_hash(_model_files(Path(place))) if Path(place).is_dir() else file_hash(place)


def has_weights(folder: StrPath) -> bool:
    """Return whether a CLIP folder holds weights."""
    return any(file.suffix not in SETTINGS for file in _model_files(Path(folder)))


def _model_files(folder: Path) -> list[Path]:
    """Return settings and weights, without pickled weights beside safetensors, which are never read."""
    files = sorted(file for file in folder.iterdir() if file.is_file())
    weights = [file for file in files if file.suffix == ".safetensors"]
    return [file for file in files if file.suffix in SETTINGS] + (weights or [f for f in files if f.suffix == ".bin"])


class ImageEncoder:
    """Embeds images, and captions too if the model is an image-text one.

    Args:
        name: its key in the config's ``image_encoders``.
        settings: its entry in specs: ``kind``; ``name``, ``mean``, ``std`` and ``size`` if set; and ``sha256`` of its
            weights, or ``hub``, an id.
        place: a folder, file or hub id.

    Raises:
        WaypointError: there is no such network, the weights do not fit it, or they changed since planning.
    """

    def __init__(self, name: str, settings: Attributes, place: str, device: Device = "cpu"):
        self.key, self.device = f"image_encoders.{name}", device
        _require_hash(self.key, settings, place)
        kinds: dict[str, type[_Clip | _Timm | _Torchvision]] = {
            "clip": _Clip,
            "timm": _Timm,
            "torchvision": _Torchvision,
        }
        self.model = kinds[settings["kind"]](self.key, settings, place, device)

    def __call__(self, images: "torch.Tensor") -> "torch.Tensor":
        """Return float32 embeddings (B, F) of images (B, 1 or 3, H, W) in [-1, 1]; grey is repeated to three channels.

        Raises:
            WaypointError: the images have another number of channels, or the network returns no vectors.
        """
        import torch

        if images.shape[1] not in (1, 3):
            raise WaypointError(f"{self.key}: it sees grey or RGB images, not {images.shape[1]} channels")
        colour = ((images.to(self.device) + 1) / 2).clamp(0, 1).expand(-1, 3, -1, -1)
        with torch.inference_mode():
            embedded = cast(object, self.model.embed(colour))
        if not isinstance(embedded, torch.Tensor) or embedded.ndim != 2:
            raise WaypointError(
                f"{self.key}: the network does not return one vector per image; choose an image classifier"
            )
        return embedded.float()

    def captions(self, texts: Sequence[str]) -> "torch.Tensor":
        """Return float32 embeddings (n, F) of captions, in the space of the images.

        Raises:
            WaypointError: the model is not an image-text model.
        """
        import torch

        if not isinstance(self.model, _Clip):
            raise WaypointError(f"{self.key}: it cannot embed captions; use an encoder of kind clip")
        with torch.inference_mode():
            return self.model.embed_captions(texts).float()


def _require_hash(key: str, settings: Attributes, place: str) -> None:
    if "sha256" not in settings:
        return
    try:
        actual = weights_hash(place)
    except OSError as error:
        raise WaypointError(f"{key}: {error.filename or place} cannot be read ({error.strerror})") from error
    if actual != settings["sha256"]:
        raise WaypointError(f"{key}: {place} changed while the workflow ran; run it again")


class _Clip:
    """transformers' CLIPModel, which sees images through its processor."""

    def __init__(self, key: str, settings: Attributes, place: str, device: Device):
        from transformers import AutoTokenizer, CLIPImageProcessor, CLIPModel
        from transformers.utils import logging

        logging.disable_progress_bar()
        self.key, self.device = key, device
        local = Path(place).is_dir()
        try:
            loaded = CLIPModel.from_pretrained(place, output_loading_info=True, local_files_only=local)
            model, info = cast(tuple[Any, Mapping[str, Iterable[str]]], loaded)
            self.processor = CLIPImageProcessor.from_pretrained(place, local_files_only=local)
        except Exception as error:  # every library involved raises exceptions of its own
            raise WaypointError(f"{key}.path: {place} cannot be loaded as a CLIP model ({error})") from error
        if missing := sorted(info["missing_keys"]):  # transformers would fill in random weights, with a warning
            raise WaypointError(f"{key}.path: {place} lacks weights of its model: {', '.join(missing[:3])}")
        self.model = model.eval().to(device)
        self.tokenizer: Callable[[], PreTrainedTokenizerBase] = partial(
            AutoTokenizer.from_pretrained, place, trust_remote_code=False, local_files_only=local
        )

    def embed(self, colour: "torch.Tensor") -> "torch.Tensor":
        """Return embeddings of images (B, 3, H, W) in [0, 1], rounded to the 8 bits that the processor expects."""
        import torch

        eight_bits = (colour * 255).round().to(torch.uint8)
        pixels = self.processor(images=list(eight_bits), return_tensors="pt")["pixel_values"]
        return _projected(self.model.get_image_features(pixel_values=pixels.to(self.device)))

    def embed_captions(self, texts: Sequence[str]) -> "torch.Tensor":
        """Return embeddings of captions."""
        try:
            tokenizer = self.tokenizer()
        except Exception as error:
            raise WaypointError(f"{self.key}.path: its tokenizer cannot be loaded ({error})") from error
        # without files, transformers builds an empty tokenizer
        if set(tokenizer.get_vocab()) <= set(tokenizer.all_special_tokens):
            raise WaypointError(
                f"{self.key}.path: there is no tokenizer (tokenizer.json, or vocab.json and merges.txt)"
            )
        longest = self.model.config.text_config.max_position_embeddings
        tokens = tokenizer(list(texts), padding=True, return_tensors="pt")
        if tokens["input_ids"].shape[1] > longest:
            raise WaypointError(
                f"evaluation.caption_likelihood.captions: {max(texts, key=len)!r} has more than the {longest} tokens "
                f"that {self.key} reads"
            )
        return _projected(self.model.get_text_features(**tokens.to(self.device)))


def _projected(output: object) -> "torch.Tensor":
    """Return the embeddings, which transformers 5 wraps in an object."""
    return cast("torch.Tensor", getattr(output, "pooler_output", output))


class _Classifier:
    """An image classifier without its last layer; images are resized, not cropped."""

    network: "nn.Module"
    size: int
    mean: "torch.Tensor"
    std: "torch.Tensor"

    def embed(self, colour: "torch.Tensor") -> "torch.Tensor":
        """Return embeddings of images (B, 3, H, W) in [0, 1]."""
        import torch

        side = [self.size] * 2
        resized = torch.nn.functional.interpolate(colour, side, mode="bicubic", antialias=True).clamp(0, 1)
        return self.network((resized - self.mean) / self.std)

    def prepare(self, network: "nn.Module", settings: Attributes, defaults: Attributes, device: Device) -> None:
        """Set the network and its input settings, or their defaults."""
        import torch

        self.network, self.size = network.eval().to(device), settings.get("size") or defaults["size"]
        for name in ("mean", "std"):
            value = torch.as_tensor(settings.get(name, defaults[name]), dtype=torch.float32, device=device)
            setattr(self, name, value.expand(3)[:, None, None])


class _Timm(_Classifier):
    """Pooled features of a timm network."""

    def __init__(self, key: str, settings: Attributes, place: str, device: Device):
        import timm

        try:
            network: Any = timm.create_model(settings["name"], pretrained=False)
        except Exception as error:
            raise WaypointError(f"{key}.name: timm has no network {settings['name']!r} ({error})") from error
        config: Attributes = network.pretrained_cfg
        head: str | Sequence[str] = config.get("classifier") or ()
        heads = (head,) if isinstance(head, str) else tuple(head)
        load_in_order(network, heads, read_state(place, f"{key}.weights"), f"{key}.weights: {place}")
        network.reset_classifier(0)
        defaults = {"mean": config["mean"], "std": config["std"], "size": config["input_size"][-1]}
        self.prepare(network, settings, defaults, device)


class _Torchvision(_Classifier):
    """A torchvision network whose last linear layer is replaced by the identity."""

    def __init__(self, key: str, settings: Attributes, place: str, device: Device):
        import torch
        import torchvision

        try:
            network = torchvision.models.get_model(settings["name"], weights=None)
        except Exception as error:
            raise WaypointError(f"{key}.name: torchvision has no network {settings['name']!r} ({error})") from error
        linear = [name for name, layer in network.named_modules() if isinstance(layer, torch.nn.Linear)]
        if not linear:
            raise WaypointError(f"{key}.name: {settings['name']} ends in no linear layer that could be left out")
        load_in_order(network, linear[-1:], read_state(place, f"{key}.weights"), f"{key}.weights: {place}")
        network.set_submodule(linear[-1], torch.nn.Identity())
        self.prepare(network, settings, IMAGENET, device)
