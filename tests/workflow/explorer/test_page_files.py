"""The page's own files, the server, and what is written beside the store."""

import hashlib
import http.client
import json
from pathlib import Path

import numpy as np
import pytest
from browser import served
from PIL import Image
from support import SCRIPTS

from waypoint.workflow.explorer import lists, page, pictures
from waypoint.workflow.explorer.outlines import outline

SOURCES = SCRIPTS.parent / "explorer"


def test_the_bundle_is_made_from_the_sources():
    """Whoever changes explorer/src runs `npm ci && node build.mjs` there, and commits dist/."""
    files = [f"src/{file.relative_to(SOURCES / 'src')}" for file in (SOURCES / "src").rglob("*") if file.is_file()]
    names = sorted([*files, "build.mjs", "package-lock.json"])
    digest = hashlib.sha256()
    for name in names:
        digest.update(f"{name}\n".encode() + (SOURCES / name).read_bytes())
    assert (page.DIST / "sources.sha256").read_text().strip() == digest.hexdigest()


def test_the_page_is_small_and_carries_its_licences():
    assert sum((page.DIST / name).stat().st_size for name in page.FILES) < 1_000_000
    said = (page.DIST / "LICENSES.txt").read_text()
    locked = json.loads((SOURCES / "package-lock.json").read_text())["packages"]["node_modules/zarrita"]
    assert f"zarrita {locked['version']} (MIT)" in said and "Permission is hereby granted" in said


def test_nothing_in_the_sources_makes_markup_of_texts():
    for file in (SOURCES / "src").rglob("*.js"):
        for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "DOMParser"):
            assert word not in file.read_text(), file


def test_an_outline_is_the_border_of_its_mask():
    mask = np.zeros((4, 5))
    mask[1:3, 2:4] = 1
    assert outline(mask) == "M2 1H4M2 3H4M2 1V3M4 1V3"
    mask[2, 2] = 0  # a corner is missing
    edges = sum(abs(b - a) for a, b in strokes(outline(mask)))
    assert edges == perimeter(mask) == 8
    assert outline(np.ones((2, 3))) == "M0 0H3M0 2H3M0 0V2M3 0V2"


def strokes(path):
    """(start, end) of every line of a path."""
    for line in path.split("M")[1:]:
        place, _, end = line.partition("H") if "H" in line else line.partition("V")
        x, y = map(int, place.split())
        yield (x if "H" in line else y), int(end)


def perimeter(mask):
    """Pairs of neighbours of which one is inside, counted one by one."""
    height, width = mask.shape
    inside = {(y, x) for y in range(height) for x in range(width) if mask[y, x]}
    return sum((y + dy, x + dx) not in inside for y, x in inside for dy, dx in ((0, 1), (1, 0), (0, -1), (-1, 0)))


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_pictures_as_large_as_images_keep_every_pixel(tmp_path, channels):
    levels = np.random.default_rng(0).integers(0, 256, (11, channels, 7, 5))
    pictures.save_sheet(tmp_path / "a/sheet.webp", (levels / 127.5 - 1).astype(np.float32), 4, 64)
    sheet = np.asarray(Image.open(tmp_path / "a/sheet.webp"))
    assert sheet.shape == (3 * 7, 4 * 5, 3)
    for k, image in enumerate(levels):
        y, x = divmod(k, 4)
        cell = sheet[7 * y : 7 * y + 7, 5 * x : 5 * x + 5]
        expected = np.repeat(image, 3, 0) if channels == 1 else image[:3]
        assert np.array_equal(cell.transpose(2, 0, 1), expected)


def test_pictures_of_large_images_are_smaller(tmp_path):
    assert pictures.cell((200, 100), 64) == (64, 32) and pictures.cell((8, 8), 64) == (8, 8)
    image = np.full((3, 200, 100), 0.5, np.float32)
    pictures.save_sheet(tmp_path / "sheet.webp", [image, -image], 1, 64)
    sheet = np.asarray(Image.open(tmp_path / "sheet.webp")).astype(int)
    assert sheet.shape == (128, 32, 3)
    assert abs(sheet[:60] - 191).max() <= 3 and abs(sheet[68:] - 64).max() <= 3


def test_lists_keep_order_sides_and_what_halves_say():
    def row(step, sign, train, found, low="", high=""):
        more = {"file": f"{train}.png", "class": "x", "alike": "1", "rank_low": low, "rank_high": high}
        return {"step": step, "sign": sign, "train": train, "found": found, **more}

    rows = [row("5", "+", "7", "True", "1", "2"), row("5", "+", "3", "False", "1", "9"), row("5", "-", "7", "")]
    found = lists.listed(rows)
    assert found["images"]["train"] == [3, 7] and found["images"]["file"] == ["3.png", "7.png"]
    assert found["lists"]["5"]["+"] == {"at": [1, 0], "low": [1, 1], "high": [2, 9], "found": [1, 0]}
    assert found["lists"]["5"]["-"] == {"at": [1], "low": [], "high": [], "found": []}


def ask(url, path, host=None):
    place = url.split("/")[2]
    connection = http.client.HTTPConnection(place, timeout=10)
    connection.request("GET", path, headers={"Host": host or place})
    answer = connection.getresponse()
    return answer.status, answer.read(), answer.headers


def test_the_server_answers_this_machine_alone(finished, url):
    status, _, headers = ask(url, "/explorer/index.html")
    assert status == 200 and headers["Cross-Origin-Resource-Policy"] == "same-origin"
    for host in ("example.org", "127.0.0.1.example.org", "evil.example:8642"):
        assert ask(url, "/data/train.zarr/zarr.json", host)[0] == 403
    assert ask(url, "/data/")[0] == 404  # no listing
    outside = Path(finished.root.parent, "secret.txt")
    outside.write_text("secret")
    assert ask(url, "/../secret.txt")[0] == 404
    assert url.startswith("http://127.0.0.1:")


def test_two_servers_take_two_ports(finished):
    with served(finished.root) as one, served(finished.root) as two:
        assert one != two and ask(one, "/explorer/index.json")[1] == ask(two, "/explorer/index.json")[1]
