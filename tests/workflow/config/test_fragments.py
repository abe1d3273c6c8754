"""The schema that is committed is the one that its fragments make."""

import json
from pathlib import Path

import waypoint.store.data as sources
from waypoint.store.data.source import KEYS
from waypoint.store.data.sources import SOURCES
from waypoint.workflow.config.fragments import SECTIONS, full_schema, schema
from waypoint.workflow.config.schema import SCHEMA
from waypoint.workflow.methods import ROWS


def test_the_committed_schema_is_up_to_date():
    """Else: python workflow_scripts/schema.py."""
    assert SCHEMA.read_text(encoding="utf-8") == json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def test_no_fragment_takes_the_place_of_another():
    sections = [file.stem for file in SECTIONS.glob("*.json")] + [name for row in ROWS for name in row.sections]
    assert len(sections) == len(set(sections)) and {*sections, "evaluation"} == set(schema()["properties"])
    assert {name for row in ROWS for name in row.sections} <= {name for row in ROWS for name in row.settings}


def test_fragments_of_sources_belong_to_one():
    for file in Path(sources.__path__[0]).glob("*.schema.json"):
        source, keys = SOURCES[file.name.partition(".")[0]], json.loads(file.read_text())
        assert set(keys) <= set(source.keys) & set(KEYS)
        assert not [name for name, other in SOURCES.items() if other is not source and set(keys) & set(other.keys)]


def test_sources_are_listed_where_configurations_are_checked():
    assert full_schema()["properties"]["data"]["properties"]["source"]["enum"] == sorted(SOURCES)
    assert "enum" not in schema()["properties"]["data"]["properties"]["source"]
