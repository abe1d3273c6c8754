"""Imports of the library go down only: scripts → workflow → store → science → kernels; patches know none of them."""

import ast
import functools

import pytest
from support import SCRIPTS

LIBRARY = SCRIPTS / "waypoint"
FLOORS = ["kernels", "science", "store", "workflow"]
MAY_IMPORT = {floor: {*FLOORS[: k + 1], "patches", "errors"} for k, floor in enumerate(FLOORS)}
MAY_IMPORT |= {"patches": {"patches", "errors"}, "errors": set(), "__init__": set()}


@functools.cache
def imported(file):
    """Dotted names of everything that a file imports, wherever in it; relative imports made absolute."""
    return list(_imported(file))


def _imported(file):
    package = file.relative_to(SCRIPTS).parts[:-1]
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = [*package[: len(package) - node.level + 1]] if node.level else []
            module = ".".join([*base, *filter(None, [node.module])])
            yield from (f"{module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("file", sorted(LIBRARY.rglob("*.py")), ids=lambda file: str(file.relative_to(LIBRARY)))
def test_imports_go_down_only(file):
    floor = file.relative_to(LIBRARY).with_suffix("").parts[0]
    used = {name.split(".")[1] for name in imported(file) if name.startswith("waypoint.")}
    assert used <= MAY_IMPORT[floor]


@pytest.mark.parametrize("file", sorted(LIBRARY.rglob("*.py")), ids=lambda file: str(file.relative_to(LIBRARY)))
def test_kernels_are_used_through_their_seam_alone(file):
    if file.parent.name != "kernels":
        named = [name for name in imported(file) if name.startswith("waypoint.kernels.")]
        assert not [name for name in named if (LIBRARY / "kernels" / f"{name.split('.')[2]}.py").exists()]


@pytest.mark.parametrize("file", sorted(SCRIPTS.rglob("*.py")), ids=lambda file: str(file.relative_to(SCRIPTS)))
def test_nothing_of_unittest_is_imported(file):
    assert not [name for name in imported(file) if name.split(".")[0] == "unittest"]


def test_the_floors_are_all_there():
    assert {path.stem for path in LIBRARY.iterdir() if path.name != "__pycache__"} == MAY_IMPORT.keys()
