"""Resizing: against MATLAB's own files, and against imresize's definition written out pixel by pixel."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from blindsr.degradation import Degradation, degrade_image, imresize, resize
from blindsr.errors import InputError

SET5 = Path(__file__).parents[2] / ".." / "shared" / "data" / "Set5"


def cubic(t: float) -> float:
    t = abs(t)
    if t <= 1:
        return 1.5 * t**3 - 2.5 * t**2 + 1
    return -0.5 * t**3 + 2.5 * t**2 - 4 * t + 2 if t <= 2 else 0.0


def resize_line(line: NDArray[np.float64], out: int, scale: float) -> NDArray[np.float64]:
    """imresize of one line from its definition: 1-based positions, kernel stretched when shrinking."""
    shrink = min(scale, 1.0)
    result = []
    for i in range(1, out + 1):
        u = i / scale + 0.5 * (1 - 1 / scale)
        positions = range(math.floor(u - 2 / shrink) - 1, math.ceil(u + 2 / shrink) + 2)
        weights = [cubic(shrink * (u - p)) for p in positions]
        values = [line[min(max(p, 1), len(line)) - 1] for p in positions]
        result.append(np.dot(weights, values) / sum(weights))
    return np.array(result)


@pytest.mark.parametrize("scale", [0.25, 1 / 3, 0.5, 0.7, 1.0, 1.3, 2.0, 4.0])
@pytest.mark.parametrize("length", [2, 12, 31])
def test_equals_the_definition(scale: float, length: int) -> None:
    line = np.random.default_rng(length).random(length)
    x = np.tile(line.astype(np.float32), (1, 1, 3, 1))  # rows all alike
    result = resize(x, scale=scale)
    expected = resize_line(line, math.ceil(round(length * scale, 9)), scale)
    for row in result[0, 0]:
        np.testing.assert_allclose(row, expected, atol=2e-6)
    np.testing.assert_allclose(resize(x.swapaxes(2, 3), scale=scale), result.swapaxes(2, 3), atol=2e-6)


def test_known_values() -> None:
    """Halving stretches the kernel to eight pixels: weights -3, -9, 29, 111, 111, 29, -9, -3 of 256."""
    impulse = np.zeros((1, 1, 1, 16), np.float32)
    impulse[..., 7] = 256
    expected = [0, 0, -9, 111, 29, -3, 0, 0]
    np.testing.assert_allclose(resize(impulse, (1, 8))[0, 0, 0], expected, atol=1e-4)


@pytest.mark.parametrize("size", [(8, 12), (7, 11), (64, 96), (33, 47), (1, 1)])
def test_constants_stay_and_flips_commute(size: tuple[int, int], batch: NDArray[np.float32]) -> None:
    np.testing.assert_allclose(resize(np.full_like(batch, 0.7), size), 0.7, atol=1e-6)
    result = resize(batch, size)
    assert result.shape == (3, 3, *size)
    np.testing.assert_allclose(
        resize(batch[..., ::-1, ::-1].copy(), size), result[..., ::-1, ::-1], atol=2e-6
    )


def test_same_size_is_the_identity(batch: NDArray[np.float32]) -> None:
    np.testing.assert_array_equal(resize(batch, batch.shape[2:]), batch)


def test_a_scale_keeps_its_exact_value_where_the_size_is_rounded_up() -> None:
    x = np.random.default_rng(0).random((1, 1, 1, 10), dtype=np.float32)
    by_scale, by_size = resize(x, scale=0.25), resize(x, (1, 3))
    assert by_scale.shape == by_size.shape == (1, 1, 1, 3)
    assert np.abs(by_scale - by_size).max() > 1e-3


def test_imprecise_products_add_no_pixel() -> None:
    assert 30 * 0.1 > 3 - 1e-15 and resize(np.ones((1, 1, 30, 30), np.float32), scale=0.1).shape[2:] == (3, 3)
    assert resize(np.ones((1, 1, 100, 110), np.float32), scale=1.1).shape[2:] == (110, 121)


def test_imresize_rounds_after_each_axis() -> None:
    picture = np.random.default_rng(4).integers(0, 256, (16, 24, 3), dtype=np.uint8)
    rows = np.stack([[resize_line(picture[:, j, c] / 1.0, 8, 0.5) for j in range(24)] for c in range(3)])
    rows = np.floor(rows.clip(0, 255) + 0.5)  # (3, 24, 8)
    both = np.stack([[resize_line(rows[c, :, i], 12, 0.5) for c in range(3)] for i in range(8)])
    expected = np.floor(both.clip(0, 255) + 0.5).transpose(0, 2, 1)
    result = imresize(picture, 0.5)
    assert result.dtype == np.uint8
    np.testing.assert_array_equal(result, expected)


def test_impossible_requests_are_refused(batch: NDArray[np.float32]) -> None:
    for arguments in (
        {},
        {"size": (4, 4), "scale": 0.5},
        {"scale": 0},
        {"scale": math.inf},
        {"size": (0, 4)},
    ):
        with pytest.raises(InputError):
            resize(batch, **arguments)
    with pytest.raises(InputError, match="uint8"):
        imresize(np.zeros((4, 4, 3), np.float32), 0.5)  # type: ignore[arg-type]


@pytest.mark.skipif(not SET5.is_dir(), reason="../shared/data/Set5 (LR files made by MATLAB) is not here")
@pytest.mark.parametrize("scale", [2, 4])
def test_equals_matlab(scale: int) -> None:
    folder = SET5 / f"x{scale}"
    names = sorted(path.name for path in (folder / "HR").glob("*.png"))
    assert len(names) == 5
    for name in names:
        hr = np.asarray(Image.open(folder / "HR" / name).convert("RGB"))
        lr = np.asarray(Image.open(folder / "LR" / name).convert("RGB"))
        np.testing.assert_array_equal(imresize(hr, 1 / scale), lr)  # to the last level
        once = degrade_image(hr.astype(np.float32) / 255, Degradation(scale=scale), seed=0) * 255
        # Rounding once instead of after each axis moves few pixels, and those by a level or two.
        assert np.abs(once - lr).max() <= 2.5 and (np.abs(once - lr) > 1.5).mean() < 1e-4
