"""The ruler for lattices and frames reads what was put in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

from ..conftest import MakeModel


@pytest.fixture(scope="module")
def lattice(benchmark: Callable[[str], ModuleType]) -> ModuleType:
    return benchmark("lattice")


@dataclass
class Enlarger:
    """Repeats pixels, and adds in levels what a test asks for: a pattern of one cell, and a rim."""

    scale: int
    pattern: NDArray[np.float64]
    rim: float = 0.0

    def restore(self, lr: NDArray[np.float32], scale: int) -> NDArray[np.float32]:
        levels = 255.0 * lr.repeat(scale, 0).repeat(scale, 1)
        levels += np.tile(self.pattern, (*lr.shape[:2],))[..., None]
        levels[-1] += self.rim
        return (levels / 255).clip(0, 1).astype(np.float32)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_neither_lattice_nor_frame(lattice: ModuleType, scale: int) -> None:
    row = lattice.measure("plain", Enlarger(scale, np.zeros((scale, scale))))
    assert max(row.values["lattice, flat"]) == 0
    assert (
        max(row.values["lattice, shaded"]) < 0.7
    )  # steps of the LR photo under the plane: less than a level
    assert max(row.values["lattice, noise"]) == pytest.approx(0, abs=1e-9)
    assert max(row.values["frame"]) == 0
    assert row.white == 1


@pytest.mark.parametrize("scale", [2, 4])
def test_one_phase_that_strays(lattice: ModuleType, scale: int) -> None:
    pattern = np.zeros((scale, scale))
    pattern[1, 0] = -4
    row = lattice.measure("latticed", Enlarger(scale, pattern))
    deviation = 4 * (1 - 1 / scale**2)  # from a mean which that phase takes part in
    assert row.values["lattice, flat"] == pytest.approx([deviation] * 8)
    assert np.mean(row.values["lattice, noise"]) == pytest.approx(deviation, abs=0.1)
    assert np.mean(row.values["lattice, shaded"]) == pytest.approx(deviation, abs=0.7)
    assert row.white == pytest.approx(1 - 1 / scale**2)


def test_a_last_row_that_strays(lattice: ModuleType) -> None:
    row = lattice.measure("framed", Enlarger(4, np.zeros((4, 4)), rim=-9))
    assert row.values["frame"] == pytest.approx([9] * 8)
    assert max(row.values["lattice, flat"]) == 0
    assert row.white == pytest.approx(1 - 1 / 256)


def test_a_lattice_in_one_channel_alone(lattice: ModuleType) -> None:
    levels = np.full((24, 32, 3), 100.0)
    levels[::4, ::4, 2] += 8
    assert lattice.lattice(levels, 4) == pytest.approx(8 * 15 / 16)
    assert lattice.lattice(levels[..., :2], 4) == 0


def test_shading_is_taken_away_whole(lattice: ModuleType) -> None:
    y, x = np.mgrid[0:24, 0:32]
    shaded = np.stack([3 * x - y, 5 + y, 0 * x], 2).astype(np.float64)
    assert np.abs(lattice.without_plane(shaded)).max() < 1e-9


def test_photos_are_the_same_every_time(lattice: ModuleType) -> None:
    found = [list(lattice.photos()) for _ in range(2)]
    assert len(found[0]) == 3 * 8
    for (kind, colour, photo), again in zip(*found, strict=True):
        assert photo.shape == (64, 64, 3)
        assert photo.dtype == np.float32
        assert np.array_equal(photo, again[2])
        if kind == "flat":
            assert np.array_equal(photo * np.float32(255), np.broadcast_to(np.float32(colour), photo.shape))


def test_the_command(lattice: ModuleType, make_model: MakeModel, tmp_path: Path) -> None:
    import typer

    app = typer.Typer()
    app.command()(lattice.main)
    folder = make_model(scale=2, texture=0.5)
    told = CliRunner().invoke(app, ["--model", str(folder), "--model", "bicubic", "--peer", "none"])
    assert told.exit_code == 0, told.output
    titles = [line.split(" | ")[0] for line in told.stdout.splitlines()[2:]]
    assert titles == ["| tiny", "| tiny@texture=0", "| tiny@texture=1", "| bicubic"]
    assert told.stdout.splitlines()[-1].endswith("| 100 % |")
    missing = CliRunner().invoke(app, ["--model", "bicubic", "--peer", "nobody", "--peers", str(tmp_path)])
    assert missing.exit_code == 2
    assert "--peer nobody" in missing.output
