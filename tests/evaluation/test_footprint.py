"""Peak memory of a contestant, measured in a process of its own and then known."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from blindsr.evaluation.contestants import find_contestant
from blindsr.evaluation.footprint import SIDE, footprint, picture
from blindsr.evaluation.records import RecordFile


def test_measured_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bicubic = find_contestant("bicubic")
    taken = footprint("bicubic", bicubic, "cpu", 1, RecordFile(tmp_path / "r.jsonl"))
    # Its result alone, in floating point, is 12 MiB; Python, NumPy and libvips are some more.
    assert taken is not None and (4 * SIDE) ** 2 * 3 * 4 < taken < 2 << 30
    monkeypatch.setattr("subprocess.run", None)
    assert footprint("bicubic", bicubic, "cpu", 1, RecordFile(tmp_path / "r.jsonl")) == taken


def test_one_that_cannot_run_is_a_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        found = footprint(
            str(tmp_path / "no.onnx"), find_contestant("bicubic"), "cpu", 1, RecordFile(tmp_path / "r.jsonl")
        )
    assert found is None and "no.onnx: no such file" in caplog.text


def test_the_picture_is_of_the_size_that_is_told() -> None:
    assert picture().shape == (SIDE, SIDE, 3) and 0 <= picture().min() < picture().max() <= 1
