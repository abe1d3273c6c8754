"""A store in a bucket of S3, through Snakemake's storage plugin: a local server that speaks S3 stands in for it."""

import copy
import logging

import boto3
import numpy as np
import pandas as pd
import pytest
import zarr
from moto.server import ThreadedMotoServer
from PIL import Image
from workspace import CONFIG, Workspace

KEYS = {"aws_access_key_id": "anyone", "aws_secret_access_key": "anything", "region_name": "us-east-1"}
EVALUATION = {"lds": {"subsets": 2, "models_per_subset": 1, "draws": 2, "bootstrap": 100}, "step_correlation": {}}
ADDED = {"id": "c", "seed": 3}


@pytest.fixture(scope="module")
def bucket():
    """A client and the server's address; the bucket is called waypoint."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server.start()
    address = "http://{}:{}".format(*server.get_host_and_port())
    client = boto3.client("s3", endpoint_url=address, **KEYS)
    client.create_bucket(Bucket="waypoint")
    yield client, address
    server.stop()


def workspace(folder, *targets):
    """A working directory with a mask from outside the store."""
    folder.mkdir()
    Image.fromarray(np.full((8, 8), 255, np.uint8)).save(folder / "mask.png")
    config = {**copy.deepcopy(CONFIG), "methods": ["trak"], "evaluation": copy.deepcopy(EVALUATION)}
    config["checkpoints"] = {"count": 1}
    config["targets"] = [{"id": "a", "seed": 1, "mask": "mask.png"}, *targets]
    return Workspace(folder, config, warm=True)


@pytest.fixture(scope="module")
def runs(bucket, tmp_path_factory):
    """The bucket's names and the jobs of two runs from two working directories, and a local run of the second."""
    folder, (client, address) = tmp_path_factory.mktemp("remote"), bucket
    options = [
        "--default-storage-provider=s3",
        "--default-storage-prefix=s3://waypoint",
        f"--storage-s3-endpoint-url={address}",
        f"--storage-s3-access-key={KEYS['aws_access_key_id']}",
        f"--storage-s3-secret-key={KEYS['aws_secret_access_key']}",
    ]
    for name, targets in (("first", []), ("second", [ADDED])):
        work = workspace(folder / name, *targets)
        planned = work.planned(*options) if name == "second" else []
        done = work.snakemake(*options)
        assert done.returncode == 0, done.stdout + done.stderr
        assert not (work.folder / "store").exists()
    assert work.planned(*options) == []
    local = workspace(folder / "local", ADDED)
    done = local.snakemake()
    assert done.returncode == 0, done.stdout + done.stderr
    pages = client.get_paginator("list_objects_v2").paginate(Bucket="waypoint")
    for name in (item["Key"] for page in pages for item in page["Contents"]):
        place = folder / "fetched" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        client.download_file("waypoint", name, str(place))
    return planned, local.store, folder / "fetched/store/tiny"


def test_another_directory_makes_only_what_the_bucket_lacks(runs):
    rules = {line.split()[0] for line in runs[0]}
    assert {"target_gradients", "score_trak", "subset_outputs"} <= rules
    assert not rules & {"prepare_data", "train", "train_subset", "featurize", "factor_kernel", "draw_subsets"}


def test_the_bucket_holds_what_a_local_store_holds(runs):
    _, local, fetched = runs
    stores = [path.parent.relative_to(local) for path in local.rglob("zarr.json") if path.parent.suffix == ".zarr"]
    assert len(stores) > 10
    for name in stores:
        ours, theirs = (zarr.open_group(root / name, mode="r") for root in (local, fetched))
        assert sorted(ours.array_keys()) == sorted(theirs.array_keys()), name
        for key, array in ours.arrays():
            assert np.array_equal(array[...], theirs[key][...]), (name, key)
    tables = [path.relative_to(local) for path in local.glob("tables/*.csv")]
    assert len(tables) == 7
    for name in tables:
        pd.testing.assert_frame_equal(pd.read_csv(local / name), pd.read_csv(fetched / name))
    assert all((fetched / path.relative_to(local)).stat().st_size > 1000 for path in local.glob("figures/**/*.png"))
