"""Folders of models: local folders, folders of installed packages, and snapshots of hub repositories."""

# some of huggingface_hub's types are unknown
# pyright: reportUnknownVariableType=false, reportUnknownMemberType=false

import functools
from collections.abc import Sequence
from pathlib import Path

from huggingface_hub import HfApi, constants, snapshot_download, try_to_load_from_cache

from waypoint.errors import WaypointError
from waypoint.store.networks.places import local_place, may_be_hub_id

SECONDS = 5  # that the hub may take to say whether it has a model
WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
# other copies of the same weights, also as single files (768-v-ema.safetensors), and files that nothing here reads
VARIANTS = ["*.fp16.*", "*.non_ema.*", "*-ema.*", "*-pruned*", "safety_checker/*"]


def fetch(source: str, what: str = "checkpoint", parts: Sequence[str] = ()) -> str:
    """The local folder of ``source``: the folder itself, one in a package, or a snapshot of a hub repository.

    Args:
        what: the kind of thing, for errors.
        parts: folders of a pipeline's repository, weights in the first one; where it has them, nothing else is
            downloaded.

    Raises:
        WaypointError: there is no such folder, and the hub gives no model of that id.
    """
    source = local_place(source, what)
    if Path(source).exists():
        return source
    if not may_be_hub_id(source):
        raise WaypointError(f"{what} {source}: no such folder")
    try:
        folder = ""
        for places in filter(None, ([f"{part}/" for part in parts], [""])):
            # older repositories have no safetensors; their weights are loaded with weights_only. Some have only fp16
            safe = ["json", "txt", "model", "safetensors"]
            for endings, left in ((safe, VARIANTS), (["json", "bin"], VARIANTS), (safe, VARIANTS[1:])):
                wanted = [f"{place}*.{ending}" for place in places for ending in endings]
                folder = snapshot_download(source, allow_patterns=wanted, ignore_patterns=left)
                if any(Path(folder, places[0]).rglob(f"*.{endings[-1]}")):
                    return folder
        return folder
    except Exception as error:  # network, authentication, cache: each library raises its own kinds
        raise WaypointError(
            f"{what} {source}: no such folder; as a hub id: cannot be fetched from the hub ({error})"
        ) from error


@functools.cache
def not_to_be_had(name: str) -> str:
    """The reason why a model of the hub cannot be fetched, as a clause; empty if it can. Nothing is downloaded.

    Args:
        name: owner/name, of a repository that holds one model.
    """
    if any(isinstance(try_to_load_from_cache(name, file), str) for file in WEIGHTS):
        return ""
    if constants.HF_HUB_OFFLINE:
        return f"there is no folder {name}, and the hub is not asked for it (HF_HUB_OFFLINE)"
    try:
        HfApi().model_info(name, timeout=SECONDS)
    except Exception as error:  # network, authentication, no such model: each library raises its own kinds
        reason = str(error).strip().splitlines() or [""]
        return (
            f"there is no folder {name}, and the hub gives no model of that name ({type(error).__name__}: {reason[0]})"
        )
    return ""
