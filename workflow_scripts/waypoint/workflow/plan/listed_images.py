"""Training images that the configuration lists, looked up before the first job if their names are known by then."""

from pathlib import Path

import numpy as np

from waypoint.errors import WaypointError
from waypoint.workflow.plan.reruns import LocalStore, examine


def require_listed_images(plan):
    """Refuse entries of ``tables.images`` that match no training image, and names that match several.

    Raises:
        WaypointError: names the entry, and the nearest names.
    """
    entries = plan.config["tables"]["images"]
    files = known_files(plan) if entries else None
    if files is not None:
        from waypoint.workflow.image_scores import listed_indices  # imported lazily: it imports Zarr

        listed_indices(files, entries, "config: tables.images")


def known_files(plan):
    """Return the training images' names from the store or the source, or None if only the first job will know them."""
    store = stored_data(plan)
    if store is None:
        return source_files(plan.config)
    from waypoint.store.data.image_names import ImageNames

    return ImageNames(store).files


def stored_data(plan):
    """Return the open store of the training images if it exists and agrees with the plan, else None."""
    for root in (plan.root, *plan.other_stores):
        for stage, name in (("encode_data", "train"), ("prepare_data", "images" if plan.encoded else "train")):
            if (stage, {}) in [*plan.data(), ("prepare_data", {})] and is_current(
                plan, root, stage, f"data/{name}.zarr"
            ):
                from waypoint.store.zarr.reader import open_store

                return open_store(f"{root}/data/{name}.zarr")
    return None


def is_current(plan, root, stage, name):
    """Return whether an artifact without wildcards exists and agrees with the plan."""
    expected = {"spec": plan.spec(stage), "identity": plan.identity(stage)}
    try:
        return Path(root, name).exists() and examine(LocalStore(root), f"{root}/{name}", expected) is None
    except WaypointError:  # reported by the checks at the start of the run
        return False


def source_files(config):
    """Return the names of the images that a configuration takes from its source, or None if they are not yet known."""
    source_rows = source_and_rows(config)
    return source_rows and list(np.array(source_rows[0].files, object)[source_rows[1]])


def source_and_rows(config):
    """Return the source of a configuration's training images and the rows taken from it, or None.

    None if images are yet to be downloaded or near-duplicates to be removed, or if the source cannot be read, which the
    first job reports.
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
