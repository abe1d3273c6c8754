"""Hashes that stored artifacts hold: literal digests, so that a store of an earlier version is still recognised."""

import base64
import hashlib
import json
import os
import zlib
from types import SimpleNamespace

import numpy as np
import pytest

from waypoint.store.artifacts.checksums import checksums
from waypoint.store.artifacts.fingerprint import content_hash, quick_look, weights_hash
from waypoint.store.artifacts.source_files import files_record
from waypoint.store.networks import image_encoder
from waypoint.store.networks.inception import require_weights
from waypoint.store.networks.text_encoder import text_encoder_identity
from waypoint.store.networks.training_rows import rows_hash
from waypoint.store.networks.vae import vae_identity
from waypoint.store.zarr.curvature import content_of
from waypoint.workflow.config.complete import file_hash
from waypoint.workflow.config.explained import name_of
from waypoint.workflow.jobs.resuming import identity_of

LARGE = bytes(range(256)) * 20_000  # 5 MB: more than is read at once


@pytest.fixture
def folder(tmp_path):
    """A folder with everything that some hash counts or leaves out."""
    files = {
        "unet/diffusion_pytorch_model.safetensors": LARGE,
        "b.safetensors": b"weights",
        "config.json": json.dumps({"_class_name": "AutoencoderKL", "latent_channels": 4, "_name": "x"}).encode(),
        "merges.txt": b"a b\n",
        "pytorch_model.bin": b"pickled",
        "loss.csv": b"step,loss\n",
        "waypoint.json": b"{}",
        "image.png": b"",
    }
    for name, content in files.items():
        path = tmp_path / "model" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path / "model"


HASHES = {
    "weights": "cb4bd6e9ea30bc4ffa98da1f821b22cc8c167cabb1f3471b798cdf8ce647353c",
    "image encoder's folder": "5109bfb5e8813eabec4cdbe00c5e28c38dbf0bfe7006b8c678724f6593bd43af",
    "image encoder's file": "13fbe33cdd58fa5b9025c6eebae5b36b2d822086ad9a93a82a2ec18bb7d0531a",
    "inception": "13fbe33cdd58fa5b9025c6eebae5b36b2d822086ad9a93a82a2ec18bb7d0531a",
    "content of a folder": "123563cb1e7d6b2b6db9051295e76feee2178e19fc1777a61bbbc0eefc903946",
    "content of files": "74322a745ee06fadbbac948043f5efca940d7f0c17bcc18b98292ae8a2ee0af1",
    "content under other names": "6e9b560d64bfdcfef6d6137372b100a15dd2b85d88b946c060c1acd1d4670afb",
    "text encoder": "699e79291716b3d826eb3fab6281a6fe9658a2aa984205b8c30242f20acb2457",
    "vae": "59e238c8a567609035502d70c89b70866fb744d05c52deaea42846c64f94f714",
    "a target's file": "13fbe33cdd58fa5b9025c6eebae5b36b2d822086ad9a93a82a2ec18bb7d0531a",
    "checksums": {
        "b.safetensors": "9a129038d9a00aed0cf6a7ea059ca50a813449061ab87848cf1a13eafdf33b2c",
        "config.json": "8adf83a515054a319e97083ab43f87bac49a9999aa08c614d31583c91e6a69be",
        "image.png": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "merges.txt": "01186fcf04b4b447f393e552964c08c7b419c1ad7a25c342a0b631b1967d3a27",
        "pytorch_model.bin": "239f7817ed1cbd6ee3893f842b7f6d5f4554bea0eff6687841c135f62192a810",
        "unet/diffusion_pytorch_model.safetensors": "13fbe33cdd58fa5b9025c6eebae5b36b2d822086ad9a93a82a2ec18bb7d0531a",
    },
    "checksum of a file": {
        "diffusion_pytorch_model.safetensors": "13fbe33cdd58fa5b9025c6eebae5b36b2d822086ad9a93a82a2ec18bb7d0531a"
    },
    "rows": "0057aef4fe5ef616b042e0b2499380693a5dd10cce41444305b7a28e75980d69",
    "curvature": "cb7dde938e5a9decb25a3f158702e2bcd1a7f5ecb4278dc54a0d21f81ee8638f",
    "training": "e9161d92be46442f769a19e8bae0cc79b58cd6c128f5c3992b93f0d066d6cec0",
    "raw data": "2b98b806c131e6da1121cd17bd8372217e7de538042a54e4e3a03d616d311c00",
    "names of raw data": [[0, "image.png"], [0, "merges.txt"], [0, "unet/diffusion_pytorch_model.safetensors"]],
    "checksums of raw data": "00000q3Mk+oRKu4",
    "explained experiment": "explain-a-photos-4eb383",
}


@pytest.mark.parametrize("name", HASHES)
def test_stored_hashes_stay_what_they_were(folder, name):
    assert computed(folder)[name] == HASHES[name]


def computed(folder):
    large = folder / "unet/diffusion_pytorch_model.safetensors"
    arrays = {"b.Q_A": np.eye(2, dtype=np.float32), "a.eigenvalues": np.arange(6.0, dtype=np.float32).reshape(2, 3).T}
    record = files_record([folder], [folder / "image.png", large, folder / "merges.txt"])
    return {
        "weights": weights_hash(folder),
        "image encoder's folder": image_encoder.weights_hash(folder),
        "image encoder's file": image_encoder.weights_hash(str(large)),
        "inception": require_weights(large, ""),
        "content of a folder": content_hash([folder]),
        "content of files": content_hash([str(large), folder / "merges.txt"]),
        "content under other names": content_hash([large, folder / "merges.txt"], ["a", "b"]),
        "text encoder": text_encoder_identity(folder),
        "vae": vae_identity(folder),
        "a target's file": file_hash(str(large)),
        "checksums": checksums(folder),
        "checksum of a file": checksums(large),
        "rows": rows_hash([3, 1, 4]),
        "curvature": content_of(SimpleNamespace(arrays=lambda: arrays)),
        "training": identity_of({"b": 1, "a": [None, 2.5]}, "é"),
        "raw data": record["sha256"],
        "names of raw data": json.loads(zlib.decompress(base64.b85decode(record["files"]["names"]))),
        "checksums of raw data": record["files"]["crc32"],
        "explained experiment": name_of("/models/a", "/photos"),
    }


def test_a_quick_look_sees_names_sizes_and_change_times_alone(folder):
    file = folder / "merges.txt"
    state = os.stat(file)
    line = f"merges.txt\0{state.st_size}\0{state.st_ctime_ns}\n"
    assert quick_look([file]) == hashlib.sha256(line.encode()).hexdigest()
    line = f"0\0merges.txt\0{state.st_size}\0{state.st_ctime_ns}\n"
    assert files_record([folder], [file])["look"] == hashlib.sha256(line.encode()).hexdigest()
