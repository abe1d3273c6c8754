"""Comparison of specs, which are keyed by stage: an input's with its reader's, an artifact's with the plan's."""

from dataclasses import dataclass
from typing import Any

from waypoint.errors import WaypointError
from waypoint.store.types import Attributes
from waypoint.workflow.config.schema import join

ABSENT = "nothing"
READ_AS = "read_as"  # key of the version that readers compare, beside an entry's own version
# {key of a spec: key of the configuration} of settings that a spec holds in another section than the configuration
WRITTEN = {
    "attribution.keep_halves": "features.keep_halves",
    "base.path": "checkpoints.base",
    "checkpoint.path": "checkpoints.paths",
    "checkpoint.reference": "checkpoints.paths",
    "checkpoint.sampler": "checkpoints.sampler",
    "checkpoint.timestep_spacing": "checkpoints.timestep_spacing",
    "features.flip": "data.flip",
    "features.train_draws": "attribution.train_draws",
    "generator": "targets.checkpoint",
    "given.adapter": "checkpoints.adapters",
    "scores.keep_halves": "features.keep_halves",
    "paths": "checkpoints.paths",
    "training.flip": "data.flip",
}


@dataclass(frozen=True)
class Difference:
    """A key, as in the configuration, with its different values in two specs."""

    key: str
    old: Any
    new: Any

    def __str__(self):
        return f"{self.key} was {self.old!r} and is now {self.new!r}"


def differences(stored, expected):
    """Return all differences between two specs of one artifact, in the order of the stages."""
    result = []
    for stage in [*expected, *(stage for stage in stored if stage not in expected)]:
        old, new = stored.get(stage, ABSENT), expected.get(stage, ABSENT)
        if old == new:
            continue
        if not isinstance(old, dict) or not isinstance(new, dict):
            # only one spec has this stage, for example because the model was given before and is now trained
            result += [Difference(stage, _summary(old), _summary(new))]
            continue
        result += _stage_differences(stage, old, new)
    return result


def _stage_differences(stage, old, new):
    """Iterate over the differences between two entries of one stage."""
    for key in sorted(old.keys() | new.keys()):
        a, b = old.get(key, ABSENT), new.get(key, ABSENT)
        if key == READ_AS:
            continue
        if key == "version" and a != b:
            yield Difference(f"the version of stage {stage}", a, b)
        elif a != b:
            yield from _section_differences(key, a, b)


def _section_differences(prefix: str, a, b):
    if not isinstance(a, dict) or not isinstance(b, dict):
        yield Difference(WRITTEN.get(prefix, prefix), a, b)
        return
    for key in sorted(a.keys() | b.keys()):
        if a.get(key, ABSENT) != b.get(key, ABSENT):
            yield from _section_differences(join(prefix, key), a.get(key, ABSENT), b.get(key, ABSENT))


def _summary(value):
    return "part of it" if isinstance(value, dict) else value


def as_read(spec):
    """Return a spec as readers of its artifact compare it.

    If a later version of a stage only stores more than before, the entry has the earlier version.
    """
    return {stage: _entry_as_read(entry) for stage, entry in spec.items()}


def _entry_as_read(entry):
    if not isinstance(entry, dict) or READ_AS not in entry:
        return entry
    return {key: value for key, value in entry.items() if key != READ_AS} | {"version": entry[READ_AS]}


def settings_of(spec):
    """Return all sections of a spec merged into one mapping; later stages add keys to earlier ones."""
    merged = {}
    for entry in spec.values():
        for name, section in entry.items() if isinstance(entry, dict) else ():
            if isinstance(section, dict) and isinstance(merged.get(name), dict):
                merged[name] = merged[name] | section
            elif name not in ("version", READ_AS):
                merged[name] = section
    return merged | {"seed": spec["seed"]} if "seed" in spec else merged


def require_agreement(path, attributes: Attributes | None, spec) -> Attributes:
    """Return an artifact's attributes if its settings and stage versions agree with its reader's.

    Args:
        attributes: the artifact's, or None. spec: the reader's; the stages in both specs must agree.

    Raises:
        WaypointError: names the key, both values, the artifact, and what to do.
    """
    if attributes is None:
        raise WaypointError(f"{path}: there is no artifact of Waypoint; rerun the rule that makes it")
    stored, spec = as_read(attributes["spec"]), as_read(spec)
    common = {stage: entry for stage, entry in spec.items() if stage in stored and stage != "item"}
    for difference in differences({stage: stored[stage] for stage in common}, common):
        raise WaypointError(
            f"{path} was made when {difference.key} was {difference.old!r}; here it is {difference.new!r}. "
            "Run snakemake again, which makes it anew, or use another experiment name"
        )
    return attributes
