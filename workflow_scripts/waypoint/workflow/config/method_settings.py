"""The section ``methods``, a list of names or a mapping of names to settings, and its checks."""

import difflib

from waypoint.errors import WaypointError
from waypoint.workflow.bases import BASES
from waypoint.workflow.methods import ENCODER, IMPORTED, KERNEL_KEYS, METHODS, NAMED
from waypoint.workflow.types import Config

# names with another meaning in tables, paths and figures: controls, references of the LDS, classifiers, other figures
TAKEN = (*NAMED, "none", "retrain", "ceiling", "standard", "robust", "masks", "trajectory")


def named_methods(config):
    """Return {name: settings} of the section ``methods``, each with its kind under the key ``method``.

    A name without settings is a kind or a name in ``image_encoders``. Under any other name, the settings state the kind
    or the folder of the scores.

    Raises:
        WaypointError: names the key and what is wrong with it.
    """
    section, encoders = config["methods"], config["image_encoders"]
    if not isinstance(section, dict):
        prefixes = {name: f"config: methods[{i}]" for i, name in enumerate(section)}
        section = {name: {} for name in section}
    else:
        prefixes = {name: f"config: methods.{name}" for name in section}
        if not section:
            raise WaypointError("config: methods: {} names no method")
    methods = {name: _settings(name, dict(entry or {}), prefixes[name], encoders) for name, entry in section.items()}
    for name, settings in methods.items():
        if "scores" in METHODS[settings["method"]].reads:
            _check_summed(settings, methods, prefixes[name])
    return methods


def _settings(name, settings, prefix, encoders):
    """Return a method's settings with its kind.

    Raises:
        WaypointError: as ``named_methods``.
    """
    kind = settings.get("method")
    if kind is not None and kind not in NAMED:
        raise WaypointError(f"{prefix}.method: {kind!r} is not a method; {_hint(kind, NAMED)}")
    if name in encoders:
        kind = _implied_kind(name, kind, ENCODER, prefix)
    elif name in NAMED:
        kind = _implied_kind(name, kind, name, prefix)
    elif name in TAKEN:
        raise WaypointError(f"{prefix}: the name {name} is taken; choose another")
    elif "scores" in settings:
        if kind is not None:
            raise WaypointError(f"{prefix}: scores that are given have no method; leave out {prefix[8:]}.method")
        kind = IMPORTED
    elif kind is None:
        if settings:
            raise WaypointError(
                f"{prefix}: a name of your own needs method, one of {', '.join(NAMED)}, or scores, a folder"
            )
        known_names = [*NAMED, *encoders]
        raise WaypointError(
            f"{prefix}: {name!r} is neither a method nor a name in image_encoders; {_hint(name, known_names)}"
        )
    row = METHODS[kind]
    description = f"method {kind}" if kind in NAMED else "an image encoder" if kind == ENCODER else "a folder of scores"
    for key in settings:
        if key not in ("method", *row.keys):
            raise WaypointError(f"{prefix}.{key}: {description} has no such setting; leave it out")
    for key in settings.get("kernel", {}):
        if key not in KERNEL_KEYS[row.kernel]:
            raise WaypointError(f"{prefix}.kernel.{key}: the kernel of {description} has no such setting; leave it out")
    return {"method": kind, **{key: value for key, value in settings.items() if key != "method"}}


def _implied_kind(name, kind, name_kind, prefix):
    """Return the kind of a method whose name implies it.

    Raises:
        WaypointError: the settings state another kind.
    """
    if kind not in (None, name_kind):
        raise WaypointError(f"{prefix}.method: the name {name} belongs to another method; choose another name")
    return name_kind


def _check_summed(settings, methods, prefix):
    """Refuse a trajectory score of a method that is not listed or has the same scores at every step."""
    summed_method = summed(settings)
    kind = methods[summed_method]["method"] if summed_method in methods else summed_method
    known_names = [name for name, row in methods.items() if METHODS[row["method"]].per_step]
    if kind not in METHODS or (summed_method not in methods and summed_method not in NAMED):
        raise WaypointError(
            f"{prefix}.of: {summed_method!r} is not one of methods; {_hint(summed_method, known_names)}"
        )
    if not METHODS[kind].per_step:
        raise WaypointError(
            f"{prefix}.of: the scores of {summed_method} are the same at every step; name another method"
        )


def summed(settings):
    """Return the method whose scores a trajectory score with these settings adds up."""
    return settings.get("of", "trak")


def check_lists(config):
    """Refuse evaluations of methods that are not listed.

    Raises:
        WaypointError: names the key.
    """
    known_names = [*NAMED, *(name for name in config["methods"] if name not in NAMED)]
    known_names += [name for name in config["image_encoders"] if name not in known_names]
    for section, settings in config["evaluation"].items():
        for i, method in enumerate((settings or {}).get("methods") or []):
            if method not in known_names:
                prefix = f"config: evaluation.{section}.methods[{i}]"
                raise WaypointError(
                    f"{prefix}: {method!r} is neither a method nor a name in image_encoders; "
                    f"{_hint(method, known_names)}"
                )


def kernel_settings(config, settings) -> Config:
    """Return a method's kernel settings: its own, else its kind's defaults, else the experiment's."""
    row = METHODS[settings["method"]]
    experiment_settings = {
        key: config["kernel"][key] for key in KERNEL_KEYS[row.kernel] if key not in row.kernel_settings
    }
    return experiment_settings | dict(row.kernel_settings) | settings.get("kernel", {})


def check_bases(config, methods):
    """Refuse gradients that the basis of a method cannot map.

    Args:
        methods: as for ``check_fisher_rows``.

    Raises:
        WaypointError: the gradients are factorised, but the basis maps those of whole tensors.
    """
    for name, settings in methods.items():
        basis = METHODS[settings["method"]].basis
        if basis and BASES[basis].map and config["gradients"]["kind"] != "exact":
            raise WaypointError(
                f"config: gradients.kind: {config['gradients']['kind']} leaves no gradients of whole tensors, which "
                f"method {name} whitens; set it to exact, or leave out {name}"
            )
        if basis and config["projection"]["kind"] == "none" and config["gradients"]["kind"] != "exact":
            raise WaypointError("config: projection.kind: none is for gradients.kind exact; choose another projection")


def check_fisher_rows(config, methods):
    """Refuse kernels that cannot be made from their Fisher rows.

    Args:
        methods: {name: settings} of all methods, including those that only an evaluation needs.

    Raises:
        WaypointError: methods of one basis, which share their rows, ask for different numbers of them, or a kernel
            without damping has fewer rows than dimensions. Names the key.
    """
    first = {}
    for name, settings in methods.items():
        row = METHODS[settings["method"]]
        if row.kernel != "fisher":
            continue
        kernel, d = kernel_settings(config, settings), config["projection"]["dim"]
        prefix = f"config: methods.{name}.kernel"
        other, rows = first.setdefault(row.basis, (name, kernel["rows"]))
        if kernel["rows"] != rows:
            raise WaypointError(
                f"{prefix}.rows: {kernel['rows']}, but {other} has {rows}: methods of basis {row.basis} share their "
                "Fisher rows; give both the same number"
            )
        if kernel["damping"] == 0 and kernel["rows"] < d and config["projection"]["kind"] != "none":
            raise WaypointError(
                f"{prefix}.damping: 0 needs at least projection.dim ({d}) Fisher rows, but {prefix[8:]}.rows is {rows}"
            )


def step_methods(config):
    """Return the methods whose scores differ from step to step."""
    return [name for name, settings in config["methods"].items() if METHODS[settings["method"]].per_step]


def _hint(name, known_names):
    close = difflib.get_close_matches(name, known_names, n=1)
    return f"did you mean {close[0]!r}?" if close else f"known are {', '.join(known_names)}"
