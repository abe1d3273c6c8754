"""Values of ``--config``: Snakemake leaves nested ones, as in ``training='{epochs: 1}'``, as strings."""

from typing import Any

import yaml

from waypoint.workflow.types import Config

KINDS = {bool: "boolean", int: "integer", float: "number", type(None): "null"}


def typed(config: Any, given: Any, schema: Config) -> Any:
    """Return ``config`` with strings from the command line converted to the types in the schema.

    Args:
        config: the configuration as merged by Snakemake. given: the part of it that came from ``--config``.
    """
    if isinstance(given, dict) and isinstance(config, dict):
        parts, every = schema.get("properties", {}), schema.get("additionalProperties")
        every = every if isinstance(every, dict) else {}
        read = {key: typed(config[key], given[key], parts.get(key, every)) for key in given if key in config}
        return {**config, **read}
    if isinstance(given, list) and isinstance(config, list) and len(given) == len(config):
        return [typed(*pair, schema.get("items", {})) for pair in zip(config, given)]
    return _value(config, schema) if isinstance(config, str) and config == given else config


def _value(word, schema):
    """Return the value of a string in the type that the schema asks for, or the string if no conversion fits."""
    kinds = schema.get("type")
    kinds = [kinds] if isinstance(kinds, str) else kinds
    try:
        value = yaml.safe_load(word)
    except yaml.YAMLError:
        return word
    if isinstance(value, str) and (kinds is None or "number" in kinds):
        try:
            value = float(word)  # 1e-3 is a string in YAML
        except ValueError:
            return word
    kind = KINDS.get(type(value))
    if kind is None or kinds is None:
        return value if kind else word
    if "string" in kinds and kind not in ("boolean", "null"):  # a name may be 7
        return word
    return value if kind in kinds or (kind == "integer" and "number" in kinds) else word
