"""Long lists and many groups are looked up in a large source before the first job, in seconds; each line is checked."""

import time

import numpy as np
import pytest
from support import UNET

from waypoint.errors import WaypointError
from waypoint.store.data.group_members import members
from waypoint.workflow.config.complete import complete
from waypoint.workflow.plan.listed_groups import require_groups
from waypoint.workflow.plan.plan import Plan

N, MANY = 50_000, 2_000
MOST_SECONDS = 20  # of the processor, whatever else it does; one is usual


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A source of 50,000 images, a list of 2,000 of them, and 2,000 lists of 10."""
    folder = tmp_path_factory.mktemp("many")
    np.savez(folder / "a.npz", image=np.zeros((N, 4, 4), np.uint8))
    order = np.random.default_rng(0).permutation(N)
    (folder / "long.txt").write_text("".join(f"a.npz/{i}\n" for i in order[:MANY]))
    for k, chosen in enumerate(order[: 10 * MANY].reshape(MANY, 10)):
        (folder / f"{k}.txt").write_text("".join(f"a.npz/{i}\n" for i in chosen))
    return folder


def planned(folder, files):
    config = {
        "experiment": "test",
        "store": str(folder / "store"),
        "data": {"source": "npz", "path": str(folder / "a.npz")},
        "model": {"unet": UNET | {"sample_size": 4}},
        "checkpoints": {"count": 1},
        "methods": ["trak"],
        "targets": [{"id": "a", "seed": 1}],
        "groups": {"files": {name: str(file) for name, file in files.items()}},
    }
    plan = Plan(complete(config))
    require_groups(plan)
    return plan


def lists(folder):
    return {f"group {k}": folder / f"{k}.txt" for k in range(MANY)}


def test_a_long_list_and_many_groups_are_planned_in_seconds(folder):
    start = time.process_time()
    planned(folder, {"long": folder / "long.txt"})
    plan = planned(folder, lists(folder))
    assert len(plan.groups()["files"]) == MANY
    assert plan.identity("group_influences", target="a")
    assert time.process_time() - start < MOST_SECONDS


def test_their_members_are_the_images_of_their_lines(folder):
    files = [f"a.npz/{i}" for i in range(N)]
    found = members(files, lists(folder) | {"long": folder / "long.txt"}, None, None)
    order = np.random.default_rng(0).permutation(N)
    assert found["long"].tolist() == sorted(order[:MANY].tolist())
    assert [found[f"group {k}"].tolist() for k in range(MANY)] == np.sort(
        order[: 10 * MANY].reshape(MANY, 10), 1
    ).tolist()


def test_one_wrong_line_among_thousands_is_named(folder, tmp_path):
    (tmp_path / "wrong.txt").write_text("a.npz/7\na.npz/50000\n")
    start = time.process_time()
    with pytest.raises(WaypointError, match="config: groups.files.wrong: .*wrong.txt line 2: .*'a.npz/50000'"):
        planned(folder, lists(folder) | {"wrong": tmp_path / "wrong.txt"})
    assert time.process_time() - start < MOST_SECONDS
