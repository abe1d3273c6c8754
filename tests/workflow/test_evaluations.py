"""The registry of evaluations: whole files, and what follows from a file that is added."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from support import SCRIPTS, UNET, tiny_config

from waypoint.errors import WaypointError
from waypoint.workflow.estimate.costs import START_ALONE, Costs
from waypoint.workflow.evaluations.evaluation import NEEDS
from waypoint.workflow.evaluations.registry import EVALUATIONS
from waypoint.workflow.plan.plan import Plan
from waypoint.workflow.plan.stages import STAGES

REPOSITORY = SCRIPTS.parent
ADDED = Path(__file__).parent / "added_evaluation"
every_evaluation = pytest.mark.parametrize("name", EVALUATIONS)


def rules():
    """{rule: its text} of all rule files; those of methods are made from their table."""
    found = {}
    for file in (REPOSITORY / "rules").glob("*.smk"):
        parts = re.split(r"^ *rule (\w+):$", file.read_text(), flags=re.M)
        found |= dict(zip(parts[1::2], parts[2::2]))
    return found


@every_evaluation
def test_a_file_is_whole(name):
    one = EVALUATIONS[name]
    assert one.description.endswith(".") and (REPOSITORY / f"rules/{one.rules}.smk").is_file()
    assert set(one.needs) <= NEEDS.keys() and set(one.required) <= one.keys.keys()
    for key, fragment in one.keys.items():
        assert fragment["description"] and ("default" in fragment) != (key in one.required), key
    assert set(one.by_target) <= one.keys.keys()


def test_somebody_has_said_what_every_rule_costs():
    named_targets = {"all", *re.findall(r"^rule (\w+):$", (REPOSITORY / "rules/collect.smk").read_text(), flags=re.M)}
    made = Costs(Plan(tiny_config({"unet": UNET})), None, None, set())
    assert made.unknown(set(rules()) - named_targets) == [] and made.unknown(["mine"]) == ["mine"]
    assert made.unknown(STAGES) == [] and set(START_ALONE) <= set(rules())
    assert set(made.uncounted(STAGES)) == {
        "training the VAE",
        "encoding images and captions",
        "training classifiers",
        "embedding images",
        "classifying samples",
    }


def test_the_table_of_the_docs_is_the_registry():
    page = (REPOSITORY / "docs/evaluations.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    assert rows == [one.row(name) for name, one in EVALUATIONS.items()]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {5}  # four cells


@pytest.mark.parametrize("name", [name for name, one in EVALUATIONS.items() if "retraining" in one.needs])
def test_what_retrains_needs_models_that_are_trained_here(name):
    with pytest.raises(WaypointError, match=rf"evaluation\.{name} retrains models .* needs checkpoints\.count"):
        EVALUATIONS[name].require({"checkpoints": {"paths": ["a"]}}, name)


# ---- a file more

FACTS = """
import json, sys, yaml
sys.path.insert(0, "workflow_scripts")
import estimate
from pathlib import Path
from waypoint.errors import WaypointError
from waypoint.workflow.config.complete import complete
from waypoint.workflow.config.fragments import schema
from waypoint.workflow.estimate.costs import Costs, Rates, Sizes
from waypoint.workflow.evaluations.registry import EVALUATIONS
from waypoint.workflow.plan.plan import Plan
given = yaml.safe_load(Path("mine.yaml").read_text())
config = complete(given)
def refused(left_out=(), **changes):
    try:
        complete({**{key: value for key, value in given.items() if key not in left_out}, **changes})
    except WaypointError as error:
        return str(error)
plan = Plan(config)
rates = Rates(**dict.fromkeys(Rates.__dataclass_fields__, 0.0))
costs = Costs(plan, Sizes(images=30, parameters=5, pixels=4, inputs=4, caption=0, latent=False, T=1000), rates, set())
print(json.dumps({
    "schema": schema()["properties"]["evaluation"]["properties"]["score_spread"],
    "config": config["evaluation"]["score_spread"],
    "off": complete({**given, "evaluation": {}})["evaluation"]["score_spread"],
    "check": refused(targets=given["targets"][:1]),
    "typo": refused(evaluation={"score_spread": {"leest": 2}}),
    "no data": refused(("data", "methods"), checkpoints={"paths": ["somewhere"]}),
    "spec": plan.spec("score_spread", target="a")["score_spread"],
    "seconds": costs.seconds("score_spread"),
    "unknown": costs.unknown(["score_spread", "plot_score_spread"]),
    "gpu": sorted(estimate.gpu_rules() & {"score_spread", "plot_score_spread"}),
    "row": EVALUATIONS["score_spread"].row("score_spread"),
}))
"""


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """A copy of the repository with an evaluation more: its file, its rules, and a configuration that asks for it."""
    folder = tmp_path_factory.mktemp("copy")
    for name in ("rules", "workflow_scripts", "schemas", "docs/report", "envs"):
        shutil.copytree(REPOSITORY / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("Snakefile", "config.yaml"):
        shutil.copy(REPOSITORY / name, folder / name)
    shutil.copy(ADDED / "score_spread.py", folder / "workflow_scripts/waypoint/workflow/evaluations")
    shutil.copy(ADDED / "score_spread.smk", folder / "rules")
    config = {
        "experiment": "mine",
        "data": {"source": "digits", "subset": 30},
        "model": {"unet": UNET},
        "checkpoints": {"count": 2},
        "methods": ["random"],
        "targets": [{"id": "a", "seed": 1}, {"id": "b", "seed": 2}],
        "evaluation": {"score_spread": {}},
    }
    (folder / "mine.yaml").write_text(yaml.safe_dump(config))
    return folder


def ran(folder, *command):
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run([sys.executable, *command], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_an_added_file_is_known_to_schema_checks_stages_estimate_and_docs(copy):
    found = json.loads(ran(copy, "-c", FACTS))
    assert found["schema"]["properties"] == {
        "least": {"type": "integer", "description": "Fewest targets.", "default": 2, "minimum": 1}
    }
    assert found["config"] == {"least": 2} and found["off"] is None
    assert found["check"] == "config: evaluation.score_spread.least: there are not so many targets"
    assert found["typo"].startswith("config: unknown key 'evaluation.score_spread.leest'; did you mean 'least'?")
    assert found["no data"].startswith("config: evaluation.score_spread needs training images")
    assert found["spec"] == {"version": 3, "score_spread": {"least": 2}}
    assert found["seconds"] == 14 and found["unknown"] == ["plot_score_spread"] and found["gpu"] == ["score_spread"]
    assert found["row"].startswith("| `score_spread` | How far apart the scores are. | training images, labels |")


def test_the_rules_of_an_added_file_are_planned_with_their_slurm_class(copy):
    words = ran(copy, "-m", "snakemake", "-n", "--cores", "1", "--configfile", "mine.yaml", "--nocolor")
    jobs = {name: int(count) for name, count in re.findall(r"^(\w+) +(\d+)$", words, flags=re.M)}
    assert jobs["score_spread"] == 2 and jobs["plot_score_spread"] == 1
    parts = re.split(r"^rule (\w+):$", words, flags=re.M)
    texts = dict(zip(parts[1::2], parts[2::2]))
    assert "gpu=1" in texts["score_spread"] and "slot=1" in texts["plot_score_spread"]
    assert "runtime=10" in texts["plot_score_spread"]
