"""A grid is taken away where there is one, and nothing where there is none."""

from __future__ import annotations

import doctest
from functools import partial

import numpy as np
import pytest
from numpy.typing import NDArray

from blindsr.errors import InputError
from blindsr.metrics import LPIPSNetwork, grid, lpips, without_grid

from ..conftest import made_photo

LEVEL = 1 / 255


def flat(height: int = 120, width: int = 144, channels: int = 3) -> NDArray[np.float32]:
    return np.full((height, width, channels), 0.5, np.float32)


def lattice(picture: NDArray[np.float32], period: int, levels: float = 3) -> NDArray[np.float32]:
    """A pattern of one cell, repeated over a picture of this size; largest deviation so many levels."""
    cell = np.random.default_rng(3).normal(size=(period, period, picture.shape[2]))
    cell -= cell.mean((0, 1))
    times = [-(-side // period) for side in picture.shape[:2]]
    repeated = np.tile(cell * levels * LEVEL / np.abs(cell).max(), (*times, 1))
    return repeated[: picture.shape[0], : picture.shape[1]].astype(np.float32)


def rms(difference: NDArray[np.floating]) -> float:
    """Root mean square, levels of 255."""
    return float(np.sqrt(np.mean(np.square(difference)))) / LEVEL


def photo(noise: float = 0.0) -> NDArray[np.float32]:
    """Shapes with sharp edges, some noise."""
    made = made_photo(160, 200).astype(np.float32) / 255
    made[40:90, 60:130] = 0.9
    return made + np.random.default_rng(1).normal(0, noise * LEVEL, made.shape).astype(np.float32)


@pytest.mark.parametrize("period", [2, 3, 4])
@pytest.mark.parametrize("channels", [1, 3])
def test_taken_from_flat_colours(period: int, channels: int) -> None:
    plain = flat(channels=channels)
    pattern = lattice(plain, period)
    left = without_grid(plain + pattern, period=period) - plain
    assert rms(pattern) > 0.9
    assert rms(left) < 0.01


def test_taken_from_noise_and_beside_edges() -> None:
    plain = flat()
    plain[:, 70:] = 0.9
    plain += np.random.default_rng(0).normal(0, 2 * LEVEL, plain.shape).astype(np.float32)
    pattern = lattice(plain, 4)
    left = without_grid(plain + pattern, period=4) - plain
    assert rms(left) < rms(pattern) / 3  # a mean of 81 cells still has a ninth of the noise
    assert rms(left[:, 60:80]) < rms(pattern) / 3


def test_a_grid_in_one_part_is_taken_from_there() -> None:
    plain = flat()
    pattern = lattice(plain, 4)
    pattern[:, 72:] = 0
    left = without_grid(plain + pattern, period=4) - plain
    assert rms(left[:, :48]) < 0.05
    assert rms(left[:, 96:]) < 0.05


def test_nothing_is_taken_where_there_is_none() -> None:
    for picture in (flat(), photo(), photo(noise=10)):
        assert rms(without_grid(picture, period=4) - picture) < 0.5
    noisy = flat() + np.random.default_rng(0).normal(0, 5 * LEVEL, flat().shape).astype(np.float32)
    assert rms(without_grid(noisy, period=4) - noisy) < 0.25


def test_a_slope_and_an_edge_are_no_grid() -> None:
    y, x = np.mgrid[0:96, 0:96].astype(np.float32)
    slope = np.repeat((0.2 + 0.003 * x + 0.002 * y)[..., None], 3, 2)
    edge = np.repeat((0.2 + 0.6 * (x > 41))[..., None], 3, 2).astype(np.float32)
    assert rms(without_grid(slope, period=4) - slope) < 0.01
    assert rms(without_grid(edge, period=4) - edge) < 0.5


def test_what_fills_no_cell_is_left() -> None:
    plain = flat(61, 74)
    latticed = plain + lattice(plain, 4)
    cleaned = without_grid(latticed, period=4)
    assert np.array_equal(cleaned[60:], latticed[60:])
    assert np.array_equal(cleaned[:, 72:], latticed[:, 72:])
    assert rms((cleaned - plain)[8:52, 8:64]) < 0.05


@pytest.mark.parametrize(("shape", "period"), [((20, 30, 3), 1), ((11, 30, 3), 4)])
def test_no_grid_to_look_for(shape: tuple[int, int, int], period: int) -> None:
    picture = np.random.default_rng(0).random(shape, np.float32)
    assert np.array_equal(without_grid(picture, period=period), picture)


def test_what_is_given_stays() -> None:
    picture = flat() + lattice(flat(), 4)
    before = picture.copy()
    without_grid(picture, period=4)
    assert np.array_equal(picture, before)


@pytest.mark.parametrize(("shape", "period"), [((8, 8), 4), ((8, 8, 4), 4), ((8, 8, 3), 0)])
def test_refused(shape: tuple[int, ...], period: int) -> None:
    with pytest.raises(InputError, match=r"shape|period"):
        without_grid(np.zeros(shape, np.float32), period=period)


def test_lpips_no_longer_tells_a_grid(squeeze: LPIPSNetwork) -> None:
    measure = partial(lpips, network=squeeze, quantise=False)
    truth = photo()
    restored = np.clip(truth * 0.8 + 0.1 + np.random.default_rng(2).normal(0, 0.01, truth.shape), 0, 1)
    latticed = restored + lattice(truth, 4)
    plain = measure(latticed, truth) - measure(restored, truth)
    told = measure(without_grid(latticed, period=4), truth) - measure(without_grid(restored, period=4), truth)
    assert abs(told) < abs(plain) / 4


def test_examples() -> None:
    assert doctest.testmod(grid, extraglobs={"np": np}).failed == 0
