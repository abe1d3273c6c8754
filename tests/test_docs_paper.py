"""docs/paper.md: every line, equation and figure of the paper has a row, and every name in it exists."""

import importlib
import json
import re
from functools import reduce

import pytest
from support import SCRIPTS

from waypoint.workflow.methods import METHODS

ROOT = SCRIPTS.parent
PAGE = (ROOT / "docs/paper.md").read_text()
SCHEMA = json.loads((ROOT / "schemas/config.schema.json").read_text())
RULES = "".join(file.read_text() for file in sorted((ROOT / "rules").glob("*.smk")))
COLUMNS = ["key", "rule", "script", "function", "result"]
WANTED = {
    "line": {str(line) for line in range(1, 19)},
    "place": {"Eq. 3", "§2.2", "§3.1", "§3.2", "§5.1", "§5.4", "App. A"},
    "figure": {f"Fig. {k}" for k in range(1, 8)} | {f"B.{k}" for k in range(1, 11)},
}


def rows():
    """(kind of its label, label, {column: names between backticks}) of every row of every table."""
    kind = None
    for row in re.findall(r"^\| (.+) \|$", PAGE, flags=re.M):
        label, _, *cells = re.split(r" (?<!\\)\| ", row)
        if cells == COLUMNS:
            kind = label
        else:
            assert len(cells) == len(COLUMNS), row
            yield kind, label, {name: re.findall(r"`([^`]+)`", cell) for name, cell in zip(COLUMNS, cells)}


def labels(kind, label):
    """The labels that a row stands for: 4–5 is 4 and 5."""
    first, _, last = label.partition("–")
    return [str(line) for line in range(int(first), int(last or first) + 1)] if kind == "line" else [label]


NAMED = {column: sorted({name for _, _, cells in rows() for name in cells[column]}) for column in COLUMNS}


@pytest.mark.parametrize("kind", WANTED)
def test_nothing_of_the_paper_is_left_out(kind):
    assert {part for of, label, _ in rows() if of == kind for part in labels(kind, label)} == WANTED[kind]


def test_every_row_leads_somewhere():
    """All but the ends of loops name a rule and a script."""
    silent = [label for _, label, cells in rows() if not (cells["rule"] and cells["script"])]
    assert silent == ["9", "13", "16"]


def known_key(key):
    """Whether the schema has a dotted key; lists and free names are looked into."""

    def below(nodes, part):
        inner = [node.get("properties", {}).get(part) for node in nodes]
        return [one for node in inner if node for one in alternatives(node)]

    def alternatives(node):
        parts = [node, *(part for name in ("anyOf", "oneOf") for part in node.get(name, []))]
        return parts + [part["items"] for part in parts if isinstance(part.get("items"), dict)]

    return bool(reduce(below, key.split("."), alternatives(SCHEMA)))


@pytest.mark.parametrize("key", NAMED["key"])
def test_keys_are_the_schemas(key):
    assert known_key(key)


@pytest.mark.parametrize("rule", NAMED["rule"])
def test_rules_exist(rule):
    assert re.search(rf"^\s*rule {rule}:$", RULES, flags=re.M) or rule in {row.stage for row in METHODS.values()}


@pytest.mark.parametrize("script", NAMED["script"])
def test_scripts_exist(script):
    assert (SCRIPTS / script).is_file()


@pytest.mark.parametrize("name", NAMED["function"])
def test_functions_exist(name):
    parts = name.split(".")
    files = [SCRIPTS.joinpath("waypoint", *parts[:k]).with_suffix(".py") for k in range(len(parts))]
    (k,) = (k for k, file in enumerate(files) if file.is_file())
    found = importlib.import_module(".".join(["waypoint", *parts[:k]]))
    assert callable(reduce(getattr, parts[k:], found))


@pytest.mark.parametrize("path", NAMED["result"])
def test_results_are_outputs_of_rules(path):
    written = RULES.replace("{{", "{").replace("}}", "}").replace("{IMAGES}", "data/train.zarr")
    assert f'"<results>/{path}"' in written


def test_links_and_experiments_exist():
    links = [link.split("#")[0] for link in re.findall(r"\]\(([^)]+)\)", PAGE) if "://" not in link]
    assert links and all((ROOT / "docs" / link).exists() for link in links)
    assert all((ROOT / file).is_file() for file in re.findall(r"`(experiments/[^`]+)`", PAGE))


def test_a_name_that_does_not_exist_is_noticed():
    assert not known_key("attribution.draws") and not known_key("targets.masks") and known_key("targets.mask")
