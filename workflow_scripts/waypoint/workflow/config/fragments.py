"""The schema of configurations, assembled from the fragments of sections, sources, methods and evaluations.

    schemas/sections/{key}.json             a key of the configuration
    store/data/{source}.schema.json         keys of ``data`` for one source of training images
    workflow/methods.py                     the section of a method, and the keys of its kind
    workflow/evaluations/{evaluation}.py    a section of ``evaluation``

``python workflow_scripts/schema.py`` writes schemas/config.schema.json from them, for people and editors.
"""

import functools
import json
from pathlib import Path

import waypoint.store.data as sources
from waypoint.store.data.sources import SOURCES
from waypoint.workflow.config.schema import SCHEMA
from waypoint.workflow.evaluations.registry import EVALUATIONS
from waypoint.workflow.methods import ROWS
from waypoint.workflow.types import Config

SECTIONS = SCHEMA.parent / "sections"
TOP = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Waypoint configuration",
    "description": (
        "Every key, its default, its unit and its source. 'Paper' is arXiv 2312.06205, 'code' its reference code."
    ),
    "type": "object",
    "additionalProperties": False,
    "required": ["experiment", "checkpoints", "targets"],
}

EVALUATION = {
    "type": "object",
    "description": "What is evaluated: a section that is left out is not.",
    "additionalProperties": False,
    "default": {},
}


def schema() -> Config:
    """Return the whole schema, as written to schemas/config.schema.json."""
    properties = {file.stem: _read(file) for file in SECTIONS.glob("*.json")}
    for folder in sources.__path__:
        for file in sorted(Path(folder).glob("*.schema.json")):
            properties["data"]["properties"] |= _read(file)
    for row in ROWS:
        properties["methods"]["additionalProperties"]["properties"] |= row.extra_keys
        properties |= row.sections
    evaluations = {name: evaluation.schema for name, evaluation in EVALUATIONS.items()}
    properties["evaluation"] = {**EVALUATION, "properties": evaluations}
    return {**TOP, "properties": dict(sorted(properties.items()))}


def full_schema() -> Config:
    """Return the schema with the names of all sources of training images."""
    full = schema()
    full["properties"]["data"]["properties"]["source"]["enum"] = sorted(SOURCES)
    return full


def _read(file: Path) -> Config:
    """Return a new copy of a fragment, because assembling a schema changes fragments in place."""
    return json.loads(_text(file))


@functools.cache
def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8")
