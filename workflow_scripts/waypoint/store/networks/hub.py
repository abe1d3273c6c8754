"""Folders of models: local ones, ones of installed packages, and snapshots of hub repositories."""

import functools
from pathlib import Path

from huggingface_hub import HfApi, constants, snapshot_download, try_to_load_from_cache

from waypoint.errors import WaypointError
from waypoint.store.networks.places import local_place, may_be_hub_id

SECONDS = 5  # that the hub may take to say whether it has a model
WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
# the same weights once more, as single files too (768-v-ema.safetensors), and what nothing here reads
VARIANTS = ["*.fp16.*", "*.non_ema.*", "*-ema.*", "*-pruned*", "safety_checker/*"]


def fetch(source, what="checkpoint", parts=()):
    """The local folder of ``source``: itself, one of a package, or a snapshot of the hub repository of that id.

    Args:
        what: the kind of thing, for errors.
        parts: folders of a pipeline's repository, weights in the first one: nothing else of it is downloaded, where
            it has them.

    Raises:
        WaypointError: no such folder, and nothing to be had under that id.
    """
    source = local_place(source, what)
    if Path(source).exists():
        return source
    if not may_be_hub_id(source):
        raise WaypointError(f"{what} {source}: no such folder")
    try:
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
def not_to_be_had(name):
    """Why the model of a hub id cannot be had, as a clause; an empty string where it can. Nothing is downloaded.

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
