"""The table of methods: whole rows, and what follows from them."""

import copy
import itertools

import pytest
import yaml
from support import SCRIPTS, UNET, tiny_config

from waypoint.errors import WaypointError
from waypoint.workflow.bases import BASES
from waypoint.workflow.figures.style import METHODS as STYLES
from waypoint.workflow.figures.style import OTHERS
from waypoint.workflow.jobs.gradients_from_spec import differentiated
from waypoint.workflow.methods import ENCODER, IMPORTED, KERNEL_KEYS, LOOKS, METHODS, NAMED, ROWS
from waypoint.workflow.plan.method_inputs import PLACES, READS, paths
from waypoint.workflow.plan.plan import Plan
from waypoint.workflow.plan.specs import settings_of
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
    assert (row.kernel == "fisher") == ("fisher" in row.reads) and set(row.kernel_settings) <= set(
        KERNEL_KEYS.get(row.kernel, ())
    )
    assert not row.one_pass or {"features", "gradients"} <= set(row.reads)


@every_row
def test_the_rule_of_a_row_is_of_its_slurm_class(row):
    asked = SLURM["set-resources"].get(row.stage, {})
    if row.slurm == "gpu":
        assert asked == SLURM["set-resources"]["train"]
    elif row.slurm == "matrices":
        assert asked == SLURM["set-resources"]["factor_kernel"]
    else:  # the rule itself says that it is small and one of a group, whose size the profile gives
        assert row.slurm == "small" and not asked
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


def changes(before, after):
    """Stages of a target's scores by `fisher`, `gentle` and `trak` whose identities differ between two plans."""
    parts = [("featurize", {"basis": "plain"}), ("fisher_rows", {"basis": "plain"}), ("target_gradients", PLAIN)]
    parts += [("factor_kernel", {"method": name}) for name in ("trak", "fisher", "gentle")]
    parts += [before.score(name, "a") for name in ("trak", "fisher", "gentle")]
    every = [(stage, {"checkpoint": "full/1", **wildcards}) for stage, wildcards in parts]
    differ = [part for part in every if before.identity(part[0], **part[1]) != after.identity(part[0], **part[1])]
    return [f"{stage} {wildcards['method']}" if "method" in wildcards else stage for stage, wildcards in differ]


PLAIN = {"basis": "plain", "target": "a"}
FISHER = {"trak": {}, "fisher": {}, "gentle": {"method": "fisher", "kernel": {"damping": 0.01}}}


def with_fisher(*kernels, **sections):
    """A plan of FISHER with other kernel settings of its methods ``fisher`` and ``gentle``."""
    methods = copy.deepcopy(FISHER)
    for name, kernel in zip(("fisher", "gentle"), kernels):
        methods[name].setdefault("kernel", {}).update(kernel)
    return plan(methods=methods, **sections)


def test_kernels_of_fisher_rows_have_settings_of_their_own():
    found = with_fisher()
    assert found.kernel("fisher") == {"rows": 2048, "damping": 0.3}
    assert found.kernel("gentle") == {"rows": 2048, "damping": 0.01} and found.kernel("trak") == {"damping": 0.03}
    assert found.fisher_bases == ["plain"] and found.fisher_rows("plain") == 2048
    assert plan(methods=["trak"]).fisher_bases == []
    spec = found.spec("score_fisher", method="gentle", target="a")
    assert spec["fisher_rows"]["kernel"] == {"rows": 2048} and spec["factor_kernel"]["kernel"] == {"damping": 0.01}
    assert settings_of(spec)["kernel"] == {"rows": 2048, "damping": 0.01}
    for name in ("features", "fisher"):
        assert paths(found, name, "gentle", "a") == [f"{name}/plain/full/{m}.zarr" for m in range(2)]


def test_a_kernels_damping_reruns_its_scores_and_the_number_of_rows_those_of_all_that_share_them():
    before = with_fisher()
    assert changes(before, with_fisher({"damping": 0.5})) == ["factor_kernel fisher", "score_fisher fisher"]
    assert changes(before, with_fisher({}, {"damping": 0.5})) == ["factor_kernel gentle", "score_fisher gentle"]
    rows = ["fisher_rows", "factor_kernel fisher", "factor_kernel gentle", "score_fisher fisher", "score_fisher gentle"]
    assert changes(before, with_fisher({"rows": 512}, {"rows": 512})) == rows
    assert changes(before, with_fisher(kernel={"damping": 0.3})) == ["factor_kernel trak", "score_trak trak"]
    assert changes(before, with_fisher(features={"shards": 3})) == []
    draws = changes(before, with_fisher(attribution={"steps": [100, 500], "train_draws": 9, "target_draws": 3}))
    assert draws == ["featurize", "factor_kernel trak", "score_trak trak", "score_fisher fisher", "score_fisher gentle"]


def with_ekfac(**sections):
    return plan(**{"methods": {"ekfac": {}, "trak": {}}, "curvature": {"rows": 40}} | sections)


def differing(before, after):
    """Stages of checkpoint full/1 and target a, with their basis or method, whose identities differ in two plans."""
    stages = {"curvature": [{}], "factor_kernel": METHOD, "score_ekfac": METHOD[:1], "score_trak": METHOD[1:]}
    stages |= {"featurize": BASIS, "fisher_rows": BASIS[:1], "target_gradients": BASIS}
    found = set()
    for stage, names in stages.items():
        for own in names:
            given = {**own, "checkpoint": "full/1", "target": "a"}
            if before.identity(stage, **given) != after.identity(stage, **given):
                found.add((stage, *own.values()))
    return found


METHOD, BASIS = [{"method": "ekfac"}, {"method": "trak"}], [{"basis": "ekfac"}, {"basis": "plain"}]


def test_what_is_whitened_depends_on_the_curvature_and_its_damping_and_nothing_else_does():
    before = with_ekfac()
    assert before.bases == ["plain", "ekfac"] and before.maps == ["curvature"] and plan().maps == []
    stages = ("featurize", "fisher_rows", "target_gradients", "factor_kernel", "score_ekfac")
    whitened = {(stage, "ekfac") for stage in stages}
    assert differing(before, with_ekfac(curvature={"rows": 40, "damping": 0.1})) == whitened
    for other in ({"rows": 41}, {"rows": 40, "bound": 7}):
        assert differing(before, with_ekfac(curvature=other)) == {("curvature",), *whitened}
    spec = before.spec("score_ekfac", method="ekfac", target="a")
    assert settings_of(spec)["curvature"] == {"rows": 40, "bound": 2304, "damping": 0.001}
    assert paths(before, "features", "ekfac", "a") == [f"features/ekfac/full/{m}.zarr" for m in range(2)]


def test_every_basis_differentiates_and_maps_what_there_is():
    for row in BASES.values():
        assert all(callable(differentiated({"basis": row.name}, side)) for side in ("train", "target"))
        assert row.map is None or (row.map in STAGES and row.map in PLACES)
    made = plan(methods=["diagonal", "d-trak"])
    assert made.bases == ["diagonal", "d-trak"] and made.maps == ["diagonal_curvature"]
    assert made.kernel("d-trak") == {"damping": 0.03} and made.with_kernel == ["d-trak"]


def test_whole_tensors_are_whitened():
    with pytest.raises(WaypointError, match=r"gradients\.kind: factorised .* method ekfac whitens"):
        with_ekfac(gradients={"kind": "factorised"})
    with pytest.raises(WaypointError, match=r"projection\.kind: none is for gradients\.kind exact"):
        plan(methods=["trak"], gradients={"kind": "factorised"}, projection={"kind": "none"})


def test_methods_that_share_fisher_rows_want_equally_many_and_enough_of_them():
    with pytest.raises(WaypointError, match=r"methods\.gentle\.kernel\.rows: 512, but fisher has 2048"):
        with_fisher({}, {"rows": 512})
    few, total = {"method": "fisher", "kernel": {"rows": 9}}, {"method": "trak-sum", "of": "fisher"}
    with pytest.raises(WaypointError, match=r"methods\.fisher\.kernel\.rows: 2048, but few has 9"):
        plan(methods={"few": few, "total": total})
    with pytest.raises(WaypointError, match=r"fisher\.kernel\.damping: 0 needs at least projection\.dim \(16\)"):
        plan(methods={"fisher": {"kernel": {"rows": 15, "damping": 0}}})
    assert plan(methods={"fisher": {"kernel": {"rows": 16, "damping": 0}}}).fisher_rows("plain") == 16


def test_what_others_are_made_from_is_made_too_but_not_shown():
    found = plan(methods=["trak-sum"])
    assert list(found.methods) == ["trak-sum"] and list(found.instances) == ["trak-sum", "trak"]
    assert found.summed("trak-sum") == "trak" and found.with_kernel == ["trak"]
    assert plan(methods=["pixel"]).bases == plan(methods=["pixel"]).with_kernel == []


def test_wiener_reads_the_generating_model_and_the_mask_and_no_other_model():
    masked = {"id": "b", "seed": 2, "checkpoint": "full/1", "mask": [0, 0, 4, 8]}
    found = plan(methods=["wiener"], targets=[{"id": "a", "seed": 1}, masked])
    assert [paths(found, "generator", "wiener", target) for target in "ab"] == [
        ["checkpoints/full/0"],
        ["checkpoints/full/1"],
    ]
    assert found.bases == found.with_kernel == []
    spec = found.spec("score_wiener", method="wiener", target="b")
    assert spec["score_wiener"] == {"version": 1, "target": {"steps": [100, 500], "mask": [0, 0, 4, 8]}}


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
