"""The line that a run ends with."""

import json

import pytest

from waypoint.errors import WaypointError
from waypoint.science.evaluation import groups
from waypoint.store.artifacts.atomic import atomic_file
from waypoint.workflow import closing
from waypoint.workflow.closing import groups_in_words, noise_in_words, trust_in_words
from waypoint.workflow.figures.lds_words import lds_in_words, overall_lds


def tables(tmp_path, found=None, lds=None, signs="+-"):
    (tmp_path / "tables").mkdir()
    if found is not None:
        rows = [f"{method},{target},{step},{value},{sign}" for method, target, step, value in found for sign in signs]
        (tmp_path / "tables/top_influences.csv").write_text("\n".join(["method,target,step,found,sign", *rows]))
    if lds is not None:
        rows = [",".join(map(str, row)) for row in lds]
        (tmp_path / "tables/lds_overall.csv").write_text("\n".join(["method,checkpoints,mean,low,high", *rows]))
    return tmp_path


def test_steps_with_anything_found_are_counted_and_the_lds_is_judged_by_its_interval(tmp_path):
    found = [("trak", "a", t, t > 300) for t in (100, 100, 300, 500, 500, 700)] + [("pixel", "a", 900, "")]
    root = tables(tmp_path, found, [("trak", 1, 0.5, 0.4, 0.6), ("trak", 3, 0.19, -0.01, 0.36), ("pixel", "", 1, 1, 1)])
    said = "found influences at 2 of 4 steps; LDS 0.19 (−0.01 … 0.36): not shown to be above zero"
    assert trust_in_words(root, "trak") == said


def test_steps_of_several_targets_are_counted_together(tmp_path):
    root = tables(tmp_path, [("trak", target, 100, target == "a") for target in "ab"])
    assert trust_in_words(root, "trak") == "found influences at 1 of 2 steps of 2 targets"


@pytest.mark.parametrize("sign, side", [("+", "towards"), ("-", "away from")])
def test_influences_of_one_direction_are_said_to_be_so(tmp_path, sign, side):
    root = tables(tmp_path, [("trak", "a", t, t == 100) for t in (100, 300)], signs=sign)
    assert trust_in_words(root, "trak") == f"found influences at 1 of 2 steps, all of them {side} it"


def test_scores_that_nothing_judges_are_said_to_be_so(tmp_path):
    said = trust_in_words(tables(tmp_path, [("trak", "a", 100, "")]), "trak")
    assert said.startswith("no scores by checkpoint or half of the draws")


def test_without_tables_nothing_is_said(tmp_path):
    assert trust_in_words(tmp_path, "trak") is None
    assert trust_in_words(tables(tmp_path, [], []), "trak") is None


@pytest.mark.parametrize(
    "found, verdict",
    [
        ((0.3, 0.1, 0.5), "above zero"),
        ((-0.3, -0.5, -0.1), "below zero"),
        ((0.1, 0, 0.2), "not shown to be above zero"),
    ],
)
def test_the_verdict_is_that_of_the_interval(found, verdict):
    assert lds_in_words(found).endswith(f": {verdict}")


def test_a_method_without_an_overall_lds_has_none(tmp_path):
    assert overall_lds(tables(tmp_path, lds=[("trak", 3, 1, 1, 1)]) / "tables/lds_overall.csv", "pixel") is None


def group_table(tmp_path, rows):
    """A table of ``rows``: (method, target, step, group, z, found, q of random groups, q of neighbourhoods)."""
    (tmp_path / "tables").mkdir()
    lines = []
    for method, target, step, group, z, found, *q in rows:
        for null, of_null in zip(("random", "neighbourhoods"), q or (0.9, 0.9)):
            lines.append(",".join(map(str, [method, target, step, group, z, null, of_null, found])))
    header = "method,target,step,group,z,null,q,found"
    (tmp_path / "tables/group_influences.csv").write_text("\n".join([header, *lines]))
    return tmp_path


def test_groups_that_are_found_are_named_with_their_steps_and_the_others_counted(tmp_path):
    rows = [("ekfac", "a", t, "hers", 4.0, t > 100) for t in (300, 200, 100)]
    rows += [("ekfac", "b", 300, "his", -5.0, True), ("ekfac", "a", 300, "ours", 1.0, False)]
    rows += [("trak", "a", 300, "ours", 9.0, True)]
    said = "“hers” pushed towards a at t = 300, 200; “his” pushed away from b at t = 300"
    others = "1 other cannot be told from chance"
    assert groups_in_words(group_table(tmp_path, rows), "ekfac") == f"{said}; {others}"


@pytest.mark.parametrize(
    "near, why", [(0.3, "not from groups that look alike"), (0.01, "its error is too large to call it found")]
)
def test_a_group_beyond_random_groups_alone_is_said_to_be_so(tmp_path, near, why):
    rows = [("ekfac", "b", t, "hers", 8.9, False, 0.9 if t == 100 else 1e-6, near) for t in (700, 500, 100)]
    rows += [("ekfac", "c", 700, "hers", 8.9, False, 1e-6, 0.01), ("ekfac", "b", 700, "his", 0.1, False)]
    said = f"“hers” stands out from random groups for b and c, but {why}; 1 other cannot be told from chance"
    assert groups_in_words(group_table(tmp_path, rows), "ekfac") == said
    assert closing.LEVEL == groups.LEVEL


def test_many_groups_beyond_random_groups_alone_are_counted(tmp_path):
    rows = [("ekfac", "b", 700, name, 8.9, name == "v", 1e-6, 0.3) for name in "vwxyz"]
    said = "“v” pushed towards b at t = 700; 4 other groups stand out from random groups, but are not found"
    assert groups_in_words(group_table(tmp_path, rows), "ekfac") == said


@pytest.mark.parametrize(
    "names, found, said",
    [
        (["hers"], False, "the group cannot be told from chance"),
        (["hers", "his"], False, "none of the 2 groups can be told from chance"),
        (["hers"], "", "no scores by checkpoint or half of the draws, so no group can be told from chance"),
        (list("vwxyz"), True, "; ".join([*(f"“{name}” pushed towards a at t = 9" for name in "vwx"), "2 more"])),
    ],
)
def test_groups_that_are_not_found_many_or_not_judged_are_said_in_one_sentence(tmp_path, names, found, said):
    rows = [("ekfac", "a", 9, name, 1.0, found) for name in names]
    assert groups_in_words(group_table(tmp_path, rows), "ekfac") == said


def test_without_groups_of_the_method_nothing_is_said(tmp_path):
    assert groups_in_words(tmp_path, "ekfac") is None
    assert groups_in_words(group_table(tmp_path, [("trak", "a", 9, "hers", 1.0, True)]), "ekfac") is None


def sheets(tmp_path, **noisy):
    (tmp_path / "figures/models/full").mkdir(parents=True)
    for name, noise in noisy.items():
        (tmp_path / f"figures/models/full/{name[1:]}.png").write_text("")
        kept = {"spec": {}, "distance": 2.31, "loss": 0.9, "noise": noise}
        (tmp_path / f"figures/models/full/.{name[1:]}.png.json").write_text(json.dumps(kept))
    return [f"full/{name[1:]}" for name in noisy]


def test_models_that_generate_noise_are_named_once(tmp_path):
    names = sheets(tmp_path, m0=False, m1=True)
    said = noise_in_words(tmp_path, [*names, "full/2"])  # which has no sheet yet
    assert said.startswith("model full/1 generates noise") and "2.3 times as far" in said and "full/1.png" in said
    assert noise_in_words(tmp_path, ["full/0"]) is None
    assert noise_in_words(sheets(tmp_path / "both", m0=True, m1=True) and tmp_path / "both", names).startswith(
        "2 models, full/0 first, generate noise"
    )


@pytest.mark.parametrize("name", ["top_influences", "lds_overall", "group_influences"])
def test_a_table_that_a_spreadsheet_saved_in_another_form_is_named(tmp_path, name):
    table = tmp_path / f"tables/{name}.csv"
    with atomic_file(table, lambda: {"spec": {}}) as tmp:
        tmp.write_text("method,target,step,found,sign\ntrak,a,100,True,+\n")
    table.write_text(table.read_text().replace(",", ";"))
    words = groups_in_words if name == "group_influences" else trust_in_words
    with pytest.raises(WaypointError, match=f"{name}.csv is damaged .*delete .* and rerun"):
        words(tmp_path, "trak")
