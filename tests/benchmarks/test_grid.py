"""What the comparison of LPIPS with and without a grid puts on, and what it prints."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import numpy as np
import pytest

from blindsr.metrics import LPIPSNetwork


@pytest.fixture(scope="module")
def grid(benchmark: Callable[[str], ModuleType]) -> ModuleType:
    return benchmark("grid")


@pytest.fixture
def network() -> LPIPSNetwork:
    """Stands in for a trained one: the mean difference of neighbours, which any lattice changes."""

    def roughness(x: object) -> object:
        return (x[..., 1:] - x[..., :-1]).abs().mean((1, 2, 3))  # type: ignore[index]

    return LPIPSNetwork("squeeze", "cpu", lambda a, b: (roughness(a) - roughness(b)).abs())  # type: ignore[operator]


class Latticed:
    """Repeats pixels and adds a pattern of one cell."""

    scale = 4

    def __init__(self, cell: np.ndarray) -> None:
        self.cell = cell

    def restore(self, lr: np.ndarray, scale: int) -> np.ndarray:
        return lr.repeat(4, 0).repeat(4, 1) + np.tile(self.cell, (*lr.shape[:2], 1)).astype(np.float32)


def test_a_models_own_lattice_is_found(grid: ModuleType) -> None:
    cell = np.random.default_rng(0).normal(0, 0.01, (4, 4, 3))
    cell += 0.02  # a shift of the whole picture is no lattice
    found = grid.own_lattice(Latticed(cell))
    assert found == pytest.approx(cell - cell.mean((0, 1)), abs=1e-6)


def test_what_changes_by_the_lattice_is_printed(
    grid: ModuleType, network: LPIPSNetwork, capsys: pytest.CaptureFixture[str]
) -> None:
    cell = np.zeros((4, 4, 3), np.float32)
    cell[:, 0] = 8 / 255
    grid.report("flat colours", grid.flat(0), cell - cell.mean((0, 1)), network)
    title, *columns = capsys.readouterr().out.strip("| \n").split(" | ")
    assert title == "flat colours"
    changes = [float(column.split(", ")[1].split(" ±")[0]) for column in columns]
    assert changes[0] > 0.02 and changes[1] > 0.02  # in [-1, 1]: two steps of 16 / 255 in four
    assert changes[2] == pytest.approx(0, abs=1e-4)


def test_degraded_photos_come_with_their_truth(grid: ModuleType) -> None:
    photos = [np.random.default_rng(i).random((64, 64, 3), np.float32) for i in range(2)]
    pairs = list(grid.restored(Latticed(np.zeros((4, 4, 3))), photos))
    for (restored, truth), photo in zip(pairs, photos, strict=True):
        assert restored.shape == photo.shape
        assert truth is photo
        assert not np.array_equal(restored, truth)
