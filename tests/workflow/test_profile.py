"""slurm/config.yaml has a line for rules that need a GPU or much memory; rules themselves say that they are small."""

import re

import yaml
from support import SCRIPTS

from waypoint.workflow.methods import ROWS
from waypoint.workflow.plan.stage import SLURM
from waypoint.workflow.plan.stages import STAGES

REPOSITORY = SCRIPTS.parent
PROFILE = yaml.safe_load((REPOSITORY / "slurm/config.yaml").read_text())
SMALL = ("small", "panel")


def rules():
    """{rule: its text}, of all rule files; those of scores are made from the table of methods."""
    found = {row.stage: "" for row in ROWS}
    for file in (REPOSITORY / "rules").glob("*.smk"):
        parts = re.split(r"^ *rule (\w+):$", file.read_text(), flags=re.M)
        found |= dict(zip(parts[1::2], parts[2::2]))
    return found


def classes():
    """{rule: its class of Slurm} of the rules that have one, as their stage says it."""
    found = {row.stage: row.slurm for row in ROWS}
    for name, text in rules().items():
        if stage := re.search(r'submitted_as\("(\w+)"\)', text):
            found[name] = STAGES[stage[1]].slurm
    return found


def test_every_rule_that_is_named_exists():
    assert set(PROFILE["set-resources"]) <= set(rules()) and "groups" not in PROFILE


def test_rules_with_a_gpu_and_no_others_go_to_the_gpu_partition():
    with_gpu = {name for name, kind in classes().items() if kind == "gpu"}
    assert with_gpu == {name for name, asked in PROFILE["set-resources"].items() if "slurm_partition" in asked}
    assert not [name for name, text in rules().items() if "gpu=1" in text]


def test_rules_with_large_matrices_ask_for_memory():
    large = {name for name, kind in classes().items() if kind == "matrices"}
    assert large == {name for name, asked in PROFILE["set-resources"].items() if set(asked) == {"mem_mb"}}


def test_every_class_of_a_stage_is_asked_for_by_its_rule_and_is_known():
    texts = rules()
    for name, row in STAGES.items():
        assert row.slurm in (None, *SLURM), name
        if name not in {row.stage for row in ROWS} and name in texts:
            assert (f'submitted_as("{name}")' in texts[name]) == (row.slurm is not None), name
            assert (f'in_group("{name}")' in texts[name]) == (row.slurm in SMALL), name


def test_memory_and_time_grow_with_every_attempt():
    asked = [PROFILE["default-resources"], *PROFILE["set-resources"].values()]
    for resources in asked:
        for name in {"mem_mb", "runtime"} & set(resources):
            assert resources[name].startswith("attempt * "), resources
    gpu = PROFILE["set-resources"]["train"]
    assert {"mem_mb", "runtime"} <= set(gpu)


def test_grouped_jobs_take_turns_in_their_submission():
    """Rules say that they take a slot and which group they are of: rules/common.smk."""
    assert PROFILE["resources"] == {"slot": 2} and PROFILE["set-resource-scopes"]["slot"] == "local"
    assert set(PROFILE["group-components"]) == {"panels", "reports", "scoring"}
    common = (REPOSITORY / "rules/common.smk").read_text()
    assert {*re.findall(r'": "(panels|reports)"', common)} == {"panels", "reports"} and 'group = "scoring"' in common


def test_every_small_rule_is_grouped():
    """A rule whose output is a table or a picture runs for seconds."""
    found = classes()
    tables = {name for name, text in rules().items() if "report(" in text and found.get(name) != "gpu"}
    assert tables <= {name for name, kind in found.items() if kind in SMALL}


def test_arrays_stay_off_and_squeue_is_asked():
    assert PROFILE["slurm-status-command"] == "squeue" and "slurm-array-jobs" not in PROFILE
