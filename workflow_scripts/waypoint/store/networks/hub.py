"""Folders of models: local folders, folders of installed packages, and snapshots of hub repositories."""

# some of huggingface_hub's types are unknown
# pyright: reportUnknownVariableType=false, reportUnknownMemberType=false

import functools
from collections.abc import Sequence
from pathlib import Path

from huggingface_hub import HfApi, constants, snapshot_download, try_to_load_from_cache

from waypoint.errors import WaypointError
from waypoint.store.networks.places import local_place, may_be_hub_id

SECONDS = 5  # for the hub to answer whether it has a model
WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
# further copies of the weights, some as single files (768-v-ema.safetensors), and files that nothing here reads
VARIANTS = ["*.fp16.*", "*.non_ema.*", "*-ema.*", "*-pruned*", "safety_checker/*"]


def fetch(source: str, kind: str = "checkpoint", parts: Sequence[str] = ()) -> str:
    """Return the local folder of ``source``: the folder itself, one in a package, or a snapshot of a hub repository.

    Args:
        kind: the kind of model, for errors.
        parts: folders of a pipeline's repository, with weights in the first; if they exist, only they are downloaded.

    Raises:
        WaypointError: there is no such folder, and the hub gives no model of that id.
    """
    source = local_place(source, kind)
    if Path(source).exists():
        return source
    if not may_be_hub_id(source):
        raise WaypointError(f"{kind} {source}: no such folder")
    try:
        folder = ""
        for prefixes in filter(None, ([f"{part}/" for part in parts], [""])):
            # older repositories have no safetensors; their weights are loaded with weights_only. Some hold only fp16
            safe = ["json", "txt", "model", "safetensors"]
            for endings, ignored in ((safe, VARIANTS), (["json", "bin"], VARIANTS), (safe, VARIANTS[1:])):
                patterns = [f"{prefix}*.{ending}" for prefix in prefixes for ending in endings]
                folder = snapshot_download(source, allow_patterns=patterns, ignore_patterns=ignored)
                if any(Path(folder, prefixes[0]).rglob(f"*.{endings[-1]}")):
                    return folder
        return folder
    except Exception as error:  # network, authentication, cache: every library raises exceptions of its own
        raise WaypointError(
            f"{kind} {source}: no such folder; as a hub id: cannot be fetched from the hub ({error})"
        ) from error


@functools.cache
def not_to_be_had(name: str) -> str:
    """Return why a model cannot be fetched from the hub, as a clause; empty if it can. Nothing is downloaded.

    Args:
        name: owner/name of a repository that holds one model.
    """
    if any(isinstance(try_to_load_from_cache(name, file), str) for file in WEIGHTS):
        return ""
    if constants.HF_HUB_OFFLINE:
        return f"there is no folder {name}, and the hub is not asked for it (HF_HUB_OFFLINE)"
    try:
        HfApi().model_info(name, timeout=SECONDS)
    except Exception as error:  # network, authentication, no such model: every library raises exceptions of its own
        reason = str(error).strip().splitlines() or [""]
        return (
            f"there is no folder {name}, and the hub gives no model of that name ({type(error).__name__}: {reason[0]})"
        )
    return ""
