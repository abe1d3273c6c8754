"""Values of ``--config``: Snakemake leaves nested ones, as in ``training='{epochs: 1}'``, as strings."""

from typing import overload

import yaml

from waypoint.workflow.types import Config, Value

KINDS = {bool: "boolean", int: "integer", float: "number", type(None): "null"}


@overload
def typed(config: Config, command_line: Value, schema: Config) -> Config: ...
@overload
def typed(config: Value, command_line: Value, schema: Config) -> Value: ...
def typed(config: Value, command_line: Value, schema: Config) -> Value:
    """Return ``config`` with strings from the command line converted to the types in the schema.

    Args:
        config: the configuration as merged by Snakemake. command_line: the part of it that came from ``--config``.
    """
    if isinstance(command_line, dict) and isinstance(config, dict):
        properties, other_schema = schema.get("properties", {}), schema.get("additionalProperties")
        other_schema = other_schema if isinstance(other_schema, dict) else {}
        converted = {
            key: typed(config[key], command_line[key], properties.get(key, other_schema))
            for key in command_line
            if key in config
        }
        return {**config, **converted}
    if isinstance(command_line, list) and isinstance(config, list) and len(command_line) == len(config):
        return [typed(*pair, schema.get("items", {})) for pair in zip(config, command_line)]
    return _value(config, schema) if isinstance(config, str) and config == command_line else config


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
