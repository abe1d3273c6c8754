"""diffusers without what it looks for and Waypoint needs nothing of."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "workflow_scripts"


def prints(code):
    """The output of a fresh interpreter."""
    code = f"import sys; sys.path.insert(0, {str(SCRIPTS)!r})\n{code}"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize("before", ["", "import scipy.special"])
def test_diffusers_loads_none_of_them_and_all_are_there_afterwards(before):
    code = f"""{before}
from waypoint.patches.lean_diffusers import UNet2DModel
print({{"peft", "scipy.stats", "transformers"}} & sys.modules.keys())
from importlib.util import find_spec
import scipy.special, scipy.stats
import peft
print(find_spec("transformers").name, scipy.stats.rankdata([3, 1]), scipy.special.ndtri(0.5), peft.LoraConfig(r=3).r)"""
    assert prints(code) == "set()\ntransformers [2. 1.] 0.0 3"


def test_another_version_of_diffusers_is_imported_as_it_is():
    code = """import importlib.metadata, sys
known = importlib.metadata.version
importlib.metadata.version = lambda name: "99" if name == "diffusers" else known(name)
from waypoint.patches.lean_diffusers import UNet2DModel
print("transformers" in sys.modules)"""
    assert prints(code) == "True"


def test_whoever_imports_diffusers_first_has_all_of_it():
    code = """import diffusers
from waypoint.patches import lean_diffusers
print(diffusers.utils.is_transformers_available(), diffusers.utils.is_scipy_available())"""
    assert prints(code) == "True True"
