"""Groups of training images in the configuration, checked before the first job if the images are known by then."""

import numpy as np

from waypoint.store.data.group_members import classes_of, members
from waypoint.store.data.image_names import ImageNames
from waypoint.workflow.plan.listed_images import source_and_rows, stored_data


def require_groups(plan):
    """Refuse impossible groups: lines that match no image, no labels to group by, or a group of all images.

    Raises:
        WaypointError: names the key, the file and the line.
    """
    groups = plan.config["groups"]
    if groups is None:
        return
    store, by = stored_data(plan), groups["by"]
    if store is not None:
        names = ImageNames(store)
        files, classes = names.files, classes_of(store, by, names)
    else:
        source_rows = source_and_rows(plan.config)
        if source_rows is None:
            return
        files, classes = _names_and_groups(*source_rows, by)
    members(files, groups["files"], classes, by, "config: groups")


def _names_and_groups(source, rows, by):
    """Return the names of a source's chosen images, and their classes or groups, or None."""
    files = [source.files[i] for i in rows]
    if by == "label" and source.labels is not None:
        class_names = source.class_names
        return files, [
            str(class_names[k]) if class_names and 0 <= k < len(class_names) else str(k) for k in source.labels[rows]
        ]
    groups = source.groups if by == "group" else None
    return files, None if groups is None else list(np.array(groups, object)[rows])
