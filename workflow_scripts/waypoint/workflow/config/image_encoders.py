"""Image encoders in the configuration: checks, missing files, and identities."""

import functools
import warnings
from pathlib import Path

from waypoint.errors import WaypointError, WaypointWarning
from waypoint.store.networks.image_encoder import has_weights, weights_hash
from waypoint.store.networks.packages import PREFIX, package_path
from waypoint.workflow.config.method_settings import TAKEN

NEEDS = {"clip": ("path",), "timm": ("name", "weights"), "torchvision": ("name", "weights")}
MAY_HAVE = {"clip": (), "timm": ("mean", "std", "size"), "torchvision": ("mean", "std", "size")}


def check_encoders(config):
    """Refuse encoders that lack a key of their kind or have a key of another.

    Raises:
        WaypointError: names the key.
    """
    encoders = config["image_encoders"]
    for name, encoder in encoders.items():
        prefix, kind = f"config: image_encoders.{name}", encoder["kind"]
        if name in TAKEN:
            raise WaypointError(f"{prefix}: the name {name} is taken; choose another")
        for key in NEEDS[kind]:
            if encoder[key] is None:
                raise WaypointError(f"{prefix}.{key} is missing; kind {kind} needs it")
        for key in encoder.keys() - {"kind", *NEEDS[kind], *MAY_HAVE[kind]}:
            if encoder[key] is not None:
                raise WaypointError(f"{prefix}.{key}: kind {kind} has no such key; leave it out")


def leave_out_missing(config, missing_names=None):
    """Remove missing image encoders, and everything that needs them, from ``config``; warn once for each needed one.

    Args:
        missing_names: the encoders that were missing when the current job was planned, since another machine may see
            other files; None: look for their files.

    Raises:
        WaypointError: no method remains, or a folder holds no model.
    """
    for name, encoder in list(config["image_encoders"].items()):
        dependents = parts_needing(name, config)
        if missing_names is None:
            missing = _missing(name, encoder) if dependents else ""
        else:
            missing = "its files were missing when this was planned" if name in missing_names else ""
        if not missing:
            continue
        if list(config["methods"]) == [name]:
            raise WaypointError(f"config: methods: {name} is the only one, but {missing}")
        _leave_out(name, config)
        verb = "is" if len(dependents) == 1 else "are"
        warnings.warn(
            f"{' and '.join(dependents)} {verb} off: {missing}. Everything else runs.", WaypointWarning, stacklevel=2
        )


def parts_needing(name, config):
    """Return the parts of a configuration that need an image encoder, as named in warnings."""
    evaluation = config["evaluation"]
    evaluated = any(name in (section.get("methods") or []) for section in filter(None, evaluation.values()))
    parts = [f"method {name}"] if name in config["methods"] or evaluated else []
    return parts + [
        f"evaluation.{section}"
        for section, settings in evaluation.items()
        if settings and settings.get("encoder") == name
    ]


def _leave_out(name, config):
    """Remove an image encoder and everything that needs it from a configuration."""
    evaluation = config["evaluation"]
    del config["image_encoders"][name]
    config["methods"] = {method: row for method, row in config["methods"].items() if method != name}
    for section, settings in evaluation.items():
        if settings and settings.get("methods"):
            remaining = [method for method in settings["methods"] if method != name]
            settings["methods"] = remaining or ["random"]  # an empty list would mean all
        if settings and settings.get("encoder") == name:
            evaluation[section] = None


def _missing(name, encoder):
    """Return a clause that names an encoder's missing files, or an empty string."""
    key = "path" if encoder["kind"] == "clip" else "weights"
    key_path = f"image_encoders.{name}.{key}"
    if is_hub_id(encoder):
        from waypoint.store.networks.hub import not_to_be_had  # imported lazily: the import takes a moment

        reason = not_to_be_had(encoder["path"])
        return reason and f"{key_path}: {reason}"
    try:
        path = place_of(encoder)
    except WaypointError as error:  # a package that is not installed
        return f"{key_path}: {error}"
    try:
        if encoder["kind"] != "clip":
            open(path, "rb").close()
        elif not Path(path).is_dir():
            return f"{key_path}: there is no folder {path}"
        elif not Path(path, "config.json").is_file():
            raise WaypointError(
                f"config: {key_path}: {path} holds no config.json, so it is not a folder of a CLIP model"
            )
        elif not has_weights(path):
            return f"{key_path}: {path} holds no weights (*.safetensors or *.bin)"
        return ""
    except OSError as error:
        return f"{key_path}: {path} cannot be read ({error.strerror})"


def place_of(encoder):
    """Return the folder, file or hub id of an encoder."""
    return package_path(encoder["path"] if encoder["kind"] == "clip" else encoder["weights"], "image_encoders")


def is_hub_id(encoder):
    """Return whether an encoder is a CLIP model at the hub, owner/name; paths in existing folders are not hub ids."""
    path = encoder["path"]
    if (
        encoder["kind"] != "clip"
        or Path(path).is_dir()
        or path.startswith((".", "/", "~", PREFIX))
        or path.count("/") != 1
    ):
        return False
    return not Path(path).parent.is_dir()


def identity(encoder):
    """Return an encoder's entry in specs: its settings, and the hash of its weights instead of their location."""
    settings = {key: value for key, value in encoder.items() if value is not None and key not in ("path", "weights")}
    return {**settings, **({"hub": encoder["path"]} if is_hub_id(encoder) else {"sha256": _hash(place_of(encoder))})}


@functools.cache
def _hash(path):
    """Return the hash of a file or folder; each is read once per start."""
    try:
        return weights_hash(path)
    except OSError as error:
        raise WaypointError(f"config: image_encoders: {error.filename} cannot be read ({error.strerror})") from error
