"""Checks of LoRA adapters in the configuration."""

from waypoint.errors import WaypointError
from waypoint.store.networks.adapter_files import read_adapter_file

TRAINING = ("rank", "targets")  # keys of ``adapter`` that only apply to training


def refuse_unused_keys(config):
    """Refuse keys of ``adapter``, before defaults are filled in, that do not apply to existing adapters.

    Raises:
        WaypointError: names the key.
    """
    if "adapters" not in config["checkpoints"]:
        return
    for key in TRAINING:
        if key in (config.get("adapter") or {}):
            raise WaypointError(
                f"config: adapter.{key} is for adapters that are trained; those of checkpoints.adapters have their "
                "own. Leave it out"
            )


def check_adapters(config):
    """Refuse adapters without a base, a base without adapters, and existing adapters that cannot be used.

    Raises:
        WaypointError: names the key or the file, the mistake, and what to do.
    """
    section, adapter = config["checkpoints"], config["adapter"]
    if "base" not in section:
        if adapter is not None or "adapters" in section:
            key = "adapter" if adapter is not None else "checkpoints.adapters"
            raise WaypointError(f"config: {key} needs checkpoints.base, the model that the adapters change")
        return
    if "paths" in section:
        raise WaypointError(
            "config: checkpoints.base is for adapters (checkpoints.count or checkpoints.adapters); checkpoints.paths "
            "are whole models"
        )
    if "count" in section and adapter is None:
        raise WaypointError(
            "config: checkpoints.base: the base itself is not trained; add the section adapter, adapter: {rank: 4} "
            "say, to train adapters on it"
        )
    for i, path in enumerate(section.get("adapters", [])):
        try:
            read_adapter_file(path).alphas(adapter and adapter["alpha"])
        except WaypointError as error:
            raise WaypointError(f"config: checkpoints.adapters[{i}]: {path}: {error}") from error
