"""The pages on methods name what exists: methods, configuration keys with their defaults, source files and LDS."""

import json
import re

import jsonschema
import pandas as pd
import pytest
import yaml
from support import SCRIPTS

from waypoint.workflow.methods import ENCODER, IMPORTED, METHODS, NAMED

ROOT = SCRIPTS.parent
DOCS = ROOT / "docs/methods"
SCHEMA = json.loads((ROOT / "schemas/config.schema.json").read_text())
PAGES = {name: f"{name}.md" for name in NAMED} | {ENCODER: "image-encoders.md", IMPORTED: "own-scores.md"}
SECTIONS = ["Formula", "Cost", "Settings", "When to use it", "Limits", "LDS here"]
FILES = {"csv", "json", "md", "npz", "png", "py", "yaml", "zarr"}  # what a name with a dot may end in instead

FIGURES = re.compile(r"(−?\d\.\d\d)(?:\*\*)? \((?:95 % interval )?(−?\d\.\d\d) to (−?\d\.\d\d)\)")

every_page = pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.stem)


def code(text):
    """The pieces of code between backticks within lines."""
    return re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S))


def keys(text):
    """Dotted configuration keys between backticks, without a value that may follow."""
    found = [re.match(r"([a-z][a-z0-9_]*(?:\.[a-z0-9_{}-]+)+)(?::\s.+)?$", part) for part in code(text)]
    return [match[1] for match in found if match and match[1].rsplit(".", 1)[1] not in FILES]


def node(key):
    """The schema of a key, or None; a part of it may be a name that is free to choose."""
    found = SCHEMA
    for part in key.split("."):
        free = found.get("additionalProperties")
        found = found.get("properties", {}).get(part) or (free if isinstance(free, dict) else None)
        if found is None:
            return None
    return found


def default(key):
    """The default of a key, as a page has it, or None where neither the schema nor the method's row has one."""
    of_kernel = re.match(r"methods\.([a-z-]+)\.kernel\.(\w+)$", key)
    found = METHODS[of_kernel[1]].kernel_settings if of_kernel else node(key)
    name = of_kernel[2] if of_kernel else "default"
    if name not in found:
        return None
    return found[name] if isinstance(found[name], str) else json.dumps(found[name])


def tables(text):
    """Cells of the rows of all tables."""
    rows = re.findall(r"^\| (.+) \|$", text, flags=re.M)
    return [[cell.strip() for cell in row.split(" | ")] for row in rows]


def measured(method, experiment):
    """{(mean, low, high)} of a method with all checkpoints in the kept table of an experiment, written as pages do."""
    table = pd.read_csv(ROOT / f"docs/results/{experiment}/tables/lds_overall.csv")
    known = table["method"].isin(METHODS)
    rows = table[~known if method == ENCODER else table["method"] == method]  # encoders have names of their own
    rows = rows[rows["checkpoints"].isna() | (rows["checkpoints"] == rows["checkpoints"].max())]
    return {tuple(f"{x:.2f}".replace("-", "−") for x in row) for row in rows[["mean", "low", "high"]].to_numpy()}


@pytest.mark.parametrize("name", PAGES)
def test_the_lds_of_a_page_stands_in_the_table_of_results(name):
    text = (DOCS / PAGES[name]).read_text().split("## LDS here\n\n")[1]
    if re.match(r"Not (measured|applicable)", text):
        experiments = [path.parents[1].name for path in ROOT.glob("docs/results/*/tables/lds_overall.csv")]
        assert experiments and not any(measured(name, experiment) for experiment in experiments)
        return
    assert text.startswith("**")
    first, *others = FIGURES.findall(text)
    (experiment,) = re.findall(r"\[`experiments/([a-z-]+)\.yaml`\]", text)
    assert first in measured(name, experiment)
    assert all(figures in measured(name, "digits-unprojected") for figures in others)


@pytest.mark.parametrize("name", PAGES)
def test_every_method_has_a_page_and_a_row(name):
    page = DOCS / PAGES[name]
    assert re.findall(r"^## (.+)$", page.read_text(), flags=re.M) == SECTIONS
    row = next(row for row in tables((DOCS / "README.md").read_text()) if f"({PAGES[name]})" in row[0])
    if name != IMPORTED:  # whatever was given
        assert (row[3] != "no", row[4]) == (METHODS[name].per_step, "yes" if METHODS[name].error else "no")


def test_every_page_is_of_a_method():
    assert {page.name for page in DOCS.glob("*.md")} == {"README.md", *PAGES.values()}


@every_page
def test_keys_are_those_of_the_schema(page):
    assert [key for key in keys(page.read_text()) if node(key) is None] == []


@every_page
def test_defaults_are_those_of_the_code(page):
    for row in tables(page.read_text()):
        key, given = (re.fullmatch(r"`([^`]+)`", cell) for cell in row[:2])
        if key and given and node(key[1]) and (expected := default(key[1])) is not None:
            assert given[1] == expected, key[1]


@every_page
def test_examples_fit_the_schema(page):
    for example in re.findall(r"^```yaml\n(.*?)^```", page.read_text(), flags=re.M | re.S):
        jsonschema.validate(yaml.safe_load(example), {**SCHEMA, "required": []})


@every_page
def test_source_files_and_links_exist(page):
    text = page.read_text()
    files = [part for part in code(text) if part.endswith(".py") and "{" not in part]
    assert [file for file in files if not (ROOT / file).is_file()] == []
    links = [link.split("#")[0] for link in re.findall(r"\]\(([^)]+)\)", text) if "://" not in link]
    assert [link for link in links if not (DOCS / link).exists()] == []
