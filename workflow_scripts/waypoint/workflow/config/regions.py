"""A target's masks as the configuration writes them (§5.4): a box, a PNG, or a list of either with names."""

import numpy as np

from waypoint.errors import WaypointError
from waypoint.science.regions import box_mask, cell_shares
from waypoint.workflow.evaluations.registry import EVALUATIONS

FORMS = "a PNG, a box [x0, y0, x1, y1], or a list of {name: …, mask: a PNG or a box}"


def expand(config):
    """Make every named mask a target of its own, ``{id}-{name}``, in ``config``, whose defaults are filled in.

    Such rows keep the id that they come from as ``whole``: they share its trajectory. Where an evaluation lists that
    id, it gets the ids of all its masks.

    Returns:
        the place in the written list that each row of ``targets`` comes from.

    Raises:
        WaypointError: a list that is neither a box nor named masks, or a name that is used twice.
    """
    rows, places, masks_of = [], [], {}
    for place, row in enumerate(config["targets"]):
        named = _named(row.get("mask"), f"config: targets[{place}].mask")
        by_mask = [row]
        if named is not None:
            by_mask = [{**row, "id": f"{row['id']}-{name}", "whole": row["id"], "mask": mask} for name, mask in named]
            masks_of[row["id"]] = [target["id"] for target in by_mask]
        rows += by_mask
        places += [place] * len(by_mask)
    config["targets"] = rows
    _expand_evaluations(config["evaluation"], masks_of)
    return places


def _named(mask, where):
    """[(name, mask)] of a list of named masks, or None for any other mask."""
    if not isinstance(mask, list):
        return None
    if all(isinstance(entry, int) for entry in mask):
        if len(mask) != 4:
            raise WaypointError(f"{where}: {mask} is no box; a mask is {FORMS}")
        return None
    if not all(isinstance(entry, dict) for entry in mask):
        raise WaypointError(f"{where}: {mask} mixes numbers and named masks; a mask is {FORMS}")
    names = [entry["name"] for entry in mask]
    for name in names:
        if names.count(name) > 1:
            raise WaypointError(f"{where}: the name {name!r} is used twice")
    return [(entry["name"], entry["mask"]) for entry in mask]


def _expand_evaluations(evaluation, masks_of):
    for section in filter(None, evaluation.values()):
        if isinstance(section.get("targets"), list):
            named = [target for name in section["targets"] for target in masks_of.get(name, [name])]
            section["targets"] = list(dict.fromkeys(named))
    for name, one in EVALUATIONS.items():
        for key in one.by_target if evaluation[name] else ():
            if by_target := evaluation[name][key]:
                pairs = [(mask, value) for id, value in by_target.items() for mask in masks_of.get(id, [id])]
                evaluation[name][key] = dict(pairs)


def check(mask, image, grid, where):
    """Refuse a mask that does not fit the image, as far as planning knows the sizes.

    Args:
        mask: a box or a PNG. image, grid: (H, W) of the image in pixels, and of the model's own positions, or None.

    Raises:
        WaypointError: unreadable, of another size than the image, outside of it, or nothing selected.
    """
    try:
        if isinstance(mask, str):
            weights = painted(mask, image)
        else:
            weights = None if image is None else box_mask(mask, *image)
        if weights is not None:
            cell_shares(weights, *(grid or weights.shape))
    except WaypointError as error:
        raise WaypointError(f"{where}: {error}") from error


def pixels(mask, file, image):
    """A spec's mask as a 0/1 array over an image of shape ``image`` (H, W).

    Args:
        mask: a box, or the hash of a PNG. file: the PNG, where there is one.
    """
    return box_mask(mask, *image) if isinstance(mask, list) else painted(file, image)


def painted(file, image):
    """The white pixels of a PNG as a 0/1 array (H, W).

    Args:
        image: (H, W) of the image, or None where it is not known.

    Raises:
        WaypointError: no readable picture, none of it white, or not of the image's size.
    """
    from waypoint.store.data.image_files import decoded, laid_on  # Pillow, where there is a mask

    # what is transparent is not selected, whatever its colour
    levels = np.asarray(laid_on(decoded(file, file, "mask"), "black").convert("L"))
    weights = (levels > 127).astype(np.float32)
    if not weights.any():
        raise WaypointError(
            f"mask: {file} has no white pixel, so it selects nothing; its brightest is {levels.max()} of 255"
        )
    if image is not None and weights.shape != tuple(image):
        raise WaypointError(
            f"mask: {file} has {weights.shape[1]} × {weights.shape[0]} pixels, but the image has "
            f"{image[1]} × {image[0]}; a mask is as large as the image"
        )
    return weights
