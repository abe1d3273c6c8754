"""What the explorer says of a store that is damaged, or newer than its page: never a number that is not there."""

import json
import shutil

import pytest
from browser import Watched, drawn, served

DRAWN = drawn(".now canvas")


@pytest.fixture
def copied(finished, tmp_path):
    shutil.copytree(finished.root, tmp_path / "digits")
    return tmp_path / "digits"


def chunk(root, name):
    (found,) = (file for file in (root / name).rglob("*") if file.is_file() and file.name != "zarr.json")
    return found


def said(browser, root, words=""):
    """The messages of a page, and its lists as text."""
    with served(root) as url:
        watched = Watched(browser)
        watched.page.goto(url + words)
        watched.until("document.querySelector('#messages .message')")
        watched.settled()
        found = " ".join(watched.texts("#messages .message")), watched.page.inner_text("#lists")
        assert not watched.elsewhere() and not [words for words in watched.wrong if "404" not in words]
        watched.page.close()
        return found


@pytest.mark.parametrize("place", [0, 1, 7, 8, 101, -5, -4, -1], ids=lambda place: f"byte {place}")
def test_a_flipped_bit_is_a_message(browser, copied, place):
    """Anywhere: in the numbers, and in the checksum itself."""
    file = chunk(copied, "scores/ekfac/a.zarr/score")
    data = bytearray(file.read_bytes())
    data[place] ^= 4
    file.write_bytes(data)
    message, lists = said(browser, copied)
    assert "scores/ekfac/a.zarr, array score: a chunk is damaged (its checksum does not match)" in message
    assert "These scores cannot be shown" in lists and "rank" not in lists


@pytest.mark.parametrize("change", [lambda data: data[:-20], lambda data: b"", lambda data: data[:3]])
def test_a_chunk_that_is_cut_off_is_a_message(browser, copied, change):
    file = chunk(copied, "scores/ekfac/a.zarr/score_se")
    file.write_bytes(change(file.read_bytes()))
    message, lists = said(browser, copied)
    assert "scores/ekfac/a.zarr, array score_se: a chunk is damaged" in message and "rank" not in lists


def test_a_missing_chunk_is_no_fill_value(browser, copied):
    chunk(copied, "scores/ekfac/a.zarr/score").unlink()
    message, lists = said(browser, copied)
    assert "array score: a part is missing" in message and "rank" not in lists


def test_other_methods_are_still_shown(browser, copied):
    chunk(copied, "scores/ekfac/a.zarr/score").unlink()
    _, lists = said(browser, copied, "#methods=ekfac,trak")
    assert "These scores cannot be shown" in lists and "rank 1" in lists


@pytest.mark.parametrize(
    "name, words",
    [
        ("data/near_duplicates.zarr/first", "#sort=size"),
        ("data/train.zarr/file", "#file=1"),
        ("data/train.zarr/label", "#class=1"),
    ],
)
def test_other_arrays_are_compared_with_their_checksums_too(browser, copied, name, words):
    file = chunk(copied, name)
    data = bytearray(file.read_bytes())
    data[9] ^= 1
    file.write_bytes(data)
    message, lists = said(browser, copied, words)
    store, _, array = name.rpartition("/")
    assert f"{store}, array {array}: a chunk is damaged" in message and "This order cannot be shown" in lists


def test_damaged_metadata_and_pictures_are_messages(browser, copied):
    (copied / "scores/ekfac/a.zarr/zarr.json").write_text("{")
    (copied / "explorer/pictures/estimates/a.webp").write_bytes(b"no picture")
    message, _ = said(browser, copied)
    assert "scores/ekfac/a.zarr/zarr.json is damaged" in message
    assert "pictures/estimates/a.webp is damaged: it is no picture" in message


def test_scores_that_are_newer_than_the_page_are_told(browser, copied):
    file = copied / "scores/ekfac/a.zarr/zarr.json"
    meta = json.loads(file.read_text())
    meta["attributes"]["identity"] = "another"
    file.write_text(json.dumps(meta))
    message, lists = said(browser, copied)
    assert "scores/ekfac/a.zarr is newer than this page" in message and "make explore" in message and "rank 1" in lists


def test_a_page_without_its_index_says_so(browser, copied):
    (copied / "explorer/index.json").unlink()
    message, _ = said(browser, copied)
    assert "index.json is not there (the server says 404)" in message


@pytest.mark.parametrize("name", ["trajectory.zarr/x_t", "trajectory.zarr/x0_hat", "samples.zarr/sample"])
def test_a_damaged_picture_of_the_process_is_not_shown(browser, copied, name):
    """The picture of another step does not stay in its place, and the other pictures are shown."""
    for file in (copied / "targets/a" / name / "c/2").rglob("*"):  # of rows 6 to 8 of the grid, or of the third step
        if file.is_file():
            data = file.read_bytes()
            file.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    store, _, array = name.partition("/")
    intact, damaged = (500, 300) if store == "trajectory.zarr" else (300, 500)
    with served(copied) as url:
        watched = Watched(browser).open(f"{url}#target=a&step={intact}")
        watched.until(f"{DRAWN}.every(Boolean)")
        watched.page.evaluate("(step) => { location.hash = `target=a&step=${step}`; }", damaged)
        watched.until("document.querySelector('#messages .message')")
        assert f"targets/a/{store}, array {array}: a chunk is damaged" in " ".join(watched.texts("#messages .message"))
        hidden = {"x_t": [0], "x0_hat": [1], "sample": [2, 3, 4, 5]}[array]
        watched.until(f"{DRAWN}.filter(Boolean).length === {6 - len(hidden)}")
        assert [k for k, drawn in enumerate(watched.page.evaluate(DRAWN)) if not drawn] == hidden
        watched.page.close()
