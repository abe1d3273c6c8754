"""Training images that the config lists by name: looked up before the first job, where their names are known then."""

from pathlib import Path

import numpy as np

from waypoint.errors import WaypointError
from waypoint.workflow.plan.reruns import LocalStore, examine


def require_listed_images(plan):
    """Refuse entries of ``tables.images`` that mean no training image, and names that mean several.

    Raises:
        WaypointError: names the entry, and the nearest names.
    """
    wanted = plan.config["tables"]["images"]
    files = known_files(plan) if wanted else None
    if files is not None:
        from waypoint.workflow.image_scores import listed  # opens Zarr, which other configurations need not wait for

        listed(files, wanted, "config: tables.images")


def known_files(plan):
    """The training images' names: as stored, or as the source has them; None where the first job will tell."""
    stored = stored_data(plan)
    if stored is None:
        return source_files(plan.config)
    from waypoint.store.data.image_names import ImageNames

    return ImageNames(stored).files


def stored_data(plan):
    """The open store of the training images if it exists and agrees with the plan, or None."""
    for root in (plan.root, *plan.other_stores):
        for stage, name in (("encode_data", "train"), ("prepare_data", "images" if plan.encoded else "train")):
            if (stage, {}) in [*plan.data(), ("prepare_data", {})] and current(plan, root, stage, f"data/{name}.zarr"):
                from waypoint.store.zarr.reader import open_store

                return open_store(f"{root}/data/{name}.zarr")
    return None


def current(plan, root, stage, name):
    """Whether an artifact without wildcards exists and agrees with the plan."""
    expected = {"spec": plan.spec(stage), "identity": plan.identity(stage)}
    try:
        return Path(root, name).exists() and examine(LocalStore(root), f"{root}/{name}", expected) is None
    except WaypointError:  # something else's: the pass at start says so
        return False


def source_files(config):
    """The names of the images that a config takes from its source, or None if only the first job will know them."""
    listed = source_and_rows(config)
    return listed and list(np.array(listed[0].files, object)[listed[1]])


def source_and_rows(config):
    """The source of a config's training images, and which of its images they are, or None.

    What a download would bring is unknown, and which images are near-duplicates. A source that cannot be read is the
    first job's to tell.
    """
    section = config["data"]
    if section["near_duplicates"] is not None or section["source"] == "cifar10" and section["path"] is None:
        return None
    from waypoint.store.data.sources import SOURCES, chosen

    try:
        source = SOURCES[section["source"]](section)
        return source, chosen(section, source.n, config["seed"])
    except WaypointError:
        return None
