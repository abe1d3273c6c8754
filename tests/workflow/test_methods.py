"""The table of methods: whole rows, and what follows from them."""

import itertools

import pytest
import yaml
from support import SCRIPTS, UNET, tiny_config

from waypoint.workflow.bases import BASES
from waypoint.workflow.figures.style import METHODS as STYLES
from waypoint.workflow.figures.style import OTHERS
from waypoint.workflow.methods import ENCODER, IMPORTED, KERNEL_KEYS, LOOKS, METHODS, NAMED, ROWS
from waypoint.workflow.plan.method_inputs import PLACES, READS, paths
from waypoint.workflow.plan.plan import Plan
from waypoint.workflow.plan.stages import STAGES

SLURM = yaml.safe_load((SCRIPTS.parent / "slurm/config.yaml").read_text())
every_row = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)


def plan(**sections):
    return Plan(tiny_config({"unet": UNET}, **sections))


@every_row
def test_a_row_is_whole(row):
    assert (SCRIPTS / f"scores/{row.stage}.py").is_file()
    assert set(row.reads) <= READS.keys() and row.label
    assert (row.kernel is not None) == ("kernels" in row.reads) and row.kernel in (None, *KERNEL_KEYS)
    assert (row.basis is not None) == bool({"features", "gradients"} & set(row.reads)) and row.basis in (None, *BASES)
    assert (row.look is None) == (row.name in (ENCODER, IMPORTED))
    assert not row.by_checkpoint or (row.error and "scores" in row.settings)
    assert not row.one_pass or {"features", "gradients"} <= set(row.reads)


@every_row
def test_the_rule_of_a_row_is_of_its_slurm_class(row):
    asked = SLURM["set-resources"].get(row.stage, {})
    if row.slurm == "gpu":
        assert asked == SLURM["set-resources"]["train"] and row.stage not in SLURM["groups"]
    else:  # the rule itself says that it is small and one of a group, whose size the profile gives
        assert row.slurm == "small" and not asked and row.stage not in SLURM["groups"]
        assert "scoring" in SLURM["group-components"] and "slot" in SLURM["resources"]


def test_names_stages_and_looks_are_unique():
    assert len(METHODS) == len({row.stage for row in ROWS}) == len(ROWS)
    looks = [tuple(look.values()) for look in (*STYLES.values(), *OTHERS)]
    for one, other in itertools.combinations(looks, 2):
        assert one[0] != other[0] and one[1] != other[1]
    assert set(LOOKS) == {*NAMED, "clip"}


@pytest.mark.parametrize("name", NAMED)
def test_every_kind_can_be_listed_alone(name):
    found = plan(methods=[name])
    stage, wildcards = found.score(name, "a")
    assert stage == METHODS[name].stage and found.spec(stage, **wildcards)[stage]["version"] == STAGES[stage].version
    assert PLACES[stage].format(**wildcards) == f"scores/{name}/a.zarr"


def test_methods_of_one_kind_share_features_and_gradients_and_have_kernels_of_their_own():
    found = plan(methods={"trak": {}, "strong": {"method": "trak", "kernel": {"damping": 0.3}}})
    for reads in ("features", "gradients"):
        assert paths(found, reads, "strong", "a") == paths(found, reads, "trak", "a")
    assert paths(found, "kernels", "strong", "a") == [f"kernels/strong/full/{m}.zarr" for m in range(2)]
    assert [found.kernel(name)["damping"] for name in ("trak", "strong")] == [0.03, 0.3]
    assert found.with_kernel == ["trak", "strong"] and found.bases == ["plain"]
    spec = found.spec("score_trak", method="strong", target="a")
    assert spec["factor_kernel"]["kernel"] == {"damping": 0.3}


def test_what_others_are_made_from_is_made_too_but_not_shown():
    found = plan(methods=["trak-sum"])
    assert list(found.methods) == ["trak-sum"] and list(found.instances) == ["trak-sum", "trak"]
    assert found.summed("trak-sum") == "trak" and found.with_kernel == ["trak"]
    assert plan(methods=["pixel"]).bases == plan(methods=["pixel"]).with_kernel == []


def test_a_method_more_leaves_the_others_as_they_are():
    before, after = plan(methods=["trak"]), plan(methods={"trak": {}, "strong": {"method": "trak"}, "gradcos": {}})
    stage, wildcards = before.score("trak", "a")
    assert before.identity(stage, **wildcards) == after.identity(stage, **wildcards)


def test_methods_under_names_of_their_own_look_the_same_in_every_figure():
    named = {name: {"method": "trak-sum"} for name in ("one", "two")} | {"three": {"method": "trak"}}
    found = plan(methods={"trak": {}, **named}, evaluation={"step_correlation": {}})
    assert found.looks() == {"looks": {"one": 0, "two": 1, "three": 2}}
    assert found.spec("plot_step_correlation")["plot_step_correlation"]["looks"] == {"three": 2}
    assert plan(methods=["trak", "gradcos"]).looks() == {}
