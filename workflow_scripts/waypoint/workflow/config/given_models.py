"""Existing models: their paths, and what planning can learn from their file names and configurations."""

import glob
import re
from pathlib import Path

from waypoint.errors import WaypointError
from waypoint.science.networks.known import require_supported
from waypoint.science.processes.schedules import check_schedule, require_ancestral
from waypoint.store.networks.checkpoint_messages import NO_NETWORK, NO_SCHEDULE
from waypoint.store.networks.layouts import SCHEDULE, NoModel, examine, read_json, unnamed_vae
from waypoint.store.networks.packages import PREFIX
from waypoint.store.networks.places import local_place, may_be_hub_id
from waypoint.store.networks.sizes import cells_of, stored_size
from waypoint.store.networks.weight_files import SUFFIXES, glance
from waypoint.workflow.types import Config

WILD = re.compile(r"[*?\[]")


def expand_globs(config):
    """Replace patterns in ``checkpoints.paths`` or ``adapters`` by their matches, sorted by the numbers in the names.

    Raises:
        WaypointError: nothing matches, or a model is listed twice.
    """
    for key in ("paths", "adapters"):
        if key in config["checkpoints"]:
            config["checkpoints"][key] = _expanded(key, config["checkpoints"][key])


def _expanded(key, paths):
    expanded = []
    for i, path in enumerate(paths):
        wild = WILD.search(path) and not Path(path).exists()
        expanded += _matches(path, f"{key}[{i}]") if wild else [path]
    for path in expanded:
        if expanded.count(path) > 1:
            raise WaypointError(f"config: checkpoints.{key}: {path} is listed twice")
    return expanded


def _matches(path, key):
    """Return the folders and weight files that match a pattern; other files are not models."""
    matches = sorted(glob.glob(path), key=_natural)
    models = [match for match in matches if Path(match).is_dir() or Path(match).suffix in SUFFIXES]
    if not models:
        note = f" but {matches[0]}, which is not a model" if matches else ""
        raise WaypointError(f"config: checkpoints.{key}: {path} matches nothing{note}")
    return models


def _natural(path):
    """Return a sort key that puts checkpoint-1000 after checkpoint-500."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", path)]


def check_given(config):
    """Refuse existing models that cannot be used.

    Raises:
        WaypointError: names the path, what it holds, and what to do.
    """
    section = config["checkpoints"]
    for key in ("sampler", "timestep_spacing", "weights"):
        if key in section and "paths" not in section and "base" not in section:
            alternative = "the models trained here have one network" if key == "weights" else "use model.scheduler"
            raise WaypointError(f"config: checkpoints.{key} is for existing models; {alternative} for new ones")
    models = {"base": section["base"]} if "base" in section else {}
    models |= {f"paths[{i}]": path for i, path in enumerate(section.get("paths", []))}
    for key, path in models.items():
        prefix = f"config: checkpoints.{key}"
        if not path.startswith(PREFIX) and not Path(path).exists() and not may_be_hub_id(path):
            raise WaypointError(f"{prefix}: no folder {path}, and it is not a hub id")
        try:
            _check_model(config, path)
        except WaypointError as error:
            raise WaypointError(f"{prefix}: {path}: {error}") from error
    _check_size(config)


def _check_model(config, path):
    section = config["checkpoints"]
    local_path = local_place(path)
    if not Path(local_path).exists():
        return  # a hub id
    try:
        layout = examine(local_path, section.get("weights"))
    except NoModel:
        if Path(local_path, "scheduler", SCHEDULE).is_file():  # report a mistake in the schedule first
            _check_schedule(read_json(Path(local_path, "scheduler", SCHEDULE)), section.get("sampler"))
        raise
    if layout.config is not None:
        require_supported(layout.config)
    schedule = layout.schedule
    if schedule is not None:
        _check_schedule(schedule, section.get("sampler"))
    elif config["model"] is None:
        raise WaypointError(NO_NETWORK if layout.network is None else NO_SCHEDULE)
    if layout.network is None and config["model"] is None:
        raise WaypointError(NO_NETWORK)
    if layout.network is not None:
        glance(layout.network)
    vae = unnamed_vae(local_path, layout)
    if vae is not None and config.get("vae") is None:
        raise WaypointError(
            f"its model_index.json names an autoencoder ({vae}), so its network sees latents; give the section vae "
            f"(vae: {{path: {path}}})"
        )


def _check_schedule(schedule, sampler):
    require_ancestral(schedule, sampler)
    check_schedule(schedule)


def _check_size(config):
    size = config["sampling"]["size"]
    if size is None:
        return
    if not {"paths", "base"} & config["checkpoints"].keys() or config["model"] is not None:
        raise WaypointError(
            "config: sampling.size is for existing models without the section model; set model.unet.sample_size"
        )
    data = config["data"] and config["data"]["size"]
    if data is not None and data != size:
        raise WaypointError(f"config: sampling.size: {size} is not data.size {data}; leave it out, or make them alike")
    known_cells(config)


def known_cells(config):
    """Return the side of the networks' inputs by ``sampling.size``, or None if it is null or cannot be known yet."""
    size, vae = config["sampling"]["size"], config["vae"]
    if size is None or vae is None:
        return size
    settings = vae["train"]["autoencoder"] if "train" in vae else stored_vae(vae["path"])
    try:
        return None if settings is None else cells_of(size, settings)
    except WaypointError as error:
        raise WaypointError(f"config: {error}") from error


def stored_vae(path):
    """Return the configuration of the autoencoder in its own or a pipeline's folder, or None for a hub id."""
    local_path = local_place(path, "config: vae.path")
    for file in (Path(local_path, "vae", "config.json"), Path(local_path, "config.json")):
        if file.is_file():
            return read_json(file)
    return None


def stored_config(path: str, part: str, weights: str | None = None) -> Config | None:
    """Return the configuration of an existing model's "unet" or "scheduler", or None if there is none.

    Args:
        weights: "raw" or "ema" if the model has both.

    Raises:
        WaypointError: it is damaged, or of an unsupported kind.
    """
    local_path = local_place(path)
    if not Path(local_path).exists():
        return None
    try:
        layout = examine(local_path, weights)
    except NoModel:
        return None
    if part == "scheduler":
        return layout.schedule
    config = layout.config
    return config if config is None or "sample_size" not in config else config | {"sample_size": stored_size(config)}
