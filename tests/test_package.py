"""`pip install .` gives the library alone, importable from anywhere, with the requirements of envs/."""

import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from shutil import copytree, ignore_patterns

import pytest
from packaging.requirements import Requirement
from support import SCRIPTS

ROOT = SCRIPTS.parent
OF_THE_WORKFLOW = {"dask", "rich", "snakemake", "snakemake-logger-plugin-rich"}  # for runs and their terminal


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built from a copy of the repository without the network."""
    folder = tmp_path_factory.mktemp("package")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        (folder / name).write_bytes((ROOT / name).read_bytes())
    copytree(SCRIPTS, folder / "workflow_scripts", ignore=ignore_patterns("__pycache__", "*.egg-info"))
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*command, "--wheel-dir", str(folder), str(folder)], check=True)
    (path,) = folder.glob("*.whl")
    return path


def test_it_holds_every_file_of_the_library_and_no_script(wheel):
    inside = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert inside == {str(file.relative_to(SCRIPTS)) for file in (SCRIPTS / "waypoint").rglob("*.py")}


def test_it_is_imported_from_another_folder(wheel, tmp_path):
    zipfile.ZipFile(wheel).extractall(tmp_path / "installed")
    code = "import waypoint.science.algorithm1 as module; print(module.__file__)"
    path = os.pathsep.join([str(tmp_path / "installed"), *(part for part in sys.path if part and part != str(SCRIPTS))])
    environment = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).is_relative_to(tmp_path / "installed")


def test_what_it_needs_is_what_envs_pins():
    given = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    lines = (ROOT / "envs/requirements.txt").read_text().splitlines()
    pins = {pin.name: pin for pin in (Requirement(line) for line in lines if line and not line.startswith("#"))}
    ranges = {one.name: one.specifier for one in map(Requirement, given)}
    assert ranges.keys() == pins.keys() - OF_THE_WORKFLOW
    for name, specifier in ranges.items():
        (pinned,) = pins[name].specifier
        assert pinned.version in specifier, f"{name}: {specifier} leaves out the version of envs/requirements.txt"
