"""Links to what other stores have: found by identity, with the marker that lies beside a file."""

import pytest

from waypoint.store.artifacts.atomic import atomic_directory, atomic_file
from waypoint.store.artifacts.checksums import write_marker
from waypoint.store.artifacts.completeness import missing_part
from waypoint.store.artifacts.provenance import marker_path, read_attributes
from waypoint.store.artifacts.replaced import set_aside
from waypoint.workflow.config.shared_stores import link, other_copy

FOLDER, TABLE = "checkpoints/without/pixel_n0.1", "tables/lds.csv"
MADE = {"spec": {}, "identity": "wanted"}


@pytest.fixture
def theirs(tmp_path):
    """Somebody's experiment of a model and a table."""
    with atomic_directory(tmp_path / "theirs" / FOLDER) as tmp:
        (tmp / "weights").write_text("theirs")
        write_marker(tmp, MADE)
    with atomic_file(tmp_path / "theirs" / TABLE, lambda: MADE) as tmp:
        tmp.write_text("theirs")
    return tmp_path / "theirs"


@pytest.mark.parametrize("name", [FOLDER, TABLE])
def test_a_link_is_as_whole_as_what_it_leads_to(tmp_path, theirs, name):
    place = tmp_path / "mine" / name
    link(place, other_copy(name, "wanted", [theirs]))
    made = read_attributes(place)
    assert place.is_symlink() and made == read_attributes(theirs / name) and made["identity"] == "wanted"
    assert missing_part(place, made) is None


@pytest.mark.parametrize("name", [FOLDER, TABLE])
def test_a_link_that_leads_nowhere_is_replaced(tmp_path, theirs, name):
    place = tmp_path / "mine" / name
    for _ in range(2):
        link(place, tmp_path / "gone")
        link(place, other_copy(name, "wanted", [theirs]))
    assert read_attributes(place)["identity"] == "wanted"
    assert not [path for path in place.parent.iterdir() if ".tmp-" in path.name]


@pytest.mark.parametrize("name", [FOLDER, TABLE])
def test_what_takes_the_place_of_a_link_leaves_theirs_alone(tmp_path, theirs, name):
    place = tmp_path / "mine" / name
    link(place, other_copy(name, "wanted", [theirs]))
    set_aside(place, *([] if name == FOLDER else [marker_path(place)]))
    assert not list(place.parent.iterdir())
    assert missing_part(theirs / name, read_attributes(theirs / name)) is None


def test_the_first_store_that_has_the_identity_gives_it(tmp_path, theirs):
    assert other_copy(TABLE, "another", [theirs]) is None
    assert other_copy("tables/gone.csv", "wanted", [theirs]) is None
    found = other_copy(TABLE, "wanted", [tmp_path / "nobody", theirs, theirs.parent])
    assert found == (theirs / TABLE).resolve()


def test_what_is_damaged_is_somebody_elses_business(theirs):
    marker_path(theirs / TABLE).write_text("{")
    assert other_copy(TABLE, "wanted", [theirs]) is None
