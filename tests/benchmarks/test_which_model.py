"""Quality against time: what is taken over, measured, and written."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

CASES = ("clean", "camera", "real-esrgan")


@pytest.fixture(scope="module")
def which_model(benchmark: Callable[[str], ModuleType]) -> ModuleType:
    return benchmark("which_model")


def _scores(psnr: float, lpips: float) -> dict[str, list[list[float]]]:
    return {"psnr": [[psnr - 1, psnr + 1]], "lpips-no-grid": [[lpips, lpips]], "niqe": [[5.0, 5.0]]}


@pytest.fixture
def record(which_model: ModuleType, tmp_path: Path) -> Path:
    """Three methods of which all is known, and one without a time."""
    file, record = tmp_path / "quality.json", tmp_path / "known.json"
    measured = {
        "Real-ESRGAN general-x4v3": _scores(24, 0.2),
        "cria-x4-compact@fp32": _scores(23, 0.15),
        "bicubic": _scores(25, 0.4),
        "no time": _scores(99, 0),
    }
    file.write_text(json.dumps({"kept-back": dict.fromkeys(CASES, measured)}))
    which_model.quality([file], record)
    known = which_model.read_known(record)
    for title, seconds in (("Real-ESRGAN general-x4v3", 2.0), ("cria-x4-compact", 1.0), ("bicubic", 0.1)):
        known[title]["seconds"] = seconds
    which_model.save_known(known, record)
    return record


def test_written_and_drawn(which_model: ModuleType, record: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the extra [plot] is not installed")
    page, plot = tmp_path / "page.md", tmp_path / "plot.png"
    page.write_text("# Mine\n\n<!-- generated: which-model -->\n<!-- end: which-model -->\n\nby hand\n")
    which_model.write(record, page, plot)
    rows = [line for line in page.read_text().splitlines() if line.startswith("| ")][1:]
    cell, best = "23.00 / **0.150**", "**25.00** / 0.400"
    assert rows == [
        f"| bicubic | 0.05 | {best} | {best} | {best} |",
        f"| **cria-x4-compact** | 0.50 | {cell} | {cell} | {cell} |",
        "| Real-ESRGAN general-x4v3 | 1.00 |" + " 24.00 / 0.200 |" * 3,
    ]
    assert page.read_text().endswith("\n\nby hand\n") and plot.read_bytes()[1:4] == b"PNG"


def test_each_has_its_turn_on_the_same_picture(which_model: ModuleType) -> None:
    turns: list[tuple[str, float]] = []

    def method(title: str) -> SimpleNamespace:
        restorer = SimpleNamespace(restore=lambda lr, scale: turns.append((title, float(np.sum(lr)) * scale)))
        return SimpleNamespace(title=title, restorer=restorer)

    taken = which_model.measure_time([method("a@fp32"), method("b")], side=16, rounds=2)
    assert list(taken) == ["a", "b"] and all(seconds >= 0 for seconds in taken.values())
    assert [title for title, _ in turns] == ["a@fp32", "b"] * 3 and len({lr for _, lr in turns}) == 1


def test_the_page_of_the_project_is_as_the_command_writes_it(which_model: ModuleType) -> None:
    text = which_model.PAGE.read_text(encoding="utf-8")
    known = {title: entry for title, entry in which_model.read_known().items() if which_model.is_whole(entry)}
    assert which_model.table(known) in text
    assert {"Real-ESRGAN x4plus", "RealSR DF2K", *which_model.OURS} <= set(known)
    assert re.search(r"\(\.\./images/which-model\.png\)", text) and which_model.PLOT.is_file()
