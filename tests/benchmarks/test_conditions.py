"""The picture of conditions: both ways to a plane, and one of them where scikit-learn is not there."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(scope="module")
def conditions(benchmark: Callable[[str], ModuleType]) -> ModuleType:
    return benchmark("conditions")


@pytest.fixture
def found() -> tuple[np.ndarray, np.ndarray]:
    """Eighty conditions on a plane in 8-D, which blur and noise span; and their tasks, (80, 2)."""
    rng = np.random.default_rng(0)
    tasks = np.stack([rng.uniform(0.2, 4, 80), rng.choice([0.0, 2.0], 80)], 1)
    return (tasks - tasks.mean(0)) @ rng.normal(size=(2, 8)), tasks


def test_two_components_hold_a_plane(conditions: ModuleType, found: tuple[np.ndarray, np.ndarray]) -> None:
    placed = conditions.principal_components(found[0])
    apart, wanted = (np.linalg.norm(x[:, None] - x[None], axis=2) for x in (placed.points, found[0]))
    np.testing.assert_allclose(apart, wanted, atol=1e-9)
    shares = [int("".join(filter(str.isdigit, name))) for name in placed.axes]
    assert sum(shares) in (99, 100, 101) and shares[0] > shares[1] > 0


@pytest.mark.slow
def test_without_scikit_learn_there_is_one_row(
    conditions: ModuleType, found: tuple[np.ndarray, np.ndarray], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    pytest.importorskip("matplotlib")
    monkeypatch.setitem(sys.modules, "sklearn.manifold", None)
    conditions.draw(*found, tmp_path / "picture.png")
    assert "needs scikit-learn" in capsys.readouterr().out
    with Image.open(tmp_path / "picture.png") as picture:
        assert picture.size[0] > 3 * picture.size[1]


@pytest.mark.slow
def test_neighbours_stay_neighbours(conditions: ModuleType, found: tuple[np.ndarray, np.ndarray]) -> None:
    pytest.importorskip("sklearn")
    points = conditions.neighbours(found[0]).points
    apart = [np.linalg.norm(x[:, None] - x[None], axis=2) for x in (points, found[0])]
    nearest = [np.argsort(x, axis=1)[:, 1:4] for x in apart]
    kept = np.mean([len(set(a) & set(b)) for a, b in zip(*nearest, strict=True)])
    assert kept > 1.5  # of 3; by chance 0.1
