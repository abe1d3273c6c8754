"""prepare_data names the images that it cannot use, and opens each file once more to find them."""

import json
import os
import sys

import numpy as np
import pytest
from PIL import Image
from support import run_script

from waypoint.store.data import image_files
from waypoint.store.data.sources import SOURCES

SECTION = {"source": "imagefolder", "size": None, "subset": None, "captions": None}


def folder(root, good, broken):
    root.mkdir()
    for i in range(good):
        Image.fromarray(np.full((4, 4), i, np.uint8)).save(root / f"{i:03}.png")
    for name in broken:
        (root / name).write_bytes(b"")
    return str(root)


def prepare(tmp_path, path):
    run_script("prepare_data", spec={"seed": 0, "data": SECTION}, places=json.dumps({"path": path}), out=tmp_path / "o")


@pytest.fixture
def faults_of(monkeypatch):
    import waypoint

    monkeypatch.syspath_prepend(os.path.join(os.path.dirname(waypoint.__path__[0]), "data"))
    sys.modules.pop("prepare_data", None)
    from prepare_data import faults_of

    return faults_of


def test_each_file_is_opened_once(tmp_path, monkeypatch, faults_of):
    path = folder(tmp_path / "d", 30, ["999.png", "998.png"])
    source, opens, whole = SOURCES["imagefolder"](SECTION | {"path": path}), [], image_files.Image.open
    monkeypatch.setattr(image_files.Image, "open", lambda *args: opens.append(args) or whole(*args))
    faults = faults_of(source)
    assert len(opens) == source.n == 32
    assert len(faults) == 2 and "998.png" in faults[0] and "999.png" in faults[1]


def refused(tmp_path, path, capfd):
    with pytest.raises(SystemExit):
        prepare(tmp_path, path)
    return capfd.readouterr().err


def test_the_broken_files_are_named_and_no_others(tmp_path, capfd):
    message = refused(tmp_path, folder(tmp_path / "d", 3, ["0.png", "00.png"]), capfd)
    assert "2 images cannot be used" in message and "/0.png" in message and "/00.png" in message
    assert "000.png" not in message and "001.png" not in message


def test_a_single_broken_file_is_named(tmp_path, capfd):
    message = refused(tmp_path, folder(tmp_path / "d", 3, ["00.png"]), capfd)
    assert "/00.png is not a readable image" in message and "000.png" not in message
    assert "images cannot be used" not in message


def test_a_warning_counts_files_with_several_pictures(tmp_path, capfd):
    path = folder(tmp_path / "d", 2, [])
    frames = [Image.new("L", (4, 4), value) for value in (0, 255)]
    frames[0].save(tmp_path / "d/5.tif", save_all=True, append_images=frames[1:])
    prepare(tmp_path, path)
    out = "".join(capfd.readouterr())
    assert "1 files hold several pictures" in out and "5.tif" in out
