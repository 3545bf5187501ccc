"""The benchmarks of the server do what they say, in small."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from ..conftest import write_model

pytest.importorskip("fastapi", reason="the extra [serve] is not installed")

Benchmark = Callable[[str], ModuleType]


@pytest.fixture(autouse=True)
def _models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_model(tmp_path / "models" / "cmdsr-x4")
    monkeypatch.setenv("BLINDSR_MODELS", str(tmp_path / "models"))


@pytest.mark.slow
def test_killed_again_and_again(benchmark: Benchmark, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        benchmark("kill_server").main(kills=5, jobs=6, size=48, longest=0.5, seed=1, model="cmdsr-x4")
    assert (ended.value.code, capsys.readouterr().out) == (0, "5 kills, 6 jobs; 0 faults\n")


def test_what_was_lost_or_done_twice_is_told(benchmark: Benchmark) -> None:
    check = benchmark("kill_server").check_kept
    before = {("a", 0): ("x", 1), ("a", 1): ("y", 1), ("b", 0): ("z", 1)}
    after = {("a", 0): ("x", 1), ("a", 1): ("y", 2)}
    assert list(check(before, after)) == ["('a', 1): done twice", "('b', 0): lost"]
    assert list(check(before, before)) == []


@pytest.mark.slow
def test_many_clients_at_once(benchmark: Benchmark, capsys: pytest.CaptureFixture[str]) -> None:
    benchmark("load_server").main(clients=3, each=3, size=48, model="cmdsr-x4", threads=1, memory="1G")
    told = capsys.readouterr().out
    assert "server: " in told and "at 100 %: 3 to 3 photos of each client done" in told
