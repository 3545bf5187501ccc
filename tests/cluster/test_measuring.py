"""Pictures measured by workers: tables, JSON, page and cache of one machine; nothing is measured twice."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from blindsr.cluster import ray_pool
from blindsr.cluster.handing_out import Job
from blindsr.cluster.measuring import Measurer, Measuring, measure_by_workers
from blindsr.degradation import Degradation
from blindsr.errors import InputError
from blindsr.evaluation.benchmarks import folder_benchmark
from blindsr.evaluation.crops import CropFolder
from blindsr.evaluation.result_cache import ResultCache
from blindsr.evaluation.runner import Cell, Failed, evaluate

from ..conftest import MakeModel, Run, save_photos
from .pools import LocalPool

FILES = ("table.md", "pictures.csv", "results.json", "index.html")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return save_photos(tmp_path / "photos", 3, 48, 56)


def lines(cache: Path) -> list[str]:
    """A cache without its order, which workers' speed decides."""
    return sorted(cache.read_text(encoding="utf-8").splitlines())


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_tables_json_page_and_cache_of_one_machine(
    run: Run, make_model: MakeModel, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a picture that cannot be read, and a method of another scale."""
    monkeypatch.setattr("blindsr.evaluation.runner.time.perf_counter", lambda: 0.0)
    monkeypatch.setattr(ray_pool, "connected", lambda address: nullcontext())
    pools: list[LocalPool] = []

    def start(*arguments: Any) -> LocalPool:
        pools.append(LocalPool(*arguments, most=2))
        return pools[-1]

    monkeypatch.setattr(ray_pool, "RayPool", start)
    monkeypatch.chdir(tmp_path)
    (photos / "3.png").write_bytes(b"no picture")
    command = ["evaluate", "--model", "bicubic", "--model", f"tiny={make_model()}", "--model", "input"]
    command += ["--data", f"mine={photos.name}", "--degrade", "", "--degrade", "blur=1.3,noise=9"]
    command += ["--device", "cpu", "--no-peak-memory", "--shown", "1"]
    code, one, _ = run(*command, "--threads", "1", "-o", "one")
    assert code == 3
    for _ in range(2):
        code, many, err = run(*command, "--cluster", "auto", "-o", "many")
        assert (code, many) == (3, one), err
        for name in FILES:
            written = (tmp_path / "many" / name).read_text().replace("many", "one")
            assert written.replace(f"{tmp_path}/photos/", "photos/") == (tmp_path / "one" / name).read_text()
        assert lines(tmp_path / "many" / "records.jsonl") == lines(tmp_path / "one" / "records.jsonl")
        crops = contents(Path("one", "crops"))
        assert contents(Path("many", "crops")) == crops and len(crops) >= 4
    first, second = ([(arguments[1], arguments[2]) for _, arguments in pool.jobs] for pool in pools)
    assert len(first) == 8 and ("bicubic", "tiny") in {titles[:2] for _, titles in first}
    # Of a second run only what has no result is tried again.
    assert {seed for seed, titles in second if "bicubic" in titles} == {3}


def order_of(photos: Path, **options: Any) -> Measuring:
    benchmark = folder_benchmark("mine", str(photos), 2, degraded=True)
    cells = Cell(benchmark, Degradation(2)), Cell(benchmark, Degradation(2, noise=5.0))
    methods = ("a", "bicubic"), ("b", "bicubic")
    return Measuring(**{"cells": cells, "methods": methods, "metrics": ("psnr",), "crops": 1, **options})


def measured(
    order: Measuring, out: Path, lose: Callable[[Job], bool] = lambda job: False, stop: Event | None = None
) -> tuple[Failed, list[tuple[Any, ...]]]:
    """Measure by workers of this process; gives what failed, and what was handed out."""
    pools: list[LocalPool] = []

    def start(arguments: Any) -> LocalPool:
        pools.append(LocalPool(arguments, Measurer, lose=lose))
        return pools[-1]

    failed = measure_by_workers(
        order,
        ResultCache(out / "records.jsonl"),
        CropFolder(out / "crops", 1),
        start,
        on_picture=None if stop is None else lambda done, given: stop.set() if done == 2 else None,
        stop=stop,
    )
    return failed, [arguments[:3] for pool in pools for _, arguments in pool.jobs]


@pytest.mark.slow
def test_what_ends_its_worker_is_found_out(photos: Path, tmp_path: Path) -> None:
    """A method with a picture: the other methods measure it, and all methods the other pictures."""
    lost: list[tuple[Any, ...]] = []

    def lose(job: Job) -> bool:
        bad = job.arguments[:2] == (1, 2) and "b" in job.arguments[2]
        once = job.arguments[:2] == (0, 0) and not lost
        if bad or once:
            lost.append(job.arguments[:3])
        return bad or once

    order = order_of(photos)
    failed, _ = measured(order, tmp_path / "out", lose)
    ((where, why),) = failed.items()
    assert where == ("mine", "noise=5", "2", "b") and "ended its worker, 2 times alone with b" in why
    assert lost == [(0, 0, ("a", "b"))] + [(1, 2, ("a", "b"))] * 2 + [(1, 2, ("b",))] * 2
    cache = ResultCache(tmp_path / "out" / "records.jsonl")

    def refuse(*_: Any) -> Any:
        raise AssertionError("all that can be measured is")

    methods = order.find_methods()
    for method in methods:
        method.load = refuse
    crops = CropFolder(tmp_path / "out" / "crops", 1)
    results = evaluate(methods, order.cells, order.find_specs(), cache, crops, failed=failed)
    assert [result.error for result in results if result.error] == [why] and len(results) == 12


@pytest.mark.slow
def test_a_driver_that_was_lost_measures_nothing_again(photos: Path, tmp_path: Path) -> None:
    order = order_of(photos)
    _, first = measured(order, tmp_path / "out", stop=Event())
    assert len(first) == 2
    _, rest = measured(order, tmp_path / "out")
    assert len(rest) == 4 and not {one[:2] for one in first} & {one[:2] for one in rest}
    assert measured(order, tmp_path / "out") == ({}, [])


def test_a_machine_of_other_versions_does_not_measure(photos: Path) -> None:
    order = order_of(photos)
    worker = Measurer(order, {"blindsr": "0.0"}, node="far")
    with pytest.raises(InputError, match=r"^far: what is measured here would differ .*blindsr.* differ"):
        worker.start()
    worker.close()


def test_what_is_refused(run: Run, photos: Path, tmp_path: Path) -> None:
    command = ["evaluate", "--model", "bicubic", "--data", f"m={photos}", "--degrade", ""]
    code, _, err = run(*command, "-o", tmp_path / "out", "--cluster", "127.0.0.1:1")
    assert code == 2 and "no Ray cluster answers there" in err
    assert not (tmp_path / "out" / "table.md").exists()


def test_a_title_or_path_with_signs_of_its_own(tmp_path: Path, make_model: MakeModel) -> None:
    """A title has "@" or "=" as it likes, and so has a path: neither is read twice."""
    order = order_of(save_photos(tmp_path / "a=b", 1, 16, 16), methods=(("x@int8", "bicubic"),))
    (method,) = order.find_methods()
    assert method.title == "x@int8"
    model = make_model("c=d")
    (method,) = order_of(tmp_path / "a=b", methods=(("own", str(model)),)).find_methods()
    assert method.title == "own" and json.dumps(method.identity)
