"""Whether features of both halves of the draws are kept if the configuration leaves it open."""

from pathlib import Path

from waypoint.errors import WaypointError
from waypoint.store.artifacts.provenance import read_attributes
from waypoint.workflow.bases import BASES
from waypoint.workflow.config.models import checkpoint_names
from waypoint.workflow.config.shared_stores import folders
from waypoint.workflow.kept_scores import kept

CIFAR10 = 50_000  # number of images, before they are downloaded


def resolve_halves(config):
    """Set ``features.keep_halves`` if it is null, in a way that makes no stored artifact stale.

    Further checkpoints follow stored features, with or without halves. If there are none, halves are kept for a single
    checkpoint, which has no other to be compared with, provided that they are small enough (``kept``).
    """
    features = config["features"]
    if features["keep_halves"] is None:
        stored_setting = _stored_setting(config) if config["data"] else False
        features["keep_halves"] = _default(config) if stored_setting is None else stored_setting


def check_halves(config):
    """Refuse halves of a single draw.

    Raises:
        WaypointError: names the key.
    """
    if config["features"]["keep_halves"]:
        for key in ("train_draws", "target_draws"):
            if config["attribution"][key] < 2:
                raise WaypointError(f"config: features.keep_halves: attribution.{key} is 1, which has no halves")


def _stored_setting(config):
    """Return whether the stored features of the first checkpoint have halves, or None if there are none."""
    first = checkpoint_names(config)[0]
    for store in folders(config["store"]):
        for basis in BASES:
            path = Path(store, config["experiment"], "features", basis, f"{first}.zarr")
            try:
                spec = (read_attributes(path) or {}).get("spec", {})
            except WaypointError:  # damaged: reported by the checks at the start of the run
                continue
            if "keep_halves" in spec.get("featurize", {}).get("features", {}):
                return spec["featurize"]["features"]["keep_halves"]
    return None


def _default(config):
    attribution, projection = config["attribution"], config["projection"]
    if len(checkpoint_names(config)) > 1 or projection["kind"] == "none":
        return False
    if min(attribution["train_draws"], attribution["target_draws"]) < 2:
        return False
    n = _number_of_images(config)
    return n is not None and kept(None, n, projection["dim"], 1)


def _number_of_images(config):
    """Return an upper bound on the number of training images, or None if the source cannot be read."""
    data = config["data"]
    if data["subset"] is not None:
        return data["subset"] if isinstance(data["subset"], int) else len(data["subset"])
    if data["source"] == "cifar10" and data["path"] is None:
        return CIFAR10
    from waypoint.store.data.sources import SOURCES  # imported lazily: the import takes a moment

    try:
        return SOURCES[data["source"]](data).n
    except WaypointError:  # reported by the first job
        return None
