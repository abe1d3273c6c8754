"""Pages on evaluations, and the page of tables: what they name exists, with the defaults and columns that it has."""

import importlib.util
import json
import re

import numpy as np
import pandas as pd
import pytest
import yaml
from support import SCRIPTS, script_path
from test_docs_methods import SCHEMA, code, keys, node, tables
from test_docs_site import whole, workplace  # noqa: F401  a fixture

from waypoint.science.evaluation.one_step_error import one_step_error
from waypoint.workflow.config.complete import complete
from waypoint.workflow.plan.plan import Plan

ROOT = SCRIPTS.parent
DOCS, KEPT = ROOT / "docs/evaluations", ROOT / "docs/results/digits-lds"
SECTIONS = ["Formula", "What runs and what it costs", "Settings", "What it writes", "How to read it", "Limits"]
BESIDE = {
    "fid": "counterfactual",
    "controls": "counterfactual",
    "classifier": "likelihood",
}  # on the page of another key
ELSEWHERE = BESIDE | {"samples": "one-step-error"}
EVALUATION = SCHEMA["properties"]["evaluation"]["properties"]
PAGES = {key: f"{ELSEWHERE.get(key, key.replace('_', '-'))}.md" for key in EVALUATION}
EXAMPLES = [
    (page.stem, text)
    for page in sorted(DOCS.glob("*.md"))
    for text in re.findall(r"^```yaml\n(.*?)^```", page.read_text(), flags=re.M | re.S)
]

every_page = pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.stem)


def section(text, title):
    """The text under a heading, up to the next one of the same level."""
    level = title.split(" ")[0]
    return re.search(rf"^{re.escape(title)}\n(.*?)(?=^#{{1,{len(level)}}} |\Z)", text, flags=re.M | re.S)[1]


def settings(page):
    """{key: the cell of its default} of a page's settings."""
    rows = tables(section(page.read_text(), "## Settings"))
    return {row[0].strip("`"): row[1] for row in rows if row[0].startswith("`")}


def leaves(key):
    """The keys of an evaluation's section; itself where it has none."""
    return [f"evaluation.{key}.{name}" for name in EVALUATION[key]["properties"]] or [f"evaluation.{key}"]


# ---- pages


def test_every_page_is_of_an_evaluation():
    assert {page.name for page in DOCS.glob("*.md")} == set(PAGES.values())


@every_page
def test_sections_are_the_same_everywhere(page):
    text = page.read_text()
    assert re.findall(r"^## (.+)$", text, flags=re.M) == SECTIONS
    (key,) = (key for key, name in PAGES.items() if name == page.name and key not in BESIDE)
    assert re.match(rf"# [^`\n]+: `{key}`\n\n[A-Z][^?]+\?\n\n## ", text), "a heading with its key, then one question"


@pytest.mark.parametrize("key", EVALUATION)
def test_every_key_stands_on_its_page(key):
    assert set(leaves(key)) <= set(settings(DOCS / PAGES[key]))


@every_page
def test_keys_and_defaults_are_those_of_the_schema(page):
    text, given = page.read_text(), settings(page)
    assert [key for key in [*keys(text), *given] if node(key) is None] == []
    for key, cell in given.items():
        found = node(key)
        shown = found.get("default") if isinstance(found.get("default"), str) else json.dumps(found.get("default"))
        assert cell == (f"`{shown}`" if "default" in found else "required"), key


def test_keys_without_a_default_are_those_that_the_schema_requires():
    for key, own in EVALUATION.items():
        without = {name for name, child in own["properties"].items() if "default" not in child}
        assert without == set(own.get("required", [])), key


@every_page
def test_every_page_has_an_example(page):
    assert page.stem in dict(EXAMPLES)


@pytest.mark.parametrize(("page", "text"), EXAMPLES, ids=[page for page, _ in EXAMPLES])
def test_examples_are_planned(workplace, page, text):  # noqa: F811
    plan = Plan(complete(whole(text), missing=()))
    asked = [key for key in yaml.safe_load(text)["evaluation"] if PAGES[key] == f"{page}.md"]
    assert asked and all(plan.evaluation[key] is not None for key in asked)


@every_page
def test_files_and_links_exist(page):
    text = page.read_text()
    files = [part for part in code(text) if part.startswith("workflow_scripts/")]
    assert files and [file for file in files if not (ROOT / file).exists()] == []
    links = [link.split("#")[0] for link in re.findall(r"\]\(([^)]+)\)", text) if "://" not in link]
    assert [link for link in links if not (DOCS / link).exists()] == []


def test_every_kept_figure_is_explained():
    text = "".join(page.read_text() for page in DOCS.glob("*.md"))
    figures = [figure.name for figure in (KEPT / "figures").glob("*.png")]
    assert figures and [name for name in figures if f"](../results/digits-lds/figures/{name})" not in text] == []


def test_pages_are_in_the_menu_and_in_the_overview():
    menu, overview = (ROOT / "mkdocs.yml").read_text(), (ROOT / "docs/retraining.md").read_text()
    for page in {*PAGES.values()}:
        assert f": evaluations/{page}\n" in menu
        assert f"(evaluations/{page})" in overview
    assert "tables.md" in menu


def test_the_developers_table_names_what_exists():
    page = (ROOT / "docs/developing.md").read_text()
    rows = [
        row for row in tables(page[page.index("| key in `evaluation` |") :]) if len(row) == 5 and row[0].startswith("`")
    ]
    keys_of = [re.findall(r"`(\w+)`", row[0]) for row in rows]
    assert {key for row in keys_of for key in row} == set(EVALUATION) - {"lds"}  # everything of lds has its name
    for row in rows:
        _, scripts, rules, modules, page_link = row
        assert [name for name in code(scripts) if not (ROOT / "workflow_scripts" / name).exists()] == []
        assert [name for name in code(rules) if not (ROOT / name).is_file()] == []
        evaluation = ROOT / "workflow_scripts/waypoint/science/evaluation"
        assert [name for name in code(modules) if not (evaluation / name).is_file()] == []
        assert all((ROOT / "docs" / link).is_file() for link in re.findall(r"\]\(([^)]+)\)", page_link))
    names = next(of_row for of_row in keys_of if "split_half" in of_row)
    assert all((ROOT / f"workflow_scripts/analyses/{name}.py").is_file() for name in names)


# ---- columns


def described(text):
    """Names in the first cells of the rows of a text's tables."""
    return [name for row in tables(text) for name in re.findall(r"`([^`]+)`", row[0])]


def on_the_page():
    """{table: columns} of docs/tables.md."""
    text = (ROOT / "docs/tables.md").read_text()
    names = re.findall(r"^### `(\w+)\.csv`$", text, flags=re.M)
    return {name: described(section(text, f"### `{name}.csv`")) for name in names}


def script(name):
    """A script as a module."""
    spec = importlib.util.spec_from_file_location(name, script_path(name))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def named(name, of=None):
    """The columns that a script names in its constant."""
    columns = script(name).COLUMNS if of is None else script(name).COLUMNS[of]
    return columns.split() if isinstance(columns, str) else columns


CONSTANTS = {
    "lds": ("lds_tables", "lds"),
    "lds_summary": ("lds_tables", "summary"),
    "lds_cross": ("lds_tables", "cross"),
    "lds_overall": ("lds_tables", "overall"),
    "lds_comparison": ("lds_tables", "comparison"),
    "counterfactual_fid_comparison": ("compare_removals",),
    "forgetting_comparison": ("compare_removals",),
    "step_correlation": ("step_correlation",),
    "sign_overlap": ("sign_overlap",),
    "top_overlap": ("top_overlap",),
    "top_influences": ("top_influences",),
    "scores_of_images": ("scores_of_images",),
    "group_influences": ("group_influences",),
    "given_images": ("given_images",),
}


def test_every_table_of_the_rules_is_on_the_page():
    rules = "".join(path.read_text() for path in (ROOT / "rules").glob("*.smk"))
    written = set(re.findall(r"<results>/tables/(\w+)\.csv", rules))
    written |= {f"{name}_comparison" for name in ("counterfactual_fid", "forgetting")}
    assert set(on_the_page()) == written and len(written) > 20


@pytest.mark.parametrize("table", CONSTANTS)
def test_columns_are_those_that_the_scripts_name(table):
    assert on_the_page()[table] == named(*CONSTANTS[table])


@pytest.mark.parametrize("table", sorted((KEPT / "tables").glob("*.csv")), ids=lambda table: table.stem)
def test_columns_are_those_of_the_kept_tables(table):
    assert on_the_page()[table.stem] == list(pd.read_csv(table, nrows=0))


def test_columns_are_those_of_rows_that_scripts_make():
    images = {kind: np.zeros((2, 1, 1, 2, 2)) for kind in ("image", "independent")}
    row = next(script("seed_consistency").rows_of(images, ["a", "b"], ["first"]))
    assert on_the_page()["seed_consistency"] == list(row)
    row = one_step_error(np.zeros((1, 2, 2)), np.ones((3, 1, 2, 2)))
    assert on_the_page()["one_step_error"] == ["target", "step", *row]
    cells = script("feature_likelihood").interval_cells((400, 300, 0.5))
    assert on_the_page()["steepest_intervals"] == ["classifier", "target", "feature", *cells]


@every_page
def test_pages_and_the_page_of_tables_have_the_same_columns(page):
    text, all_tables = section(page.read_text(), "## What it writes"), on_the_page()
    found = re.findall(r"^[^|\n]*?`(\w+)\.csv`[^|\n]*\n\n((?:\|.*\n)+)", text, flags=re.M)
    assert found
    for name, table in found:
        assert described(table) == all_tables[name], name
