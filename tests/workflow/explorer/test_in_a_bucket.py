"""The explorer served by a bucket, to which a store was uploaded as `aws s3 sync` does it."""

import mimetypes

import boto3
import pytest
from browser import Watched
from moto.server import ThreadedMotoServer

KEYS = {"aws_access_key_id": "anyone", "aws_secret_access_key": "anything", "region_name": "us-east-1"}


@pytest.fixture(scope="module")
def in_a_bucket(finished):
    """The address of the page below the bucket `papers`."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    address = "http://{}:{}".format(*server.get_host_and_port())
    client = boto3.client("s3", endpoint_url=address, **KEYS)
    client.create_bucket(Bucket="papers", ACL="public-read")
    for file in filter(lambda path: path.is_file(), finished.root.rglob("*")):
        kind = mimetypes.guess_type(file.name)[0] or "binary/octet-stream"
        more = {"ContentType": kind, "ACL": "public-read"}
        client.upload_file(str(file), "papers", f"runs/digits/{file.relative_to(finished.root)}", ExtraArgs=more)
    yield f"{address}/papers/runs/digits/explorer/index.html"
    server.stop()


def test_a_bucket_serves_the_page_and_the_arrays(browser, in_a_bucket, url):
    shown = []
    for page in (in_a_bucket, url):
        watched = Watched(browser).open(f"{page}#target=b&step=300&methods=ekfac,trak")
        shown.append([watched.texts(f".tile .{name}") for name in ("file", "score", "place", "mark")])
        assert not watched.wrong and not watched.elsewhere()
        watched.page.close()
    assert shown[0] == shown[1] and len(shown[0][0]) == 40
