"""Checks, before the first job, of the folders of given scores, ``mine: {scores: folder}``."""

import functools
from pathlib import Path

from waypoint.errors import WaypointError
from waypoint.store.artifacts.fingerprint import content_hash
from waypoint.store.artifacts.provenance import consolidated
from waypoint.store.data.own_scores import OwnScores
from waypoint.workflow.config.shared_stores import stored_images
from waypoint.workflow.methods import IMPORTED

cached_content_hash = functools.cache(lambda path: content_hash([path]))  # each path is read once per start


def check_own_scores(config):
    """Refuse folders that lack a target, a step or an image, and values that are no scores.

    Raises:
        WaypointError: names the key, the file and what it lacks.
    """
    for name, settings in config["methods"].items():
        if settings["method"] != IMPORTED:
            continue
        prefix = f"config: methods.{name}.scores"
        if not Path(settings["scores"]).is_dir():
            raise WaypointError(f"{prefix}: there is no folder {settings['scores']}")
        for target in config["targets"]:
            path = Path(settings["scores"], f"{target['id']}.zarr")
            steps = target.get("steps", config["attribution"]["steps"])
            scores = OwnScores(path, prefix)
            scores.require(steps, _number_of_images(config))
            for variable in ("score", "score_se"):
                scores.rows(variable, steps)


def _number_of_images(config):
    """Return the number of training images, or None if only the first job will know it."""
    data = config["data"]
    if data["subset"] is not None:
        if data["near_duplicates"] is not None:  # some of them may be left out
            return None
        return len(data["subset"]) if isinstance(data["subset"], list) else data["subset"]
    stored_path = stored_images(config)
    return consolidated(stored_path)["image"]["shape"][0] if stored_path else None
