"""Imports of the package run downwards only, and the plan of its rooms is that of the code."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="module")
def rooms(benchmark: Callable[[str], ModuleType]) -> ModuleType:
    return benchmark("rooms")


def test_the_package_keeps_to_its_plan(rooms: ModuleType) -> None:
    plan = rooms.PLAN.read_text(encoding="utf-8")
    floor, found = rooms.floors(plan), rooms.arrows(rooms.PACKAGE)
    assert rooms.faults(found, floor) == []
    assert rooms.drawing(found, floor) in plan, "draw it anew: python benchmarks/rooms.py --write"


@pytest.mark.parametrize(
    ("file", "line", "fault"),
    [
        (
            "system/files.py",
            "from blindsr.batch.plan import plan",
            "system imports batch, which lies",
        ),
        (
            "system/files.py",
            "def f():\n    import blindsr.engine",
            "system imports engine, which lies",
        ),
        ("engine/a.py", "from blindsr.models.card import Model", "circle: engine -> models -> engine"),
        ("engine/a.py", "from blindsr import upscale", "engine imports the public face"),
        ("misc/a.py", "", "misc: on no floor of the plan"),
    ],
)
def test_what_is_wrong_is_told(rooms: ModuleType, tmp_path: Path, file: str, line: str, fault: str) -> None:
    for name in ("cli", "batch", "engine", "models", "system"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").touch()
    (tmp_path / "models" / "card.py").write_text("from blindsr.engine import Engine\n", encoding="utf-8")
    floor = {"cli": 0, "batch": 1, "engine": 2, "models": 2, "system": 3}
    assert rooms.faults(rooms.arrows(tmp_path), floor) == []
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text(line + "\n", encoding="utf-8")
    (found,) = rooms.faults(rooms.arrows(tmp_path), floor)
    assert found.startswith(fault)
