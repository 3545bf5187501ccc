"""Peak memory of a method, measured in a process of its own and then known."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from blindsr.evaluation.methods import find_method
from blindsr.evaluation.peak_memory import SIDE, peak_memory, picture
from blindsr.evaluation.result_cache import ResultCache


def test_measured_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bicubic = find_method("bicubic")
    taken = peak_memory("bicubic", bicubic, "cpu", 1, ResultCache(tmp_path / "r.jsonl"))
    # Its result alone, in floating point, is 12 MiB; Python, NumPy and libvips are some more.
    assert taken is not None and (4 * SIDE) ** 2 * 3 * 4 < taken < 2 << 30
    monkeypatch.setattr("subprocess.run", None)
    assert peak_memory("bicubic", bicubic, "cpu", 1, ResultCache(tmp_path / "r.jsonl")) == taken


def test_one_that_cannot_run_is_a_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        found = peak_memory(
            str(tmp_path / "no.onnx"), find_method("bicubic"), "cpu", 1, ResultCache(tmp_path / "r.jsonl")
        )
    assert found is None and "no.onnx: no such file" in caplog.text


def test_the_picture_is_of_the_size_that_is_told() -> None:
    assert picture().shape == (SIDE, SIDE, 3) and 0 <= picture().min() < picture().max() <= 1
