"""Image encoders in the configuration: mistakes in them, those whose files are missing, and what identifies them."""

import functools
import warnings
from pathlib import Path

from waypoint.errors import WaypointError, WaypointWarning
from waypoint.store.networks.image_encoder import weights_hash
from waypoint.store.networks.packages import PREFIX, package_path
from waypoint.workflow.config.method_settings import TAKEN

NEEDS = {"clip": ("path",), "timm": ("name", "weights"), "torchvision": ("name", "weights")}
MAY_HAVE = {"clip": (), "timm": ("mean", "std", "size"), "torchvision": ("mean", "std", "size")}


def check_encoders(config):
    """Refuse encoders that lack a key or have one of another kind.

    Raises:
        WaypointError: names the key.
    """
    encoders = config["image_encoders"]
    for name, encoder in encoders.items():
        where, kind = f"config: image_encoders.{name}", encoder["kind"]
        if name in TAKEN:
            raise WaypointError(f"{where}: the name {name} is taken; choose another")
        for key in NEEDS[kind]:
            if encoder[key] is None:
                raise WaypointError(f"{where}.{key} is missing; kind {kind} needs it")
        for key in encoder.keys() - {"kind", *NEEDS[kind], *MAY_HAVE[kind]}:
            if encoder[key] is not None:
                raise WaypointError(f"{where}.{key}: kind {kind} has no such key; leave it out")


def leave_out_missing(config):
    """Take out of ``config`` what needs an encoder whose local folder or file is missing, with one warning each.

    Raises:
        WaypointError: no method is left, or a folder that holds no model.
    """
    evaluation = config["evaluation"]
    captions = evaluation["caption_likelihood"]
    for name, encoder in config["image_encoders"].items():
        judges = captions is not None and captions["encoder"] == name
        off = [f"method {name}"] * (name in config["methods"]) + ["evaluation.caption_likelihood"] * judges
        if not off or not (missing := _missing(name, encoder)):
            continue
        alone = list(config["methods"]) == [name]
        config["methods"] = {method: row for method, row in config["methods"].items() if method != name}
        for section in ("counterfactual", "forgetting"):
            if evaluation[section] and evaluation[section]["methods"]:
                rest = [method for method in evaluation[section]["methods"] if method != name]
                evaluation[section]["methods"] = rest or ["random"]  # an empty list would mean all
        if judges:
            evaluation["caption_likelihood"] = None
        if alone:
            raise WaypointError(f"config: methods: {name} is the only one, but {missing}")
        verb = "is" if len(off) == 1 else "are"
        warnings.warn(
            f"{' and '.join(off)} {verb} off: {missing}. Everything else runs.", WaypointWarning, stacklevel=2
        )


def _missing(name, encoder):
    """A clause that says which of an encoder's files are missing, or an empty string."""
    key = "path" if encoder["kind"] == "clip" else "weights"
    where = f"image_encoders.{name}.{key}"
    if is_hub_id(encoder):
        return ""
    try:
        place = place_of(encoder)
    except WaypointError as error:  # a package that is not installed
        return f"{where}: {error}"
    try:
        if encoder["kind"] != "clip":
            open(place, "rb").close()
        elif not Path(place).is_dir():
            return f"{where}: there is no folder {place}"
        elif not Path(place, "config.json").is_file():
            raise WaypointError(f"config: {where}: {place} holds no config.json, so it is no folder of a CLIP model")
        return ""
    except OSError as error:
        return f"{where}: {place} cannot be read ({error.strerror})"


def place_of(encoder):
    """The folder, file or hub id that an encoder comes from."""
    return package_path(encoder["path"] if encoder["kind"] == "clip" else encoder["weights"], "image_encoders")


def is_hub_id(encoder):
    """Whether a CLIP model's path is no folder, but owner/name; what begins with an existing folder is a path."""
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
    """An encoder as specs hold it: its settings, and its weights' hash in place of where they lie."""
    kept = {key: value for key, value in encoder.items() if value is not None and key not in ("path", "weights")}
    return {**kept, **({"hub": encoder["path"]} if is_hub_id(encoder) else {"sha256": _hash(place_of(encoder))})}


@functools.cache
def _hash(place):
    """Read once per start."""
    try:
        return weights_hash(place)
    except OSError as error:
        raise WaypointError(f"config: image_encoders: {error.filename} cannot be read ({error.strerror})") from error
