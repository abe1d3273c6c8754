"""Configuration files as people write them: what is wrong is said in a sentence, and nothing is dropped silently."""

import json

import pytest

from waypoint.errors import WaypointError
from waypoint.workflow.config.read_config import read_config


def written(tmp_path, text):
    file = tmp_path / "mine.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return file


@pytest.mark.parametrize(
    "text, value",
    [
        (
            "seed: 1\ntargets: [{ id: a, seed: 1 }, { id: b, seed: 1 }]\n",
            [{"id": "a", "seed": 1}, {"id": "b", "seed": 1}],
        ),
        ("targets: &t\n  x: { y: &y { seed: 1 }, z: { <<: *y, seed: 2 } }\nmore: { <<: *t }\n", None),
        ('{"targets":\t[1]}', [1]),
    ],
    ids=["yaml", "merge", "json with a tab"],
)
def test_what_snakemake_reads_is_read(tmp_path, text, value):
    found = read_config(written(tmp_path, text))["targets"]
    assert found == (value or {"x": {"y": {"seed": 1}, "z": {"seed": 2}}})


@pytest.mark.parametrize(
    "text, words",
    [
        ("seed: 1\ndata: {}\nseed: 2\n", r"seed is given twice \(lines 1 and 3\)"),
        ("a:\n  - { epochs: 2, epochs: 3 }\n", r"epochs is given twice \(lines 2 and 2\)"),
        (json.dumps({"a": 1})[:-1] + ', "a": 2}', "a is given twice"),
        ("", "is empty"),
        ("# nothing\n", "is empty"),
        ("- 1\n", "needs keys with values at its top level; it holds a list"),
        ("word", "it holds a single value"),
        ("a: 1\n\tb: 2\n", "line 2 is not YAML.*spaces, not tabs"),
        ("a: [1\nb: 2\n", "line 2 is not YAML"),
        ("a: é".encode("latin-1"), "is not UTF-8 text"),
    ],
)
def test_what_is_wrong_is_said(tmp_path, text, words):
    with pytest.raises(WaypointError, match=f"configuration .*mine.yaml: .*{words}"):
        read_config(written(tmp_path, text))


def test_missing_files_and_folders_are_said(tmp_path):
    with pytest.raises(WaypointError, match="there is no such file"):
        read_config(tmp_path / "mien.yaml")
    with pytest.raises(WaypointError, match="is a folder; name a file"):
        read_config(tmp_path)
