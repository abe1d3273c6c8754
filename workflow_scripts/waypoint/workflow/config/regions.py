"""A target's masks in the configuration (§5.4): a box, a PNG, or a list of either with names."""

import numpy as np

from waypoint.errors import WaypointError
from waypoint.science.regions import box_mask, cell_shares
from waypoint.workflow.evaluations.registry import EVALUATIONS

FORMS = "a PNG, a box [x0, y0, x1, y1], or a list of {name: …, mask: a PNG or a box}"


def expand(config):
    """Turn every named mask in ``config``, which has its defaults, into a target ``{id}-{name}``.

    These rows keep the original id as ``whole`` and share its trajectory. In evaluations, that id is replaced by the
    ids of all its masks.

    Returns:
        For each row of ``targets``, its original index.

    Raises:
        WaypointError: a list that is neither a box nor named masks, or a name that is used twice.
    """
    rows, indices, masks_of = [], [], {}
    for index, row in enumerate(config["targets"]):
        named_masks = _named_masks(row.get("mask"), f"config: targets[{index}].mask")
        by_mask = [row]
        if named_masks is not None:
            by_mask = [
                {**row, "id": f"{row['id']}-{name}", "whole": row["id"], "mask": mask} for name, mask in named_masks
            ]
            masks_of[row["id"]] = [target["id"] for target in by_mask]
        rows += by_mask
        indices += [index] * len(by_mask)
    config["targets"] = rows
    _expand_evaluations(config["evaluation"], masks_of)
    return indices


def _named_masks(mask, prefix):
    """Return [(name, mask)] of a list of named masks, or None for any other mask."""
    if not isinstance(mask, list):
        return None
    if all(isinstance(entry, int) for entry in mask):
        if len(mask) != 4:
            raise WaypointError(f"{prefix}: {mask} is not a box; a mask is {FORMS}")
        return None
    if not all(isinstance(entry, dict) for entry in mask):
        raise WaypointError(f"{prefix}: {mask} mixes numbers and named masks; a mask is {FORMS}")
    names = [entry["name"] for entry in mask]
    for name in names:
        if names.count(name) > 1:
            raise WaypointError(f"{prefix}: the name {name!r} is used twice")
    return [(entry["name"], entry["mask"]) for entry in mask]


def _expand_evaluations(evaluation, masks_of):
    for section in filter(None, evaluation.values()):
        if isinstance(section.get("targets"), list):
            ids = [target for name in section["targets"] for target in masks_of.get(name, [name])]
            section["targets"] = list(dict.fromkeys(ids))
    for name, declaration in EVALUATIONS.items():
        for key in declaration.by_target if evaluation[name] else ():
            if by_target := evaluation[name][key]:
                pairs = [
                    (mask, value) for target, value in by_target.items() for mask in masks_of.get(target, [target])
                ]
                evaluation[name][key] = dict(pairs)


def check(mask, image, grid, prefix):
    """Refuse a mask that does not fit the image, as far as planning knows the sizes.

    Args:
        mask: a box or a PNG. image, grid: (H, W) of the image in pixels and of the model's positions, or None.

    Raises:
        WaypointError: it is unreadable, of another size than the image, outside it, or selects nothing.
    """
    try:
        if isinstance(mask, str):
            weights = read_mask(mask, image)
        else:
            weights = None if image is None else box_mask(mask, *image)
        if weights is not None:
            cell_shares(weights, *(grid or weights.shape))
    except WaypointError as error:
        raise WaypointError(f"{prefix}: {error}") from error


def pixels(mask, file, image):
    """Return a spec's mask as a 0/1 array over an image of shape ``image`` (H, W).

    Args:
        mask: a box, or the hash of a PNG. file: the PNG, if there is one.
    """
    return box_mask(mask, *image) if isinstance(mask, list) else read_mask(file, image)


def read_mask(file, image):
    """Return the white pixels of a PNG as a 0/1 array (H, W).

    Args:
        image: (H, W) of the image, or None if unknown.

    Raises:
        WaypointError: it is not a readable picture, has no white pixel, or differs in size from the image.
    """
    from waypoint.store.data.image_files import decoded, laid_on  # imported lazily: it imports Pillow

    # transparent pixels are not selected, whatever their colour
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
