"""A real server on a free port, with small models; what its tests share."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from blindsr.system.memory import Memory

from ..conftest import add_inspector, made_photo, write_model

fastapi = pytest.importorskip("fastapi", reason="the extra [serve] is not installed")
httpx = pytest.importorskip("httpx")

TOKEN = "a-token-of-the-first-client"
OTHER = "a-token-of-the-second-client"


@dataclass
class Running:
    """A server that runs.

    Args:
        url: Where.
        service: What is behind it.
    """

    url: str
    service: Any

    def client(self, token: str | None = TOKEN, **headers: str) -> Any:
        """An HTTP client with a token, and with further headers."""
        own = {} if token is None else {"Authorization": f"Bearer {token}"}
        own |= {name.replace("_", "-"): value for name, value in headers.items()}
        return httpx.Client(base_url=self.url, headers=own, timeout=60, trust_env=False)

    @property
    def place(self) -> tuple[str, int]:
        """Address and port."""
        host, _, port = self.url.removeprefix("http://").partition(":")
        return host, int(port)


Serving = Callable[..., Any]


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small models with the names of the shipped ones."""
    folder = tmp_path_factory.mktemp("models")
    add_inspector(write_model(folder / "cmdsr-x4"))
    write_model(folder / "cria-x4-compact", adaptive=False, texture=0.85)
    return folder


@contextmanager
def run_server(models: Path, folder: Path, **told: Any) -> Iterator[Running]:
    """Run a server in a thread within the block.

    Args:
        models: Folder of its models.
        folder: Where its jobs are kept.
        told: As of `Settings`.
    """
    from blindsr.server.running import assembled, serve
    from blindsr.server.settings import Settings

    settings = Settings(
        **{
            "folder": folder, "port": 0, "tokens": (TOKEN, OTHER), "threads": 1,
            "memory": Memory.parse("1G"), "models": ("cria-x4-compact", "cmdsr-x4"), **told,
        }
    )  # fmt: skip
    found: dict[str, Any] = {}
    ready, stop = threading.Event(), threading.Event()
    failures: list[BaseException] = []

    @contextmanager
    def remembered(settings: Settings) -> Iterator[Any]:
        with assembled(settings) as (app, service):
            found["service"] = service
            yield app, service

    def on_ready(address: str) -> None:
        found["url"] = address.partition("#")[0].rstrip("/")
        ready.set()

    def run() -> None:
        try:
            serve(settings, on_ready, stop, remembered)
        except BaseException as error:
            failures.append(error)
        finally:
            ready.set()

    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("BLINDSR_MODELS", str(models))
        thread = threading.Thread(target=run)
        thread.start()
        assert ready.wait(60)
    try:
        if failures:
            raise failures[0]
        yield Running(found["url"], found["service"])
    finally:
        stop.set()
        thread.join(60)
    assert not thread.is_alive()


@pytest.fixture
def serving(models: Path, tmp_path: Path) -> Serving:
    """Runs a server within a block; arguments as of `Settings`."""
    return partial(run_server, models, tmp_path / "jobs")


@pytest.fixture
def server(serving: Serving) -> Iterator[Running]:
    """A server with two clients' tokens."""
    with serving() as running:
        yield running


@pytest.fixture(scope="module")
def shared(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """As `server`, for tests that leave nothing behind."""
    with run_server(models, tmp_path_factory.mktemp("shared")) as running:
        yield running


def photo_bytes(height: int = 24, width: int = 32, seed: int = 0, kind: str = "png") -> bytes:
    """A made photo's file."""
    import io

    file = io.BytesIO()
    Image.fromarray(made_photo(height, width, seed)).save(file, kind)
    return file.getvalue()


def send(client: Any, *photos: tuple[str, bytes], **fields: Any) -> Any:
    """Post a job; gives the response."""
    headers = {"Idempotency-Key": fields.pop("key")} if "key" in fields else {}
    files = [("files", photo) for photo in photos or [("a.png", photo_bytes())]]
    return client.post("/v1/jobs", files=files, data=fields, headers=headers)


def ended(client: Any, job: dict[str, Any], seconds: float = 60) -> dict[str, Any]:
    """Wait for a job's end; gives the job."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        shown: dict[str, Any] = client.get(job["href"]).json()
        if shown["status"] in ("done", "failed", "cancelled"):
            return shown
        time.sleep(0.02)
    raise AssertionError(f"still {shown['status']} after {seconds:g} s")


def pixels_of(content: bytes) -> Any:
    """The pixels of a file."""
    import io

    return np.asarray(Image.open(io.BytesIO(content)))


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Every photo waits at its first tile until this is set."""
    from blindsr.server.workers import Workers

    released, tell = threading.Event(), Workers._tell

    def wait_and_tell(self: Any, work: Any, done: int, total: int) -> None:
        assert released.wait(60)
        tell(self, work, done, total)

    monkeypatch.setattr(Workers, "_tell", wait_and_tell)
    yield released
    released.set()


def disk_files(folder: Path) -> list[str]:
    """All files below a folder, but the database's."""
    found = (Path(place) / name for place, _, names in os.walk(folder) for name in names)
    return sorted(
        file.relative_to(folder).as_posix()
        for file in found
        if not file.name.startswith(("jobs.", "server."))
    )
