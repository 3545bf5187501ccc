"""A store of each kind, and a small S3 server."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from blindsr.cluster.stores import Store, open_store


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """The address of an S3 server in this process."""
    server = pytest.importorskip("moto.server").ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty bucket's URL; keys and the server's address are in the environment."""
    pytest.importorskip("s3fs")
    for name, value in {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": request.getfixturevalue("s3_server"),
    }.items():
        monkeypatch.setenv(name, value)
    import fsspec

    bucket = f"bucket-{uuid4().hex[:12]}"
    # What connects is kept by fsspec for all tests: to make one takes seconds.
    fsspec.filesystem("s3", use_listings_cache=False).call_s3("create_bucket", Bucket=bucket)
    return f"s3://{bucket}"


MakeStore = Callable[[str], Store]


@pytest.fixture(params=["folder", "memory", "s3"])
def make_store(request: pytest.FixtureRequest, tmp_path: Path) -> MakeStore:
    """Gives empty stores of each kind by a name of one's own."""
    place = str(tmp_path)
    if request.param == "memory":
        pytest.importorskip("fsspec")
        place = f"memory://{uuid4().hex}"
    elif request.param == "s3":
        place = request.getfixturevalue("s3")
    return lambda name: open_store(f"{place}/{name}")


@pytest.fixture(autouse=True)
def _no_statistics(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.pop("RAY_ADDRESS", None)
