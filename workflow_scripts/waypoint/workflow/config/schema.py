"""Checks of the configuration against its JSON schema, with messages for people, and its defaults."""

import copy
import difflib
import json
import math
import re
from pathlib import Path

import jsonschema
from jsonschema import validators

from waypoint.errors import WaypointError

RENAMED = {"evaluation.reliability": "evaluation.split_half"}
NAMES = {  # {pattern of names: (pattern of other characters, description of the allowed ones)}
    "^[A-Za-z0-9-]+$": ("[^A-Za-z0-9-]+", "letters, digits and hyphens"),
    "^[A-Za-z0-9_-]+$": ("[^A-Za-z0-9_-]+", "letters, digits, hyphens and underscores"),
}
SCHEMA = Path(__file__).parents[4] / "schemas" / "config.schema.json"


def _is_integer(_, value):
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(_, value):
    return _is_integer(_, value) or (isinstance(value, float) and math.isfinite(value))


def _pattern(_, pattern, value, __):
    """Check a pattern whose $ means the very end: names become file names, so a final line break is refused too."""
    if isinstance(value, str) and ("\n" in value or not re.search(pattern, value)):
        yield jsonschema.ValidationError(f"{value!r} does not match {pattern!r}")


# 16.0 is not an integer here, and .nan is not a number
_TYPES = jsonschema.Draft202012Validator.TYPE_CHECKER.redefine_many({"integer": _is_integer, "number": _is_number})
_Validator = validators.extend(jsonschema.Draft202012Validator, validators={"pattern": _pattern}, type_checker=_TYPES)


def check_keys(value, path):
    """Refuse YAML keys such as 1 or yes, which are not strings; JSON schema cannot refuse them."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in items:
        if isinstance(value, dict) and not isinstance(key, str):
            raise WaypointError(f"config: key {join(key_path(path), str(key))} is not text; quote it")
        check_keys(part, [*path, key])


def check_schema(config, schema):
    errors = list(_Validator(schema).iter_errors(config))
    if not errors:
        return
    error = min(errors, key=lambda e: (len(e.absolute_path), str(e.absolute_path)))
    parent = key_path(error.absolute_path)
    if error.validator == "additionalProperties":
        properties = error.schema["properties"]
        unknown = sorted(set(error.instance) - set(properties))[0]
        if (key := join(parent, unknown)) in RENAMED:
            raise WaypointError(f"config: {key} is now {RENAMED[key]}")
        close = difflib.get_close_matches(unknown, properties, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"known keys: {', '.join(sorted(properties))}"
        raise WaypointError(f"config: unknown key {join(parent, unknown)!r}; {hint}")
    if error.validator == "required":
        missing = sorted(set(error.validator_value) - set(error.instance))[0]
        raise WaypointError(f"config: {join(parent, missing)} is missing: {_description(error.schema, missing)}")
    raise WaypointError(f"config: {parent or 'the configuration'}: {_sentence(error)}")


def _sentence(error):
    value, limit = error.instance, error.validator_value
    text = json.dumps(value, ensure_ascii=False)
    if error.validator == "type":
        kinds = [limit] if isinstance(limit, str) else limit
        if "number" in kinds and (written := _number_that_yaml_misses(value)):
            return f"YAML reads {value} as text, not as a number; write {written}"
        return f"{text} is not {' or '.join(_article(kind) for kind in kinds)}"
    if error.validator == "enum":
        return f"{text} is not one of {', '.join(map(json.dumps, limit))}"
    if error.validator == "minimum":
        return f"{text} is too small; at least {limit}"
    if error.validator == "exclusiveMinimum":
        return f"{text} is too small; more than {limit}"
    if error.validator == "exclusiveMaximum":
        return f"{text} is too large; less than {limit}"
    if error.validator == "pattern" and limit in NAMES:
        close = re.sub(NAMES[limit][0], "-", value).strip("-")
        hint = f"; write {json.dumps(close)}, say" if re.search(limit, close) else ""
        return f"{text} may have {NAMES[limit][1]} only, for it becomes part of file names{hint}"
    if error.validator == "pattern":
        return f"{text} does not match {limit}"
    if error.validator == "uniqueItems":
        return f"{text} lists something twice"
    return error.message


def _number_that_yaml_misses(value):
    """Return a number such as 1e-3, which YAML takes for text, as YAML wants it; None for other values."""
    match = re.fullmatch(r"([+-]?[0-9]+)(\.?)([0-9]*)[eE]([+-]?)([0-9]+)", value) if isinstance(value, str) else None
    if match is None:
        return None
    whole, _, fraction, sign, exponent = match.groups()
    return f"{whole}.{fraction or 0}e{sign or '+'}{exponent}"


def _article(kind):
    return {"null": "null", "integer": "an integer", "array": "a list", "object": "a mapping"}.get(kind, f"a {kind}")


def _description(schema, key):
    return schema["properties"].get(key, {}).get("description", "")


def key_path(parts):
    """Return a key as people write it, such as data.subset or targets[2].seed."""
    text = ""
    for part in parts:
        text = f"{text}[{part}]" if isinstance(part, int) else join(text, part)
    return text


def join(parent: str | None, key: str) -> str:
    """Return ``parent.key``, or ``key`` at the top level."""
    return f"{parent}.{key}" if parent else key


def fill(value, schema):
    if isinstance(value, dict):
        for key, part in schema.get("properties", {}).items():
            if key not in value and "default" in part:
                value[key] = copy.deepcopy(part["default"])
            if key in value:
                fill(value[key], part)
        if isinstance(other_schema := schema.get("additionalProperties"), dict):
            for part in value.values():
                fill(part, other_schema)
    elif isinstance(value, list) and isinstance(schema.get("items"), dict):
        for item in value:
            fill(item, schema["items"])
