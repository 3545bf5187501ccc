"""A server whose photos are restored by workers of a cluster: what clients see is what they always see."""

from __future__ import annotations

import io
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from blindsr.cluster import ray_pool
from blindsr.cluster.handing_out import Came, Job, LostError
from blindsr.errors import InputError

from ..cluster.pools import LocalPool
from .conftest import OTHER, TOKEN, Running, Serving, photo_bytes

pytest.importorskip("fastapi")

from blindsr.server import afar
from blindsr.server.afar import Hand, Returned, identity_of
from blindsr.server.store import ENDED, MOST_ATTEMPTS


@pytest.fixture(autouse=True)
def _models(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BLINDSR_MODELS", str(models))
    monkeypatch.setattr(ray_pool, "connected", lambda address: nullcontext())
    monkeypatch.setattr(afar, "PAUSE", 0.05)


class Scripted:
    """Workers whose photos end when a test says so."""

    def __init__(self, arguments: Mapping[str, Any], kind: Any, listening: bool) -> None:
        assert kind is Hand and listening
        self.room, self.most, self.workers = 0, 0, 0
        self.busy: list[Job] = []
        self.asked: list[tuple[str, str, tuple[Any, ...]]] = []
        self.came: deque[Came] = deque()
        self.closed = False

    def grow(self, wanted: int) -> None:
        self.most = max(self.most, wanted)
        self.workers = max(self.workers, min(wanted, self.room))

    @property
    def idle(self) -> int:
        return self.workers - len(self.busy)

    def give(self, job: Job) -> None:
        self.busy.append(job)

    def ask(self, job: Job, method: str, *arguments: Any) -> Any:
        self.asked.append((method, job.arguments[0].name, arguments))
        return (1, 4) if method == "progress" else None

    def wait(self, seconds: float) -> list[Came]:
        time.sleep(0.01)
        return [self.came.popleft()] if self.came else []

    def end(self, result: Any = None, error: Exception | None = None) -> None:
        """The photo that has been in hand for the longest time ends."""
        job = self.busy[0]
        if error is not None:
            self.workers -= 1
        self.busy.remove(job)
        self.came.append(Came(job, result, error))

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def scripted(serving: Serving, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Running, Scripted]]:
    """A server, and its workers."""
    pools: list[Scripted] = []

    def start(*arguments: Any, **more: Any) -> Scripted:
        pools.append(Scripted(*arguments, **more))
        return pools[-1]

    monkeypatch.setattr(ray_pool, "RayPool", start)
    with serving(cluster="auto", workers=2) as server:
        until(lambda: bool(pools))
        yield server, pools[0]
    assert pools[0].closed


def until(reached: Callable[[], Any], seconds: float = 30.0) -> Any:
    """What a function gives as soon as it gives something."""
    end = time.monotonic() + seconds
    while not (found := reached()):
        assert time.monotonic() < end, "it was not reached"
        time.sleep(0.01)
    return found


def sent(client: Any, *photos: bytes, **data: Any) -> str:
    """A job's id."""
    files = [("files", (f"{n}.png", photo)) for n, photo in enumerate(photos)]
    answer = client.post("/v1/jobs", files=files, data=data)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def over(client: Any, job: str, seconds: float = 30.0) -> dict[str, Any]:
    """A job that has ended."""

    def look() -> Any:
        found = client.get(f"/v1/jobs/{job}").json()
        return found["status"] in ENDED and found

    found: dict[str, Any] = until(look, seconds)
    return found


def workers_told(client: Any) -> str:
    text = str(client.get("/metrics").text)
    return next(line for line in text.splitlines() if line.startswith("blindsr_workers "))


def test_not_ready_without_a_worker(scripted: tuple[Running, Scripted]) -> None:
    server, pool = scripted
    with server.client() as client:
        assert client.get("/health").status_code == 503 and client.get("/health/live").status_code == 200
        assert workers_told(client) == "blindsr_workers 0"
        job = sent(client, photo_bytes())  # it waits
        pool.room = 2
        until(lambda: client.get("/health").status_code == 200)
        until(lambda: pool.busy)
        until(lambda: workers_told(client) == "blindsr_workers 2")  # and one for the next photo
        pool.end(Returned(b"made", {"width": 8, "height": 8}))
        found = over(client, job)
        assert found["photos"][0]["width"] == 8 and pool.most == 2
        assert client.get(f"/v1/jobs/{job}/files/0").content == b"made"


def test_as_many_in_hand_as_workers_and_fair(scripted: tuple[Running, Scripted]) -> None:
    """A photo of each client in turn, however many one has sent first."""
    server, pool = scripted
    with server.client(TOKEN) as one, server.client(OTHER) as other:
        first = sent(one, *[photo_bytes(seed=n) for n in range(4)])
        second = sent(other, photo_bytes(seed=9))
        pool.room = 2
        until(lambda: len(pool.busy) == 2)
        assert {job.arguments[0].name.partition("/")[0] for job in pool.busy} == {first, second}
        time.sleep(0.2)
        assert len(pool.busy) == 2
        for _ in range(5):
            until(lambda: pool.busy)
            pool.end(Returned(b"made", {}))
        assert {over(one, first)["status"], over(other, second)["status"]} == {"done"}


def test_progress_and_cancelling(scripted: tuple[Running, Scripted]) -> None:
    server, pool = scripted
    with server.client() as client:
        job = sent(client, photo_bytes())
        pool.room = 1
        until(lambda: pool.busy)
        told = until(lambda: server.service.board._progress.get(job))
        assert (told[0].done, told[0].total) == (1, 4)
        assert client.delete(f"/v1/jobs/{job}").status_code == 202
        until(lambda: ("leave", f"{job}/0", (f"{job}/0",)) in pool.asked)
        time.sleep(0.1)
        assert [method for method, *_ in pool.asked].count("leave") == 1
        pool.end(Returned(left=True))
        until(lambda: over(client, job)["photos"][0]["status"] == "cancelled")
        # One that ends although nobody wants it any more has no result either.
        again = sent(client, photo_bytes())
        until(lambda: pool.busy)
        client.delete(f"/v1/jobs/{again}")
        until(lambda: ("leave", f"{again}/0", (f"{again}/0",)) in pool.asked)
        pool.end(Returned(b"made", {}))
        until(lambda: over(client, again)["photos"][0]["status"] == "cancelled")


@pytest.mark.slow
def test_a_lost_workers_photo_is_tried_again_but_not_for_ever(scripted: tuple[Running, Scripted]) -> None:
    server, pool = scripted
    with server.client() as client:
        pool.room = 1
        job = sent(client, photo_bytes())
        for _ in range(2):
            until(lambda: pool.busy)
            pool.end(error=LostError("gone"))
        until(lambda: pool.busy)
        pool.end(Returned(b"made", {}))
        assert over(client, job)["status"] == "done"
        job = sent(client, photo_bytes())
        for _ in range(MOST_ATTEMPTS):
            until(lambda: pool.busy)
            pool.end(error=LostError("gone"))
        (photo,) = over(client, job)["photos"]
        assert photo["error"] == (
            f"0.png: its worker was lost {MOST_ATTEMPTS} times while it was in work; it is not tried again"
        )


@pytest.mark.slow
def test_a_cluster_where_nobody_can_work(
    serving: Serving, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is said, and tried again; jobs wait meanwhile."""

    class Unfit(Scripted):
        def grow(self, wanted: int) -> None:
            raise InputError("no machine of the cluster can work: far: it has another version")

    monkeypatch.setattr(ray_pool, "RayPool", Unfit)
    with serving(cluster="auto") as server, server.client() as client:
        job = sent(client, photo_bytes())
        until(lambda: caplog.text.count("no machine of the cluster can work") >= 2)
        assert client.get("/health/ready").status_code == 503
        assert client.get(f"/v1/jobs/{job}").json()["status"] == "queued"
        monkeypatch.setattr(ray_pool, "RayPool", LocalPool)
        assert over(client, job)["status"] == "done"


@pytest.mark.slow
def test_results_of_one_machine(serving: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes, names, sizes, what is told, and errors: with size, format, profile, mask and texture."""
    monkeypatch.setattr(ray_pool, "RayPool", partial(LocalPool, most=2))
    mask = io.BytesIO()
    Image.linear_gradient("L").resize((32, 24)).save(mask, "png")
    cut_off = photo_bytes(40, 40)[:-300]

    def made(client: Any) -> list[Any]:
        files = [("files", (f"{n}.png", photo_bytes(seed=n))) for n in range(2)]
        profile = str(client.post("/v1/profiles", files=files).json()["id"])
        told = until(
            lambda: (one := client.get(f"/v1/profiles/{profile}").json())["status"] == "done" and one
        )
        jobs = [
            sent(client, photo_bytes(seed=3), photo_bytes(30, 26, seed=4)),
            sent(client, photo_bytes(seed=5), width="100", format="jpeg", quality="80", profile=profile),
            sent(client, cut_off, model="cria-x4-compact", texture="0.3"),
        ]
        answer = client.post(
            "/v1/jobs",
            files=[("files", ("m.png", photo_bytes(seed=6))), ("mask", ("mask.png", mask.getvalue()))],
            data={"model": "cria-x4-compact", "texture": "1"},
        )
        jobs.append(str(answer.json()["id"]))
        results: list[Any] = [told["photos"] if "photos" in told else told.get("distance")]
        for job in jobs:
            found = over(client, job)
            for n, photo in enumerate(found["photos"]):
                photo.pop("seconds", None)
                content = (
                    client.get(f"/v1/jobs/{job}/files/{n}").content if photo["status"] == "done" else b""
                )
                results.append((str(photo).replace(job, "JOB"), content))
        return results

    with serving() as server, server.client() as client:
        here = made(client)
    with serving(cluster="auto") as server, server.client() as client:
        until(lambda: client.get("/health").status_code == 200)
        there = made(client)
        assert server.service.workers.count >= 1
        done = list(server.service.store.files.rglob("*.photo"))
        assert len(done) == 2  # of the photo that failed, on either: what is done needs its photo no more
    assert [len(content) > 100 for _, content in here[1:]].count(True) >= 4
    assert there == here


def test_a_machine_of_other_models_does_not_restore(models: Path, tmp_path: Path) -> None:
    from blindsr.server.settings import Settings
    from blindsr.server.shelf import Shelf

    identity = identity_of(Shelf(Settings(folder=tmp_path)))
    order = afar.Serving(models=("cmdsr-x4",), max_pixels=1 << 20, threads=1, memory=str(1 << 30), idle=60.0)
    hand = Hand(order, {**identity, "models": {"cmdsr-x4": "another"}}, node="far")
    with pytest.raises(InputError, match=r"^far: results made here would .*\(models.cmdsr-x4 differ\)"):
        hand.start()
    hand.close()
