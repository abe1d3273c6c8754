"""Rules hand their scripts what these ask for: names in ``call`` are the rule's and the script's own."""

import ast
import re

import pytest
from support import SCRIPTS

from waypoint.workflow.plan.stages import STAGES

RUN = ("run", "run_together")  # what scripts end with
OWN_STAGE = {  # rules that make artifacts of another stage
    "featurize_shard": "featurize",
    "featurize_together": "featurize",
    "featurize_shard_together": "featurize",
    "fisher_rows_together": "fisher_rows",
    "target_gradients_together": "target_gradients",
    "join_features": "featurize",
    "share_trajectory": None,  # of whichever stage made the trajectory
}


def rules():
    """[(rule, its text)] of all rules with a command by ``call``."""
    found = []
    for file in sorted((SCRIPTS.parent / "rules").glob("*.smk")):
        parts = re.split(r"^ *rule (\w+):$", file.read_text(), flags=re.M)
        found += [(name, text) for name, text in zip(parts[1::2], parts[2::2]) if "call(" in text]
    return found


RULES = rules()
every_rule = pytest.mark.parametrize("name,text", RULES, ids=[name for name, _ in RULES])


def command(text):
    """The arguments of a rule's ``call``: script, names of inputs, more options, the output --out, names of others."""
    shell = re.search(r"^ +shell:\n((?: +.*\n)+)", text, re.M)[1]
    made = ast.parse(shell.strip(), mode="eval").body
    script, *more = map(ast.literal_eval, made.args)
    named = {keyword.arg: ast.literal_eval(keyword.value) for keyword in made.keywords}
    inputs, *options = more or [""]
    return script, inputs.split(), " ".join(options), named.get("out"), named.get("outputs", "").split()


def names(text, directive):
    """Names in a directive of a rule."""
    block = re.search(rf"^( +){directive}:\n((?:\1 +.*\n|\n)+)", text, re.M)
    first = re.match(r" *", block[2])[0] if block else ""
    return set(re.findall(rf"^{first}(\w+)=", block[2], re.M)) if block else set()


def arguments(script):
    """Names of the options that a script has beside --spec and --log; those that it must be given."""
    tree = ast.parse((SCRIPTS / f"{script}.py").read_text())
    lists = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and getattr(node.func, "id", "") in RUN]
    lists += [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "arguments"
    ]
    every = [part.value for node in lists for part in ast.walk(node) if isinstance(part, ast.Constant)]
    return {option.rstrip("*?") for option in every}, {option.rstrip("*") for option in every if option[-1] != "?"}


@every_rule
def test_a_command_names_what_the_rule_has(name, text):
    _, inputs, options, out, outputs = command(text)
    assert set(inputs) <= names(text, "input")
    assert {*outputs, *([out] if out else [])} <= names(text, "output")
    assert set(re.findall(r"\{params\.(\w+)", options)) <= names(text, "params")
    assert out or outputs or not names(text, "output")


@every_rule
def test_a_command_names_options_that_its_script_has(name, text):
    script, inputs, options, out, outputs = command(text)
    given = {*inputs, *outputs, *re.findall(r"--(\w+)", options)} | ({"out"} if out or not outputs else set())
    every, needed = arguments(script)
    assert needed <= given <= every


@every_rule
def test_a_rule_is_named_as_its_stage(name, text):
    stage = OWN_STAGE.get(name, name)
    assert stage is None or (stage in STAGES and f'"{stage}"' in text)
