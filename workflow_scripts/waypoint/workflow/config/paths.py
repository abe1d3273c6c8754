"""Paths in a configuration, which the schema marks with ``"format": "path"``.

``~`` and environment variables are expanded in them as in a shell.
"""

import os
import re
from typing import overload

from waypoint.errors import WaypointError
from waypoint.workflow.config.schema import key_path
from waypoint.workflow.types import Config, Value

SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
PROVIDERS = {"gs": "gcs"}  # {scheme: name of Snakemake's plugin} if they differ
BRACKETS = re.compile(r"[{}<>]")  # Snakemake reads {…} in an artifact's path as a wildcard, and <…> as a variable


@overload
def expand_paths(value: Config, schema: Config, path: tuple[str | int, ...] = ()) -> Config: ...
@overload
def expand_paths(value: Value, schema: Config, path: tuple[str | int, ...] = ()) -> Value: ...
def expand_paths(value: Value, schema: Config, path: tuple[str | int, ...] = ()) -> Value:
    """Return ``value``, the part of a configuration at ``path``, with its paths expanded.

    Raises:
        WaypointError: an environment variable is not set; names the key.
    """
    if isinstance(value, dict):
        properties, other_schema = schema.get("properties", {}), schema.get("additionalProperties")
        other_schema = other_schema if isinstance(other_schema, dict) else {}
        return {key: expand_paths(part, properties.get(key, other_schema), (*path, key)) for key, part in value.items()}
    if isinstance(value, list):
        return [expand_paths(part, schema.get("items", {}), (*path, i)) for i, part in enumerate(value)]
    return expanded(value, path) if isinstance(value, str) and schema.get("format") == "path" else value


def expanded(text, path):
    """Return a path with ``~`` and environment variables expanded.

    Args:
        path: its key, for messages.

    Raises:
        WaypointError: an environment variable is not set.
    """
    for name in re.findall(r"\$(\w+|\{\w+\})", text):
        if name.strip("{}") not in os.environ:
            raise WaypointError(f"config: {key_path(path)}: {text}: the environment variable {name} is not set")
    return os.path.expandvars(os.path.expanduser(text))


def tidied_store(store):
    """Return the store or stores of a configuration without ``./``, ``//`` and a slash at the end."""
    if isinstance(store, list):
        return [tidied_store(each) for each in store]
    return store if SCHEME.match(store) else os.path.normpath(store)


def check_places(config):
    """Refuse stores that are not folders, and names with brackets, which have a meaning for Snakemake.

    Args:
        config: with the section ``methods`` as written.

    Raises:
        WaypointError: names the key and what to do.
    """
    configured = config.get("store", [])
    stores = (
        {"store": configured}
        if isinstance(configured, str)
        else {f"store[{i}]": store for i, store in enumerate(configured)}
    )
    for key, store in stores.items():
        if match := SCHEME.match(store):
            provider = PROVIDERS.get(match[1], match[1])
            raise WaypointError(
                f"config: {key}: {store} is not a folder. Leave the key out, and call snakemake with "
                f"--default-storage-provider {provider} --default-storage-prefix {store}"
            )
    for key, path in [*stores.items(), *_inputs(config)]:
        if match := BRACKETS.search(path):
            raise WaypointError(
                f"config: {key}: {path} has a {match[0]} in it, which Snakemake reads as a wildcard; use another name"
            )


def _inputs(config):
    """Iterate over (key, path) of the files outside the store that the jobs read."""
    for i, target in enumerate(config["targets"]):
        mask = target.get("mask")
        masks = mask if isinstance(mask, list) else []
        paths = {f"mask[{k}].mask": part["mask"] for k, part in enumerate(masks) if isinstance(part, dict)}
        paths |= {"mask": mask, "trajectory": target.get("trajectory"), "image": target.get("image")}
        yield from (
            (f"targets[{i}].{key}", input_path) for key, input_path in paths.items() if isinstance(input_path, str)
        )
    methods = config.get("methods")
    for name, settings in methods.items() if isinstance(methods, dict) else ():
        if settings and "scores" in settings:
            yield f"methods.{name}.scores", settings["scores"]
