"""Checks shared by evaluations that compare lists of top images."""

from waypoint.errors import WaypointError
from waypoint.workflow.config.evaluated import number_of_images


def check_top_k(config, section):
    """Refuse lists longer than half of the training images.

    Raises:
        WaypointError: names the key.
    """
    n, largest = number_of_images(config), max(config["evaluation"][section]["top_k"])
    if n is not None and largest > n // 2:
        raise WaypointError(
            f"config: evaluation.{section}.top_k: {largest} is more than half of the {n} training images"
        )
