"""Paths of a configuration: what a shell would expand, what is not a folder, and what Snakemake would misread."""

import json

import pytest
from test_config import config, message

from waypoint.workflow.config.complete import complete
from waypoint.workflow.config.paths import expand_paths
from waypoint.workflow.config.schema import SCHEMA

WORDS = {"path", "weights", "trajectory", "scores", "store", "paths"}  # keys that name paths


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("SHARED", str(tmp_path / "shared"))
    monkeypatch.delenv("NOWHERE", raising=False)
    return tmp_path


@pytest.mark.parametrize("store", ["~/results", "$HOME/results", "${HOME}/results"])
def test_a_store_at_home_is_there(home, store):
    assert complete(config({"store": store}))["store"] == f"{home}/home/results"
    assert complete(config({"store": ["mine", store]}))["store"] == ["mine", f"{home}/home/results"]


def test_every_path_is_expanded_and_nothing_else(home):
    given = {
        "experiment": "~",
        "store": "~/s",
        "data": {"path": "~/d", "captions": "$SHARED/c.csv"},
        "checkpoints": {"paths": ["~/a", "$SHARED/b"]},
        "vae": {"path": "~/vae"},
        "text_encoder": {"path": "~/text"},
        "image_encoders": {"clip": {"path": "~/clip"}, "res": {"weights": "~/w.pth"}},
        "methods": {"mine": {"scores": "~/scores"}},
        "targets": [
            {"id": "a", "prompt": "~ $HOME", "trajectory": "~/t.npz", "mask": [{"name": "x", "mask": "~/m.png"}]}
        ],
        "evaluation": {"fid": {"weights": "~/i.pth"}},
    }
    at = f"{home}/home"
    assert expand_paths(given, json.loads(SCHEMA.read_text())) == {
        "experiment": "~",
        "store": f"{at}/s",
        "data": {"path": f"{at}/d", "captions": f"{home}/shared/c.csv"},
        "checkpoints": {"paths": [f"{at}/a", f"{home}/shared/b"]},
        "vae": {"path": f"{at}/vae"},
        "text_encoder": {"path": f"{at}/text"},
        "image_encoders": {"clip": {"path": f"{at}/clip"}, "res": {"weights": f"{at}/w.pth"}},
        "methods": {"mine": {"scores": f"{at}/scores"}},
        "targets": [
            {
                "id": "a",
                "prompt": "~ $HOME",
                "trajectory": f"{at}/t.npz",
                "mask": [{"name": "x", "mask": f"{at}/m.png"}],
            }
        ],
        "evaluation": {"fid": {"weights": f"{at}/i.pth"}},
    }


def test_every_key_that_names_a_path_says_so_in_the_schema():
    """So that a new one is expanded too."""

    def unmarked(schema, name=""):
        kinds = schema.get("type", [])
        if (
            name in WORDS
            and "string" in ([kinds] if isinstance(kinds, str) else kinds)
            and schema.get("format") != "path"
            and "enum" not in schema  # checkpoints.weights: ema or raw
        ):
            yield name
        for key, part in schema.get("properties", {}).items():
            yield from unmarked(part, key)
        for part in (schema.get("items"), schema.get("additionalProperties")):
            if isinstance(part, dict):
                yield from unmarked(part, name)

    assert list(unmarked(json.loads(SCHEMA.read_text()))) == []


def test_a_targets_table_at_home_is_read(home):
    (home / "home").mkdir()
    (home / "home/targets.csv").write_text("id,seed\na,1\n")
    assert complete(config({"targets": "~/targets.csv"}))["targets"][0]["id"] == "a"


@pytest.mark.parametrize("key", ["store", "data.path"])
def test_a_variable_that_is_not_set_is_named(key):
    text = message({key: "$NOWHERE/x"})
    assert f"config: {key}: $NOWHERE/x" in text and "NOWHERE is not set" in text


@pytest.mark.parametrize(
    "store, provider", [("s3://bucket/x", "s3"), ("gs://bucket", "gcs"), ("https://host/x", "https")]
)
def test_a_store_with_a_scheme_is_refused_with_the_flag_to_use(store, provider):
    text = message({"store": store})
    assert f"store: {store}" in text
    assert f"--default-storage-provider {provider} --default-storage-prefix {store}" in text
    assert "store[1]" in message({"store": ["mine", store]})


@pytest.mark.parametrize(
    "key, changes",
    [
        ("store", {"store": "a{b}"}),
        ("store[1]", {"store": ["a", "b<c"]}),
        ("targets[0].mask", {"targets": [{"id": "a", "seed": 1, "mask": "m{x}.png"}]}),
        ("targets[0].mask[0].mask", {"targets": [{"id": "a", "seed": 1, "mask": [{"name": "x", "mask": "{x}.png"}]}]}),
        ("targets[0].trajectory", {"targets": [{"id": "a", "trajectory": "t}.npz"}]}),
        ("methods.mine.scores", {"methods": {"mine": {"scores": "s{y}"}}}),
    ],
)
def test_what_snakemake_would_take_for_a_wildcard_is_refused_by_key(key, changes):
    text = message(changes)
    assert f"config: {key}: " in text and "wildcard" in text
