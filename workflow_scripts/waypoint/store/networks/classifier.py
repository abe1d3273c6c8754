"""Classifier folders: safetensors weights, their config, and the marker with their attributes. Imports no diffusers."""

# science has no or partial type hints
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false
import json
from collections.abc import Callable
from pathlib import Path

import torch
import zarr
from safetensors.torch import load_file, save_file

from waypoint.errors import WaypointError
from waypoint.science.evaluation.classifier import Classifier
from waypoint.store.artifacts.atomic import atomic_directory
from waypoint.store.artifacts.checksums import checksums, require_intact, write_marker
from waypoint.store.types import Attributes, StrPath, array_of
from waypoint.store.zarr.reader import read

WEIGHTS, CONFIG = "classifier.safetensors", "config.json"


def save_classifier(classifier: Classifier, folder: StrPath, attributes: Callable[[], Attributes]) -> None:
    """Write a classifier's folder in one step; ``attributes`` is called last and fills the marker."""
    with atomic_directory(folder) as tmp:
        # on the CPU and contiguous, so the file does not depend on the device
        save_file({name: tensor.cpu().contiguous() for name, tensor in classifier.state_dict().items()}, tmp / WEIGHTS)
        Path(tmp, CONFIG).write_text(json.dumps(classifier.config, indent=2) + "\n")
        weights = checksums(tmp / WEIGHTS)[WEIGHTS]
        write_marker(tmp, {**attributes(), "weights": weights})


def load_classifier(folder: StrPath, device: torch.device | str = "cpu") -> Classifier:
    """Load the classifier in a folder, in evaluation mode.

    Raises:
        WaypointError: it is missing or damaged.
    """
    require_intact(folder)
    try:
        classifier = Classifier(**json.loads(Path(folder, CONFIG).read_text()))
        classifier.load_state_dict(load_file(Path(folder, WEIGHTS)))
    except Exception as error:  # json, safetensors and torch raise exceptions of their own
        raise WaypointError(f"classifier {folder}: cannot be loaded ({error}); delete it and rerun") from error
    return classifier.requires_grad_(False).eval().to(device)


def read_labelled(data: zarr.Group, path: StrPath) -> tuple[torch.Tensor, torch.Tensor]:
    """Read the images (n, C, H, W) and labels (n,) of an open data store at ``path`` as tensors.

    Raises:
        WaypointError: there are no labels, or negative ones; names the keys that need them.
    """
    users = "evaluation.likelihood and evaluation.fid.features: classifier need"
    if "label" not in data:
        raise WaypointError(
            f"{path} has no labels, but {users} them; give labelled data (data.captions may hold them), "
            "leave evaluation.likelihood out, and use evaluation.fid.features: inception"
        )
    labels = torch.as_tensor(read(array_of(data, "label"))).long()
    if labels.min() < 0:
        raise WaypointError(f"{path} has labels down to {labels.min()}, but {users} classes 0, 1, 2 …")
    return torch.as_tensor(read(array_of(data, "image"))), labels
