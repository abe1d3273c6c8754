"""Sources that people bring, from a configuration to data/train.zarr and to the next start."""

import copy
import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from workspace import CONFIG, Workspace

from waypoint.store.zarr.reader import open_store


def png(i):
    out = io.BytesIO()
    Image.fromarray(np.random.default_rng(i).integers(0, 256, (8, 8), np.uint8)).save(out, "PNG")
    return out.getvalue()


def tars(folder):
    for k in range(2):
        with tarfile.open(folder / f"shard-{k:03}.tar", "w") as tar:
            for i in range(3 * k, 3 * k + 3):
                for suffix, raw in (
                    ("png", png(i)),
                    ("txt", f"picture {i}".encode()),
                    ("cls", b"ab"[i % 2 : i % 2 + 1]),
                ):
                    entry = tarfile.TarInfo(f"{i}.{suffix}")
                    entry.size = len(raw)
                    tar.addfile(entry, io.BytesIO(raw))
    return {"source": "webdataset", "path": "shard-{000..001}.tar"}, folder / "shard-001.tar"


def parquet(folder):
    datasets = pytest.importorskip("datasets")
    rows = {"image": [{"bytes": png(i), "path": f"{i}.png"} for i in range(6)], "label": [i % 2 for i in range(6)]}
    features = {"image": datasets.Image(), "label": datasets.ClassLabel(names=["a", "b"])}
    rows["words"], features["words"] = [f"picture {i}" for i in range(6)], datasets.Value("string")
    made = datasets.Dataset.from_dict(rows, features=datasets.Features(features))
    (folder / "data").mkdir()
    for k in range(2):
        made.select(range(3 * k, 3 * k + 3)).to_parquet(folder / f"data/train-{k:05}-of-00002.parquet")
    section = {"source": "huggingface", "path": "data", "columns": {"caption": "words"}, "split": "train"}
    return section, folder / "data/train-00001-of-00002.parquet"


@pytest.mark.parametrize("make", [tars, parquet])
def test_images_are_stored_with_what_belongs_to_them_and_known_again(tmp_path, make):
    section, file = make(tmp_path)
    workspace = Workspace(tmp_path, copy.deepcopy(CONFIG) | {"data": section})
    done = workspace.snakemake("--until", "prepare_data")
    assert done.returncode == 0, done.stdout + done.stderr
    found = open_store(workspace.store / "data/train.zarr")
    assert found["image"].shape == (6, 1, 8, 8) and found["label"][:].tolist() == [0, 1, 0, 1, 0, 1]
    for i in range(6):
        expected = np.asarray(Image.open(io.BytesIO(png(i))), np.float32) / 127.5 - 1
        assert np.array_equal(found["image"][i, 0], expected)
    assert found["caption"][:].tolist() == [f"picture {i}" for i in range(6)]
    assert [Path(name).name for name in found["file"][:]] == [f"{i}.png" for i in range(6)]
    assert found["label"].attrs["class_names"] == ["a", "b"]
    assert "prepare_data" not in workspace.planned("--until", "prepare_data")
    file.write_bytes(file.read_bytes() + bytes(512))
    assert "prepare_data" in workspace.planned("--until", "prepare_data")
