"""Targets that are given images: defaults and checks of their rows."""

from waypoint.errors import WaypointError
from waypoint.store.data.given_image import open_picture

INVERSION, NOISES = "ddpm", 4  # defaults: how x_t is made, and the number of noises per step


def fill(targets):
    """Add the defaults of given images to their rows."""
    for target in targets:
        if "image" in target:
            target.setdefault("inversion", INVERSION)
            if target["inversion"] == "ddpm":
                target.setdefault("noises", NOISES)


def check(target, prefix):
    """Refuse a row with keys that do not apply to it, or with a file that is not a picture.

    Raises:
        WaypointError: names the target, the key and what to do.
    """
    if "image" not in target:
        for key in ("inversion", "noises"):
            if key in target:
                raise WaypointError(f"{prefix}: {key} is for targets with an image; leave it out")
        return
    if "noises" in target and target["inversion"] == "ddim":
        raise WaypointError(
            f"{prefix}: noises: inversion ddim adds no noise; leave the key out, or use inversion: ddpm"
        )
    open_picture(target["image"], f"{prefix}: image")


def require_repeatable(target, prefix):
    """Refuse a target whose image cannot be generated again.

    Args:
        target: its row. prefix: the key that requires it, for messages.

    Raises:
        WaypointError: names the target and what to do.
    """
    if "seed" in target or target.get("inversion") == "ddim":
        return
    if "image" in target:
        raise WaypointError(
            f"{prefix}: {target['id']} is an image with inversion ddpm, from which no model generates it again; set "
            "its inversion to ddim, or leave it out"
        )
    raise WaypointError(f"{prefix}: {target['id']} has no seed to generate from again")
