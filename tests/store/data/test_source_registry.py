"""A source is one file of store/data: a file added to the folder is known everywhere, and nothing else names it."""

import json
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from support import SCRIPTS, UNET, run_script

import waypoint.store.data as folder
from waypoint.errors import WaypointError
from waypoint.store.artifacts.source_files import changed_source
from waypoint.store.data.sources import SOURCES
from waypoint.store.zarr.reader import open_store
from waypoint.workflow.config.complete import complete
from waypoint.workflow.plan.plan import Plan

STRIPES = '''
"""Images of one grey level each, listed in a text file."""

from pathlib import Path

import numpy as np

from waypoint.errors import WaypointError
from waypoint.store.data.images import Images
from waypoint.store.data.source import Source


class Levels(Images):
    def __init__(self, section):
        self.path, self.levels = section["path"], Path(section["path"]).read_text().split()
        super().__init__(section, files=self.levels)

    def pixels(self, i):
        return np.full((1, 8, 8), int(self.levels[i]), np.uint8)

    def grey(self, i):
        return True

    def read_from(self, rows):
        return [self.path]


def check(section):
    if not Path(section["path"]).read_text().strip():
        raise WaypointError(f"data.path: {section['path']} lists no levels")


SOURCE = Source(Levels, keys=("path", "split"), needs={"path": "a list of levels"}, check=check)
'''


@pytest.fixture
def stripes(tmp_path, monkeypatch):
    """A source ``stripes`` in a folder of its own, which stands beside store/data's own files."""
    (tmp_path / "added").mkdir()
    (tmp_path / "added/stripes.py").write_text(STRIPES)
    monkeypatch.setattr(folder, "__path__", [*folder.__path__, str(tmp_path / "added")])
    yield "stripes"
    sys.modules.pop(f"{folder.__name__}.stripes", None)
    vars(folder).pop("stripes", None)


def config(**data):
    return {
        "experiment": "test",
        "data": data,
        "model": {"unet": UNET},
        "checkpoints": {"count": 1},
        "targets": [{"id": "a", "seed": 1}],
    }


def refused(**data):
    with pytest.raises(WaypointError) as caught:
        complete(config(**data))
    return str(caught.value)


def test_the_sources_that_come_along():
    assert {"digits", "imagefolder", "cifar10", "npz", "emoji", "coco"} <= set(SOURCES)
    assert len(SOURCES) == len(set(SOURCES)) and "paths" not in SOURCES and "training_set" not in SOURCES
    with pytest.raises(KeyError):
        SOURCES["training_set"]


def test_a_file_in_the_folder_is_a_source(tmp_path, monkeypatch, stripes):
    monkeypatch.chdir(tmp_path)
    levels = tmp_path / "levels.txt"
    levels.write_text("0 255 51")
    done = complete(config(source=stripes, path="levels.txt", split="train"))
    plan = Plan(done)
    assert plan.data_places == {"path": "levels.txt", "captions": None} and plan.data_sources == ["levels.txt"]
    assert plan.spec("prepare_data")["prepare_data"]["data"]["split"] == "train"
    out = tmp_path / "train.zarr"
    spec = {"seed": 0, "data": {"source": stripes, "size": None, "subset": None}}
    run_script("prepare_data", spec=spec, places=json.dumps(plan.data_places), out=out)
    found = open_store(out)
    assert found["image"].shape == (3, 1, 8, 8) and np.allclose(found["image"][:, 0, 0, 0], [-1, 1, -0.6])
    assert changed_source(found.attrs["source"], plan.data_sources) is None
    levels.write_text("0 255 52")
    assert changed_source(found.attrs["source"], plan.data_sources)
    levels.unlink()
    assert plan.data_sources == []


def test_what_it_declares_is_checked_at_planning(tmp_path, monkeypatch, stripes):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.txt").write_text("")
    assert refused(source=stripes) == "config: data.path is missing; source stripes needs a list of levels"
    assert refused(source=stripes, path="empty.txt") == "config: data.path: empty.txt lists no levels"
    assert "cannot read gone.txt" in refused(source=stripes, path="gone.txt")
    assert "not from a list" in refused(source=stripes, path=["empty.txt"])
    text = refused(source=stripes, path="empty.txt", captions="empty.txt")
    assert "data.captions is not for source stripes, but for coco, imagefolder" in text
    assert "stripes" in refused(source="digits", path="empty.txt")  # among those that take one
    assert '"stripe" is not one of' in refused(source="stripe") and '"stripes"' in refused(source="stripe")


def test_an_added_file_without_a_source_is_none(tmp_path, stripes):
    (tmp_path / "added/helper.py").write_text("raise RuntimeError('imported')\n")
    assert "helper" not in list(SOURCES) and "stripes" in list(SOURCES)


def test_planning_imports_the_source_of_the_configuration_alone():
    """Other sources' libraries cost time, and need not be installed."""
    code = "import sys; from waypoint.store.data.sources import SOURCES; list(SOURCES); SOURCES['digits']; "
    code += "print([m for m in sys.modules if m.startswith('waypoint.store.data.')], 'torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={"PYTHONPATH": str(SCRIPTS)}, check=True
    )
    assert "coco" not in done.stdout and "digits" in done.stdout and done.stdout.strip().endswith("False")


def test_what_a_library_fetched_is_no_raw_data_of_the_users():
    """cifar10 without a path: torchvision keeps the archive in a place of its own."""
    fetched = SimpleNamespace(read_from=lambda rows: ["/somewhere/cifar-10-python.tar.gz"])
    section = {"source": "cifar10", "path": None, "captions": None}
    assert SOURCES["cifar10"].recorded(section, fetched, [0]) is None
    assert SOURCES["cifar10"].there(section) == []
