"""slurm/config.yaml names rules that exist, every rule with a GPU, and the groups that go with them."""

import re

import yaml
from support import SCRIPTS

from waypoint.workflow.plan.stages import STAGES

REPOSITORY = SCRIPTS.parent
PROFILE = yaml.safe_load((REPOSITORY / "slurm/config.yaml").read_text())


def rules():
    """{rule: its text}, of all rule files; methods and evaluations say of what class of Slurm theirs are."""
    found = {}
    for file in (REPOSITORY / "rules").glob("*.smk"):
        parts = re.split(r"^ *rule (\w+):$", file.read_text(), flags=re.M)
        found |= dict(zip(parts[1::2], parts[2::2]))
    return found | {name: "gpu=1" if row.slurm == "gpu" else "" for name, row in STAGES.items() if row.slurm}


def test_every_rule_that_is_named_exists():
    assert set(PROFILE["set-resources"]) | set(PROFILE["groups"]) <= set(rules())


def test_rules_with_a_gpu_and_no_others_go_to_the_gpu_partition():
    with_gpu = {name for name, text in rules().items() if "gpu=1" in text}
    assert with_gpu == {name for name, asked in PROFILE["set-resources"].items() if "slurm_partition" in asked}


def test_memory_and_time_grow_with_every_attempt():
    asked = [PROFILE["default-resources"], *PROFILE["set-resources"].values()]
    for resources in asked:
        for name in {"mem_mb", "runtime"} & set(resources):
            assert resources[name].startswith("attempt * "), resources
    gpu = PROFILE["set-resources"]["train"]
    assert {"mem_mb", "runtime"} <= set(gpu)


def test_grouped_jobs_take_turns_in_their_submission():
    assert {name for name, asked in PROFILE["set-resources"].items() if "slot" in asked} == set(PROFILE["groups"])
    assert PROFILE["resources"] == {"slot": 2} and PROFILE["set-resource-scopes"]["slot"] == "local"
    # jobs of scores and of evaluations say for themselves that they are one group: test_methods.py, test_evaluations.py
    assert set(PROFILE["group-components"]) == {*PROFILE["groups"].values(), "scoring"}


def test_every_small_rule_is_grouped():
    """A rule whose output is a table or a picture runs for seconds."""
    small = {name for name, text in rules().items() if "report(" in text and "gpu=1" not in text}
    assert small <= set(PROFILE["groups"])


def test_arrays_stay_off_and_squeue_is_asked():
    assert PROFILE["slurm-status-command"] == "squeue" and "slurm-array-jobs" not in PROFILE
