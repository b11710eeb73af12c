"""A local S3 server (moto) on a socket, for clients outside of boto3."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import boto3
import pytest
from moto.server import ThreadedMotoServer

BUCKET = "pictures"
REGION = "us-east-1"


@contextmanager
def s3(patch: pytest.MonkeyPatch) -> Iterator[str]:
    """An empty bucket, with AWS_ variables for it; yields the server's URL."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        url = f"http://{host}:{port}"
        for name, value in {
            "AWS_ACCESS_KEY_ID": "someone",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_REGION": REGION,
            "AWS_ENDPOINT_URL": url,
            "AWS_ALLOW_HTTP": "true",
        }.items():
            patch.setenv(name, value)
        client = boto3.client("s3", endpoint_url=url, region_name=REGION)
        client.create_bucket(Bucket=BUCKET)
        yield url
        for file in client.list_objects_v2(Bucket=BUCKET).get("Contents", []):
            client.delete_object(Bucket=BUCKET, Key=file["Key"])
        client.delete_bucket(Bucket=BUCKET)
    finally:
        server.stop()
