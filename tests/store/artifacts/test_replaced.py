"""Replaced artifacts are moved aside within their experiment; links, and files in no experiment, are removed."""

import json

import pytest

from waypoint.store.artifacts.atomic import atomic_directory, atomic_file
from waypoint.store.artifacts.provenance import marker_path
from waypoint.store.artifacts.replaced import DELETE, ROOT, name_of, replaced_bytes, set_aside

NAME = "checkpoints/full/0"


@pytest.fixture
def root(tmp_path, monkeypatch):
    """An experiment's folder, which paths of jobs have as they were given: relative to the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(ROOT, "store/tiny")
    monkeypatch.delenv(DELETE, raising=False)
    (tmp_path / "store/tiny").mkdir(parents=True)
    return tmp_path / "store/tiny"


def folder(path, text="old"):
    path.mkdir(parents=True)
    (path / "weights").write_text(text)
    return path


def table(path, text="old"):
    """A file with its marker beside it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    marker_path(path).write_text(json.dumps({"spec": {}, "of": text}))
    return path


def files(place):
    """{path below: text} of everything in a folder."""
    return {str(file.relative_to(place)): file.read_text() for file in place.rglob("*") if file.is_file()}


def test_a_folder_is_moved_to_its_own_path_below_replaced(root):
    set_aside(folder(root / NAME))
    assert not (root / NAME).exists() and (root / "checkpoints/full").exists()
    assert files(root) == {f"replaced/1/{NAME}/weights": "old"}


@pytest.mark.parametrize("relative", [False, True], ids=["absolute", "relative"])
def test_a_file_takes_its_marker_along(root, relative):
    path = table(root / "tables/lds.csv")
    path = path.relative_to(root.parents[1]) if relative else path
    set_aside(path, marker_path(path))
    assert set(files(root)) == {"replaced/1/tables/lds.csv", "replaced/1/tables/.lds.csv.json"}


def test_a_marker_without_its_file_makes_room_too(root):
    """A kill between the two leaves the marker alone."""
    path = table(root / "tables/lds.csv")
    path.unlink()
    set_aside(path, marker_path(path))
    assert set(files(root)) == {"replaced/1/tables/.lds.csv.json"}


def test_every_replacement_has_a_place_of_its_own(root):
    for text in ("first", "second", "third"):
        set_aside(folder(root / NAME, text))
    set_aside(folder(root / "checkpoints/full/1", "other"))
    found = {f"replaced/{k}/{NAME}/weights": text for k, text in enumerate(("first", "second", "third"), 1)}
    assert files(root) == found | {"replaced/1/checkpoints/full/1/weights": "other"}


def test_nothing_there_needs_no_room(root):
    set_aside(root / NAME, root / "tables/lds.csv")
    assert not (root / "replaced").exists()


def test_a_link_is_removed_and_what_it_leads_to_stays(root, tmp_path):
    theirs = folder(tmp_path / "theirs/tiny" / NAME)
    (root / "checkpoints/full").mkdir(parents=True)
    (root / NAME).symlink_to(theirs, target_is_directory=True)
    set_aside(root / NAME)
    assert files(tmp_path / "theirs") == {f"tiny/{NAME}/weights": "old"}
    assert not (root / NAME).is_symlink() and not (root / "replaced").exists()


def test_a_link_that_leads_nowhere_is_removed(root):
    (root / "link").symlink_to("nowhere")
    set_aside(root / "link")
    assert not list(root.iterdir())


def test_what_lies_in_no_experiment_is_removed(root, tmp_path):
    set_aside(folder(tmp_path / "elsewhere/0"))
    path = table(tmp_path / "elsewhere/t.csv")
    set_aside(path, marker_path(path))
    assert not list((tmp_path / "elsewhere").iterdir()) and not (root / "replaced").exists()


def test_without_an_experiment_everything_is_removed(root, monkeypatch):
    monkeypatch.delenv(ROOT)
    set_aside(folder(root / NAME))
    assert not files(root)


def test_people_may_have_it_deleted(root, monkeypatch):
    monkeypatch.setenv(DELETE, "1")
    set_aside(folder(root / NAME))
    path = table(root / "tables/lds.csv")
    set_aside(path, marker_path(path))
    assert not files(root) and not (root / "replaced").exists()


def test_what_is_written_again_leaves_the_old_one_aside(root):
    for text in ("old", "new"):
        with atomic_directory(root / NAME) as tmp:
            (tmp / "weights").write_text(text)
        with atomic_file(root / "tables/lds.csv", lambda text=text: {"spec": {}, "of": text}) as tmp:
            tmp.write_text(text)
    found = files(root)
    for place, text in (("", "new"), ("replaced/1/", "old")):
        assert found[f"{place}{NAME}/weights"] == found[f"{place}tables/lds.csv"] == text
        assert json.loads(found[f"{place}tables/.lds.csv.json"])["of"] == text
    assert len(found) == 6


def test_a_job_that_fails_leaves_everything_in_place(root):
    folder(root / NAME)
    with pytest.raises(OSError, match="full"), atomic_directory(root / NAME) as tmp:
        (tmp / "weights").write_text("half")
        raise OSError("full")
    assert files(root) == {f"{NAME}/weights": "old"}


def test_bytes_of_what_was_moved_aside_are_counted(root, tmp_path):
    assert replaced_bytes(root) == 0
    for text in ("four", "sixsix"):
        set_aside(folder(root / NAME, text))
    (tmp_path / "large").write_text("x" * 999)
    (root / "replaced/1/link").symlink_to(tmp_path / "large")
    folder(root / NAME, "not replaced")
    assert replaced_bytes(root) == 10


def test_names_are_paths_within_the_experiment(root, monkeypatch):
    assert name_of(root / NAME) == name_of(f"store/tiny/{NAME}") == NAME
    assert name_of("store/tiny2/data") == "store/tiny2/data"
    monkeypatch.delenv(ROOT)
    assert name_of("store/tiny/data") == "store/tiny/data"


@pytest.mark.parametrize("name", ["resume/scores/trak/a.zarr", "shards/plain/full/0/0-of-2.zarr"])
def test_the_state_of_something_unfinished_is_not_kept(root, name):
    set_aside(folder(root / name))
    assert files(root) == {}
