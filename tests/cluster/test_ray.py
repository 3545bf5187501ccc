"""On a Ray cluster of a head and another node, each with processes of its own."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from blindsr.cluster import planning
from blindsr.cluster.driving import drive
from blindsr.cluster.handing_out import Came, Job
from blindsr.cluster.items import Ended
from blindsr.cluster.restoring import Restoring
from blindsr.cluster.stores import open_store
from blindsr.errors import InputError
from blindsr.system.memory import Memory

from ..conftest import SOURCE, Run, save_photos, write_model
from .test_driving import batch_of, contents, local

ray = pytest.importorskip("ray")
pytest.importorskip("s3fs")

from blindsr.cluster import ray_pool  # noqa: E402
from blindsr.cluster.ray_pool import RayPool, connected  # noqa: E402


@pytest.fixture(scope="module")
def cluster(s3_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of two nodes with a core each."""
    from ray.cluster_utils import Cluster

    place = tmp_path_factory.mktemp("ray")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": s3_server,
            "BLINDSR_TRY_GRAPHS": "0",
            "RAY_USAGE_STATS_ENABLED": "0",
            "XDG_CACHE_HOME": str(place),
        }.items():
            patch.setenv(name, value)
        patch.setenv("PYTHONPATH", str(SOURCE), prepend=os.pathsep)
        node = {"num_cpus": 1, "object_store_memory": 80 << 20, "memory": 1 << 30}
        started = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
        started.add_node(**node)
        yield started.address
        started.shutdown()


@pytest.fixture(scope="module")
def order(tmp_path_factory: pytest.TempPathFactory) -> Restoring:
    model = write_model(tmp_path_factory.mktemp("models") / "tiny")
    return Restoring(model=str(model), threads=1, memory="384M")


@pytest.mark.slow
def test_the_command(
    cluster: str, s3: str, order: Restoring, tmp_path: Path, run: Run, monkeypatch: Any
) -> None:
    """From a bucket to a bucket: names and bytes of one machine, by two; and nothing is done twice."""
    monkeypatch.setattr(planning, "SHARD", 4)
    folder = save_photos(tmp_path / "in", 12, 20, 24)
    (folder / "broken.png").write_bytes(b"nothing")
    for file in folder.iterdir():
        open_store(f"{s3}/in").push(file, f"deep/{file.name}")
    local(folder, tmp_path / "one", order)
    command = ["upscale", f"{s3}/in", "-o", f"{s3}/out/", "--cluster", cluster, "--workers", "2"]
    command += ["--model", order.model, "--memory", "384M", "--json"]
    code, out, err = run(*command)
    lines = [json.loads(line) for line in out.splitlines()]
    summary = lines.pop()["summary"]
    assert (code, summary["done"], summary["failed"], summary["left"]) == (3, 12, 1, 0), err
    assert contents(f"{s3}/out/deep") == {
        name: content
        for name, content in contents(str(tmp_path / "one")).items()
        if name != ".blindsr-journal"
    }
    assert len({line["node"] for line in lines}) == 2
    assert {line["status"] for line in lines if line["source"].endswith("broken.png")} == {"failed"}
    page = open_store(f"{s3}/out/.blindsr-cluster").read("report.html").decode()
    assert summary["report"] == f"{s3}/out/.blindsr-cluster/report.html" and "<td>12</td>" in page
    code, out, err = run(*command)
    summary = json.loads(out.splitlines()[-1])["summary"]
    assert (summary["done"], summary["skipped"], summary["failed"]) == (0, 12, 1)


@pytest.mark.slow
def test_lost_actors(cluster: str, order: Restoring, tmp_path: Path) -> None:
    folder = save_photos(tmp_path / "in", 6, 20, 24)
    ended: list[Ended] = []

    class Losing(RayPool):
        """Its first two jobs lose their workers."""

        losses = 2

        def give(self, job: Job) -> None:
            super().give(job)
            if self.losses:
                self.losses -= 1
                ray.kill(next(reversed(self._busy.values()))[0])

    with connected(cluster):
        batch = batch_of([str(folder)], str(tmp_path / "out"), order)
        summary, _ = drive(batch, Losing, workers=1, on_end=ended.extend)
    assert summary.counts == {"done": 6} and summary.lost == 2 and len(ended) == 6
    assert len([*(tmp_path / "out").glob("*.png")]) == 6


@pytest.mark.slow
def test_no_machine_is_fit(cluster: str, order: Restoring, tmp_path: Path) -> None:
    """Their results would have other bytes than those of the machine that planned the batch."""
    batch = batch_of([str(save_photos(tmp_path / "in", 1, 20, 24))], str(tmp_path / "out"), order)
    identity = {**batch.header["identity"], "blindsr": "0.0"}
    batch = replace(batch, header={**batch.header, "identity": identity})
    with (
        connected(cluster),
        pytest.raises(
            InputError, match=r"no machine of the cluster can work: .*\(blindsr differ\)"
        ) as caught,
    ):
        drive(batch, RayPool, workers=1)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_a_server(cluster: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Actors restore its photos, and one is killed at a photo; the results are those of one machine."""
    pytest.importorskip("fastapi")
    from ..server.conftest import photo_bytes, run_server
    from ..server.test_afar import over, sent, until

    models = tmp_path / "models"
    write_model(models / "cmdsr-x4")
    write_model(models / "cria-x4-compact", adaptive=False, texture=0.85)
    given: list[Any] = []

    class Losing(RayPool):
        """Its first photo loses its worker."""

        def give(self, job: Job) -> None:
            super().give(job)
            if not given:
                ray.kill(next(reversed(self._busy.values()))[0])
            given.append(job)

    def results(**told: Any) -> list[bytes]:
        memory = Memory.parse("600M")
        with (
            run_server(models, tmp_path / "jobs", memory=memory, **told) as server,
            server.client() as client,
        ):
            if told:
                until(lambda: client.get("/health").status_code == 200, 120)
            job = sent(client, *[photo_bytes(seed=n) for n in range(3)])
            assert over(client, job, 120)["status"] == "done"
            return [client.get(f"/v1/jobs/{job}/files/{n}").content for n in range(3)]

    monkeypatch.setattr(ray_pool, "RayPool", Losing)
    monkeypatch.setenv("BLINDSR_MODELS", str(models))
    # Actors have the environment of their nodes, which were started without these models.
    runtime = {"env_vars": {"BLINDSR_MODELS": str(models)}}
    monkeypatch.setattr(ray, "init", partial(ray.init, runtime_env=runtime))
    assert results(cluster=cluster, workers=2) == results()
    assert len(given) == 4


@pytest.mark.slow
def test_no_room_for_a_worker(
    cluster: str, order: Restoring, tmp_path: Path, monkeypatch: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """It is said what is waited for, and the batch can be stopped."""
    monkeypatch.setattr(ray_pool, "PATIENCE", 0.2)
    batch = batch_of(
        [str(save_photos(tmp_path / "in", 1, 20, 24))], str(tmp_path / "out"), replace(order, threads=64)
    )
    stop = threading.Event()

    class Stopped(RayPool):
        def wait(self, seconds: float) -> list[Came]:
            came = super().wait(seconds)
            if "64 cores and 384 MiB of memory" in caplog.text:
                stop.set()
            return came

    with connected(cluster):
        summary, _ = drive(batch, Stopped, stop=stop)
    assert summary.interrupted and summary.counts == {}


@pytest.mark.slow
@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1", "127.0.0.1:x", "ray://:99999999"])
def test_no_cluster(address: str) -> None:
    with pytest.raises(InputError, match="no Ray cluster answers there") as caught, connected(address):
        pass
    assert "\n" not in str(caught.value)
