"""Whether features of both halves of the draws are kept, where the configuration does not say."""

from pathlib import Path

from waypoint.errors import WaypointError
from waypoint.store.artifacts.provenance import read_attributes
from waypoint.workflow.bases import BASES
from waypoint.workflow.config.models import checkpoint_names
from waypoint.workflow.config.shared_stores import folders
from waypoint.workflow.kept_scores import kept

CIFAR10 = 50_000  # images, where they are yet to be downloaded


def resolve_halves(config):
    """Set ``features.keep_halves`` where it is null: no stored artifact becomes stale by the choice.

    Stored features say for themselves whether they have halves, and further checkpoints follow them. Without any,
    halves are kept of a single checkpoint, where there is no other to compare it with, and where ``kept`` says so.
    """
    features = config["features"]
    if features["keep_halves"] is None:
        stored = _stored(config) if config["data"] else False
        features["keep_halves"] = _wanted(config) if stored is None else stored


def check_halves(config):
    """Refuse halves of a single draw.

    Raises:
        WaypointError: names the key.
    """
    if config["features"]["keep_halves"]:
        for key in ("train_draws", "target_draws"):
            if config["attribution"][key] < 2:
                raise WaypointError(f"config: features.keep_halves: attribution.{key} is 1, which has no halves")


def _stored(config):
    """Whether the stored features of the first checkpoint have halves, or None where there are none."""
    first = checkpoint_names(config)[0]
    for store in folders(config["store"]):
        for basis in BASES:
            path = Path(store, config["experiment"], "features", basis, f"{first}.zarr")
            try:
                spec = (read_attributes(path) or {}).get("spec", {})
            except WaypointError:  # damaged: the pass at start says so
                continue
            if "keep_halves" in spec.get("featurize", {}).get("features", {}):
                return spec["featurize"]["features"]["keep_halves"]
    return None


def _wanted(config):
    attribution, projection = config["attribution"], config["projection"]
    if len(checkpoint_names(config)) > 1 or projection["kind"] == "none":
        return False
    if min(attribution["train_draws"], attribution["target_draws"]) < 2:
        return False
    n = _images(config)
    return n is not None and kept(None, n, projection["dim"], 1)


def _images(config):
    """How many training images there are at most, or None where a source cannot be read."""
    data = config["data"]
    if data["subset"] is not None:
        return data["subset"] if isinstance(data["subset"], int) else len(data["subset"])
    if data["source"] == "cifar10" and data["path"] is None:
        return CIFAR10
    from waypoint.store.data.sources import SOURCES  # takes a moment that other configurations need not wait

    try:
        return SOURCES[data["source"]](data).n
    except WaypointError:  # the first job says so
        return None
