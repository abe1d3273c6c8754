"""Pinned packages agree wherever they are named, and imports cost only what a job needs."""

import re
import subprocess
import sys
import tomllib

import pytest
import yaml
from support import SCRIPTS, script_path

from waypoint.workflow.methods import METHODS

ENVS = SCRIPTS.parent / "envs"
PINNED = [f"requirements{of}.txt" for of in ("", "-test", "-bench", "-slurm", "-s3", "-huggingface", "-docs")]


def pins(file):
    lines = (line.strip() for line in (ENVS / file).read_text().splitlines())
    return {line for line in lines if line and not line.startswith("#")}


def test_conda_environment_has_the_same_pins():
    *_, packages = yaml.safe_load((ENVS / "waypoint.yaml").read_text())["dependencies"]
    assert set(packages["pip"]) == pins("requirements.txt")


def test_constraints_hold_every_pin():
    constraints = {pin.lower() for pin in pins("constraints.txt")}
    assert {pin.lower() for file in PINNED for pin in pins(file)} <= constraints


def test_every_package_is_pinned_exactly():
    for file in (*PINNED, "constraints.txt"):
        assert all("==" in pin for pin in pins(file)), file


@pytest.mark.parametrize(
    "script",
    [
        "prepare_data",
        "near_duplicates",
        "join_features",
        "factor_kernel",
        "score_trak",
        "score_fisher",
        "share_trajectory",
        "plot_regions",
        "score_pixel",
        "score_random",
        "top_influences",
        "scores_of_images",
        "given_images",
        "score_trak_sum",
        "score_norm",
        "step_correlation",
        "sign_overlap",
        "top_overlap",
        "split_half",
        "group_influences",
        "group_table",
        "plot_groups",
        "plot_step_correlation",
        "plot_sign_overlap",
        "plot_sign_flips",
        "plot_top_overlap",
        "plot_split_half",
        "draw_subsets",
        "list_subset_models",
        "lds_tables",
        "plot_lds",
        "plot_lds_cross",
        "plot_lds_panels",
        "counterfactual_table",
        "forgetting_table",
        "compare_removals",
        "plot_counterfactual",
        "plot_forgetting",
        "one_step_error",
        "plot_one_step_error",
        "plot_seed_consistency",
        "explorer",
        "packed_explorer",
    ],
)
def test_scripts_without_tensors_do_not_import_torch(script):
    """Torch costs 2 to 3 CPU seconds, diffusers 6: more than all that these jobs do."""
    code = f"import sys, runpy; runpy.run_path({str(script_path(script))!r}); print('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={"PYTHONPATH": str(SCRIPTS)}
    )
    assert done.stdout.strip() == "False", done.stderr


def test_jobs_with_a_model_do_not_import_transformers():
    """It costs a second more, and only captions and some image encoders need it; it stays there for them."""
    code = "import sys; from waypoint.store.networks import checkpoints, vae; print('transformers' in sys.modules); "
    code += "import transformers, diffusers; print(transformers.__name__, diffusers.UNet2DModel.__name__)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={"PYTHONPATH": str(SCRIPTS)}
    )
    assert done.stdout.split() == ["False", "transformers", "UNet2DModel"], done.stderr


def test_every_test_file_is_run():
    root = SCRIPTS.parent
    places = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]["testpaths"]
    left_out = [
        file
        for file in root.glob("tests/**/test_*.py")
        if not any(file.is_relative_to(root / place) for place in places)
    ]
    assert not left_out


def test_rules_name_only_scripts_that_exist():
    rules = "".join(file.read_text() for file in (SCRIPTS.parent / "rules").glob("*.smk"))
    named = {f"{name}.py" for name in re.findall(r'call\(\s*"([\w/]+)"', rules)}
    named |= {f"scores/{row.stage}.py" for row in METHODS.values()}  # one rule for every kind of method
    scripts = [file.relative_to(SCRIPTS) for file in SCRIPTS.glob("*/*.py") if file.parts[-2] != "waypoint"]
    assert named == set(map(str, scripts))
