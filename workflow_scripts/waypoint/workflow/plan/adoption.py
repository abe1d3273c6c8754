"""Adoption of images and models from a store with flat specs, which Waypoint wrote before specs were keyed by stage.

An artifact that agrees with the configuration and whose checksums are intact gets attributes in the current format.
Everything else is moved aside and made again.
"""

import json
import os
import re
from pathlib import Path

from waypoint.errors import WaypointError
from waypoint.store.artifacts.checksums import rewrite_marker
from waypoint.store.artifacts.provenance import marker_path
from waypoint.store.zarr.attributes import as_given, as_stored
from waypoint.workflow.jobs.resuming import identity_of
from waypoint.workflow.plan.specs import differences, settings_of

# {stage: its earlier name}
EARLIER_NAMES = {
    "prepare_data": "data",
    "import_vae": "encoder",
    "import_text_encoder": "encoder",
    "train_vae": "vae",
    "encode_data": "encoding",
    "train": "train",
    "import_checkpoint": "train",
}
N_REMOVE = r"n(?P<n_remove>[0-9.e-]+)"
WITHOUT = re.compile(rf"without/(?P<method>[a-z0-9-]+)_(?P<target>[A-Za-z0-9-]+)_t(?P<step>\d+)_{N_REMOVE}")
RANDOM = re.compile(rf"without/random_(?P<removal>\d+)_{N_REMOVE}")


def planned(plan):
    """Return {path within the experiment: (stage, wildcards)} of the images, encoders and models of a plan."""
    artifacts = {}
    if plan.attributed:
        artifacts["data/images.zarr" if plan.encoded else "data/train.zarr"] = ("prepare_data", {})
        if plan.encoded:
            artifacts["data/train.zarr"] = ("encode_data", {})
    names = {"import_vae": "encoders/vae", "train_vae": "encoders/vae", "import_text_encoder": "encoders/text"}
    artifacts |= {names[stage]: (stage, wildcards) for stage, wildcards in plan.encoders_of_data()}
    artifacts |= {f"checkpoints/{name}": plan.model(name) for name in plan.checkpoints}
    return artifacts | {f"checkpoints/{name}": _retrained(name) for name in plan.retrained_models()}


def _retrained(name):
    if name.startswith("subset/"):
        return "train_subset", {"subset": name.removeprefix("subset/").split("-")[0]}
    if random := RANDOM.fullmatch(name):
        return "train_without_random", random.groupdict()
    match = WITHOUT.fullmatch(name)
    assert match is not None, name  # every remaining model was trained without some images
    return "train_without", match.groupdict()


def adopt(plan, name, path, old):
    """Convert an artifact's attributes from the earlier format to the current one.

    Args:
        name: its path within the experiment. old: its attributes.

    Returns:
        The reason why it was not adopted, or None.
    """
    stage, wildcards = planned(plan)[name]
    spec, identity = plan.as_readers(stage, **wildcards)
    if differing := differences(_comparable(old["spec"]), _flat(spec)):
        return str(differing[0])
    if stage == "train_without":
        identity = ""  # only the scores, once they exist, can tell whether they still remove these images
    new = {**old, "stage": stage, "spec": spec, "identity": identity, "reads": _reads(name, old)}
    if "training" in old:
        stream = "without" if name.startswith("checkpoints/without/") else name.removeprefix("checkpoints/")
        settings = {key: entry for key, entry in spec.items() if key != "item"}
        parts = (settings, stream, old["rows_sha256"]) if "rows_sha256" in old else (spec,)
        new["training"] = identity_of(*parts, old["data_sha256"])
    if path.suffix == ".zarr":
        _rewrite_group(path, new)
    else:
        rewrite_marker(path, new)
    return None


def read_old(path):
    """Return the attributes of an artifact in the earlier format, or None if it is current or not Waypoint's."""
    try:
        attributes = json.loads(marker_path(path).read_text())
        attributes = as_given(attributes.get("attributes", {})) if Path(path).suffix == ".zarr" else attributes
    except (OSError, ValueError):
        return None
    return attributes if "versions" in attributes.get("spec", {}) else None


def _comparable(old):
    """Return an earlier spec without the location of the data, which is no longer a setting."""
    spec = {key: value for key, value in old.items() if key != "data"}
    data = {key: value for key, value in old.get("data", {}).items() if key not in ("path", "captions")}
    return {"all": spec | ({"data": data} if data else {})}


def _flat(spec):
    """Return a current spec in the earlier, flat format."""
    sections = settings_of(spec)
    if "data" in sections:
        sections["data"] = {key: value for key, value in sections["data"].items() if key != "captions"}
    if "checkpoint" in sections:
        sections["checkpoint"] = {key: value for key, value in sections["checkpoint"].items() if value is not None}
    stages = (stage for stage, entry in spec.items() if isinstance(entry, dict) and stage != "item")
    return {"all": sections | {"versions": {EARLIER_NAMES[stage]: spec[stage]["version"] for stage in stages}}}


def _reads(name, old):
    """Return {artifact: hash} of the images that a model recorded."""
    has_hash = name.startswith("checkpoints/") and "data_sha256" in old
    return {"data/train.zarr": old["data_sha256"]} if has_hash else {}


def _rewrite_group(path, attributes):
    file = marker_path(path)
    group = json.loads(file.read_text())
    tmp = file.with_name(f"{file.name}.tmp-{os.getpid()}")
    tmp.write_text(json.dumps({**group, "attributes": as_stored(attributes)}, indent=2))
    os.replace(tmp, file)


def require_root(root):
    """Refuse a missing folder.

    Raises:
        WaypointError: names it.
    """
    if not Path(root).is_dir():
        raise WaypointError(f"{root}: there is no such experiment")
