"""The fixed sheet: its places are in its photos' bounds, and its crops are nobody's resampling."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from blindsr.errors import InputError

from ..conftest import made_photo


@pytest.fixture(scope="module")
def sheet(benchmark: Callable[[str], ModuleType]) -> ModuleType:
    return benchmark("sheet")


class Repeater:
    """Enlarges by repeating pixels, and notes the shapes it was asked for."""

    scale = 4

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []

    def restore(self, lr: np.ndarray, scale: int) -> np.ndarray:
        self.shapes.append(lr.shape)
        return lr.repeat(scale, 0).repeat(scale, 1)


@pytest.fixture
def data(sheet: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two places: one of a real photo, one of a sharp one."""
    Image.fromarray(made_photo(150, 180)).save(tmp_path / "real.png")
    Image.fromarray(made_photo(288, 320, 1)).save(tmp_path / "sharp.png")
    places = (
        sheet.Crop("noise", "real.png", 70, 9),
        sheet.Crop("hair, blurred", "sharp.png", 16, 8, "blur=1.3,noise=3"),
    )
    monkeypatch.setattr(sheet, "CROPS", places)
    return tmp_path


def test_sixteen_different_places(sheet: ModuleType) -> None:
    assert len(sheet.CROPS) == len({crop.shows for crop in sheet.CROPS}) == 16


def test_the_places_lie_in_their_photos(sheet: ModuleType) -> None:
    if not sheet.DATA.is_dir():
        pytest.skip(f"needs {sheet.DATA}")
    for crop in sheet.CROPS:
        with Image.open(sheet.DATA / crop.file) as image:
            factor = 1 if crop.degradation == sheet.GIVEN else 4
            width, height = (side // factor for side in image.size)
        assert crop.x + sheet.SIDE <= width, crop
        assert crop.y + sheet.SIDE <= height, crop


def test_whole_photo_or_what_lies_around(sheet: ModuleType, data: Path) -> None:
    crop, repeater = sheet.CROPS[0], Repeater()
    lr = crop.lr(data)
    whole = sheet.restored_crop(repeater, lr, crop, None)
    near = sheet.restored_crop(repeater, lr, crop, 32)
    assert repeater.shapes == [(150, 180, 3), (64 + 32 + 9, 64 + 2 * 32, 3)]
    assert np.array_equal(whole, near)
    assert np.array_equal(whole[::4, ::4], lr[9:73, 70:134])


def test_degraded_as_written(sheet: ModuleType, data: Path) -> None:
    crop = sheet.CROPS[1]
    lr = crop.lr(data)
    assert lr.shape == (72, 80, 3)
    assert np.array_equal(lr, crop.lr(data))
    with pytest.raises(InputError, match=r"sharp\.png: not there; say with --data"):
        crop.lr(data / "elsewhere")


def test_the_sheet_holds_the_pixels(sheet: ModuleType, data: Path) -> None:
    app = typer.Typer()
    app.command()(sheet.main)
    out = data / "out" / "sheet.png"
    told = CliRunner().invoke(
        app, ["--model", "bicubic", "--peer", "none", "--data", str(data), "--out", str(out)]
    )
    assert told.exit_code == 0, told.output
    with Image.open(out) as image:
        made = np.asarray(image)
    side, label = 256 + sheet.GAP, 22
    assert made.shape == (2 * (label + side), 2 * side, 3)
    expected = np.asarray(Image.open(data / "real.png"))[9:73, 70:134].repeat(4, 0).repeat(4, 1)
    assert np.array_equal(made[label : label + 256, :256], expected)
    none = CliRunner().invoke(app, ["--only", "snow", "--data", str(data), "--out", str(out)])
    assert none.exit_code == 2
    assert "--only snow: there are noise, hair, blurred" in none.output
