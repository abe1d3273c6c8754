"""Image encoders from local files (transformers' CLIP, timm, torchvision), identified by their weights' hash.

Torch and the model libraries are imported only where a network is built: planning asks for the hash alone. No file
is ever unpickled: state dicts are read with ``weights_only``.
"""

from pathlib import Path

from waypoint.errors import WaypointError
from waypoint.store.artifacts.fingerprint import content_hash, file_hash
from waypoint.store.networks.state_dicts import load_in_order, read_state

SETTINGS = {".json", ".txt"}  # of a CLIP folder: sizes, processor, tokenizer
IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225), "size": 224}  # torchvision's weights


def weights_hash(place):
    """SHA-256 of a weights file, or of all that a CLIP folder's embeddings depend on.

    Raises:
        OSError: something cannot be read.
    """
    return content_hash(_model_files(Path(place))) if Path(place).is_dir() else file_hash(place)


def has_weights(folder):
    """Whether a CLIP folder holds weights."""
    return any(file.suffix not in SETTINGS for file in _model_files(Path(folder)))


def _model_files(folder):
    """Settings and weights; pickled weights beside safetensors are not read, so they do not count."""
    files = sorted(file for file in folder.iterdir() if file.is_file())
    weights = [file for file in files if file.suffix == ".safetensors"]
    return [file for file in files if file.suffix in SETTINGS] + (weights or [f for f in files if f.suffix == ".bin"])


class ImageEncoder:
    """Embeddings of images, and of captions where the model is an image-text one.

    Args:
        name: its key in the config's ``image_encoders``.
        settings: its entry as specs hold it: ``kind``, ``name``, ``mean``, ``std``, ``size`` where they are given, and
            ``sha256`` of its weights, or ``hub``, an id.
        place: folder, file or hub id.

    Raises:
        WaypointError: no such network, weights that do not fit it, or not those that the run was planned with.
    """

    def __init__(self, name, settings, place, device="cpu"):
        self.key, self.device = f"image_encoders.{name}", device
        _require_hash(self.key, settings, place)
        build = {"clip": _Clip, "timm": _Timm, "torchvision": _Torchvision}[settings["kind"]]
        self.model = build(self.key, settings, place, device)

    def __call__(self, images):
        """Embeddings (B, F), float32, of images (B, 1 or 3, H, W) in [-1, 1]; grey ones are repeated to three channels.

        Raises:
            WaypointError: another number of channels, or a network that gives no vectors.
        """
        import torch

        if images.shape[1] not in (1, 3):
            raise WaypointError(f"{self.key}: it sees grey or RGB images, not {images.shape[1]} channels")
        colour = ((images.to(self.device) + 1) / 2).clamp(0, 1).expand(-1, 3, -1, -1)
        with torch.inference_mode():
            found = self.model.embed(colour)
        if not isinstance(found, torch.Tensor) or found.ndim != 2:
            raise WaypointError(f"{self.key}: the network gives no vector per image; name one that classifies images")
        return found.float()

    def captions(self, texts):
        """Embeddings (n, F), float32, of captions, in the space of the images.

        Raises:
            WaypointError: not an image-text model.
        """
        import torch

        if not isinstance(self.model, _Clip):
            raise WaypointError(f"{self.key}: it knows no captions; an encoder of kind clip does")
        with torch.inference_mode():
            return self.model.embed_captions(texts).float()


def _require_hash(key, settings, place):
    if "sha256" not in settings:
        return
    try:
        found = weights_hash(place)
    except OSError as error:
        raise WaypointError(f"{key}: {error.filename or place} cannot be read ({error.strerror})") from error
    if found != settings["sha256"]:
        raise WaypointError(f"{key}: {place} changed while the workflow ran; run it again")


class _Clip:
    """transformers' CLIPModel, seen through its own processor."""

    def __init__(self, key, settings, place, device):
        from transformers import AutoTokenizer, CLIPImageProcessor, CLIPModel
        from transformers.utils import logging

        logging.disable_progress_bar()
        self.key, self.device = key, device
        local = {"local_files_only": Path(place).is_dir()}
        try:
            model, info = CLIPModel.from_pretrained(place, output_loading_info=True, **local)
            self.processor = CLIPImageProcessor.from_pretrained(place, **local)
        except Exception as error:  # each library on the way raises its own kinds
            raise WaypointError(f"{key}.path: {place} cannot be loaded as a CLIP model ({error})") from error
        if amiss := sorted(info["missing_keys"]):  # transformers would fill in random weights, with a warning
            raise WaypointError(f"{key}.path: {place} lacks weights of its model: {', '.join(amiss[:3])}")
        self.model = model.eval().to(device)
        self.tokenizer = lambda: AutoTokenizer.from_pretrained(place, trust_remote_code=False, **local)

    def embed(self, colour):
        """(B, 3, H, W) in [0, 1], as 8 bits per channel, which image files hold and the processor is made for."""
        import torch

        eight_bits = (colour * 255).round().to(torch.uint8)
        pixels = self.processor(images=list(eight_bits), return_tensors="pt")["pixel_values"]
        return _projected(self.model.get_image_features(pixel_values=pixels.to(self.device)))

    def embed_captions(self, texts):
        try:
            tokenizer = self.tokenizer()
        except Exception as error:
            raise WaypointError(f"{self.key}.path: its tokenizer cannot be loaded ({error})") from error
        if set(tokenizer.get_vocab()) <= set(tokenizer.all_special_tokens):  # transformers makes an empty one
            raise WaypointError(
                f"{self.key}.path: no tokenizer is there (tokenizer.json, or vocab.json and merges.txt)"
            )
        longest = self.model.config.text_config.max_position_embeddings
        tokens = tokenizer(list(texts), padding=True, return_tensors="pt")
        if tokens["input_ids"].shape[1] > longest:
            raise WaypointError(
                f"evaluation.caption_likelihood.captions: {max(texts, key=len)!r} has more than the {longest} tokens "
                f"that {self.key} reads"
            )
        return _projected(self.model.get_text_features(**tokens.to(self.device)))


def _projected(found):
    """The embeddings; transformers 5 wraps them."""
    return getattr(found, "pooler_output", found)


class _Classifier:
    """A network that classifies images, without its last layer; images are resized, not cropped."""

    def embed(self, colour):
        """(B, 3, H, W) in [0, 1]."""
        import torch

        side = [self.size] * 2
        fitting = torch.nn.functional.interpolate(colour, side, mode="bicubic", antialias=True).clamp(0, 1)
        return self.network((fitting - self.mean) / self.std)

    def prepare(self, network, settings, defaults, device):
        import torch

        self.network, self.size = network.eval().to(device), settings.get("size") or defaults["size"]
        for name in ("mean", "std"):
            value = torch.as_tensor(settings.get(name, defaults[name]), dtype=torch.float32, device=device)
            setattr(self, name, value.expand(3)[:, None, None])


class _Timm(_Classifier):
    """timm's network of that name: its pooled features."""

    def __init__(self, key, settings, place, device):
        import timm

        try:
            network = timm.create_model(settings["name"], pretrained=False)
        except Exception as error:
            raise WaypointError(f"{key}.name: timm makes no network {settings['name']!r} ({error})") from error
        own = network.pretrained_cfg
        head = own.get("classifier") or ()
        heads = (head,) if isinstance(head, str) else tuple(head)
        load_in_order(network, heads, read_state(place, f"{key}.weights"), f"{key}.weights: {place}")
        network.reset_classifier(0)
        defaults = {"mean": own["mean"], "std": own["std"], "size": own["input_size"][-1]}
        self.prepare(network, settings, defaults, device)


class _Torchvision(_Classifier):
    """torchvision's network of that name, its last linear layer replaced by the identity."""

    def __init__(self, key, settings, place, device):
        import torch
        import torchvision

        try:
            network = torchvision.models.get_model(settings["name"], weights=None)
        except Exception as error:
            raise WaypointError(f"{key}.name: torchvision makes no network {settings['name']!r} ({error})") from error
        linear = [name for name, layer in network.named_modules() if isinstance(layer, torch.nn.Linear)]
        if not linear:
            raise WaypointError(f"{key}.name: {settings['name']} ends in no linear layer that could be left out")
        load_in_order(network, linear[-1:], read_state(place, f"{key}.weights"), f"{key}.weights: {place}")
        network.set_submodule(linear[-1], torch.nn.Identity())
        self.prepare(network, settings, IMAGENET, device)
