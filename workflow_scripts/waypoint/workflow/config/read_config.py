"""Reads the configuration file of an experiment, with a sentence for everything that is wrong with it."""

import json
from pathlib import Path

import yaml

from waypoint.errors import WaypointError
from waypoint.store.types import StrPath
from waypoint.workflow.types import Config

MERGE = "tag:yaml.org,2002:merge"  # <<, which may be given several times


def read_config(path: StrPath) -> Config:
    """Return the content of a configuration file, YAML or JSON.

    Raises:
        WaypointError: there is no such file, it cannot be read, or it is not a mapping of distinct keys.
    """
    file = Path(path)
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise WaypointError(f"configuration {path}: there is no such file") from error
    except IsADirectoryError as error:
        raise WaypointError(f"configuration {path}: is a folder; name a file") from error
    except UnicodeDecodeError as error:
        raise WaypointError(f"configuration {path}: is not UTF-8 text; save it as UTF-8") from error
    except OSError as error:
        raise WaypointError(f"configuration {path}: cannot be read ({error.strerror})") from error
    try:
        config = _parsed(text)
    except WaypointError as error:
        raise WaypointError(f"configuration {path}: {error}") from error
    except yaml.YAMLError as error:
        raise WaypointError(f"configuration {path}: {_in_words(error)}") from error
    if config is None:
        raise WaypointError(f"configuration {path}: is empty; see config.yaml for an example")
    if not isinstance(config, dict):
        kind = "a list" if isinstance(config, list) else "a single value"
        raise WaypointError(f"configuration {path}: needs keys with values at its top level; it holds {kind}")
    return config


def _parsed(text):
    """Return the value of a text as Snakemake reads it: JSON, or else YAML."""
    try:
        return json.loads(text, object_pairs_hook=_distinct)
    except ValueError:
        loader = yaml.SafeLoader(text)
        try:
            node = loader.get_single_node()
            _require_distinct(node)
            return None if node is None else loader.construct_document(node)
        finally:
            loader.dispose()


def _require_distinct(node):
    """Refuse a key that is given twice, of which YAML would take the last."""
    if isinstance(node, yaml.MappingNode):
        lines: dict[str, int] = {}
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != MERGE:
                line = key.start_mark.line + 1
                if key.value in lines:
                    raise WaypointError(f"{key.value} is given twice (lines {lines[key.value]} and {line})")
                lines[key.value] = line
            _require_distinct(value)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            _require_distinct(value)


def _distinct(pairs):
    for k, (key, _) in enumerate(pairs):
        if key in (earlier for earlier, _ in pairs[:k]):
            raise WaypointError(f"{key} is given twice")
    return dict(pairs)


def _in_words(error):
    """Return what is wrong with a text that is not YAML."""
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        return f"is not YAML ({error})"
    words = error.problem or "is not YAML"
    advice = "; YAML is indented by spaces, not tabs" if "\\t" in words else ""
    return f"line {mark.line + 1} is not YAML: {words}{advice}"
