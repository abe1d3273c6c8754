"""Inner values of --config: words are read as what the schema wants in their place."""

import json

import pytest
import yaml
from snakemake.cli import parse_config
from test_config import config

from waypoint.errors import WaypointError
from waypoint.workflow.config.command_line import typed
from waypoint.workflow.config.complete import complete
from waypoint.workflow.config.schema import SCHEMA

SCHEMA = json.loads(SCHEMA.read_text())


def read(*words):
    given = parse_config(words)
    return typed(given, given, SCHEMA)


@pytest.mark.parametrize(
    "words",
    [
        "training={epochs: 1, learning_rate: 0.001}",
        "attribution={steps: [100, 300], train_draws: 4}",
        "methods={trak: {}, strong: {method: trak, kernel: {damping: 0.3}}}",
        "methods=[trak, random]",
        "data={source: npz, path: null, subset: 5, flip: true}",
        "data={source: digits, subset: [1, 2]}",
        "targets=[{id: a, seed: 3, mask: [0, 0, 4, 8]}, {id: '7', seed: 4}]",
        "model={unet: {flip_sin_to_cos: false, dropout: 0.1, norm_num_groups: 4}}",
        "checkpoints={paths: [a/b, c/d]}",
        "evaluation={counterfactual: {targets: [a], step: 500, n_remove: [4, 0.1]}}",
    ],
)
def test_inner_values_are_what_a_file_would_give(words):
    key, _, value = words.partition("=")
    assert read(words) == {key: yaml.safe_load(value)}


def test_a_number_in_powers_of_ten_is_one():
    assert read("training={learning_rate: 1e-3}") == {"training": {"learning_rate": 0.001}}


def test_what_a_file_says_stays_as_it_is():
    """Only words of the command line are read: a quoted number in a file is a mistake."""
    merged = {"training": {"epochs": "1", "batch_size": "5"}}
    assert typed(merged, {"training": {"epochs": "1"}}, SCHEMA)["training"] == {"epochs": 1, "batch_size": "5"}


def test_a_mistake_is_still_one():
    with pytest.raises(WaypointError, match="training.epochs"):
        complete(config({"training.epochs": "many"}), command_line={"training": {"epochs": "many"}})
    done = complete(config({"training.epochs": "3"}), command_line={"training": {"epochs": "3"}})
    assert done["training"]["epochs"] == 3
