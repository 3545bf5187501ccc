"""The grid that an upscaling network leaves in a picture: found, and taken away."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from blindsr.errors import InputError

_REACH = 4  # cells each way over which a cell's grid is averaged: 9x9 of them
_FLAT = 2 / 255  # detail as strong as this, root mean square, takes a quarter of a flat cell's weight

Cells = NDArray[np.float64]


def without_grid(picture: NDArray[np.floating], *, period: int) -> NDArray[np.float32]:
    """A picture less the grid that repeats with `period` pixels in it.

    A network that ends in a pixel shuffle makes each of the period x period phases by weights of its own, and
    where they do not agree it leaves a lattice. No LR picture asks for one: a component of that period does
    not survive shrinking. What repeats so is found in the picture alone: each pixel less the mean of a window
    one period wide; the phases apart; each averaged over the 9x9 cells around, of which flat ones weigh most,
    so that an edge has no say. Details average to something by chance; the mean is shrunk by the part of its
    power that chance explains, and so pictures without a grid stay as they are.

    Args:
        picture: (H, W, 3) or (H, W, 1), in [0, 1]. The rows and columns that fill no whole cell at the bottom
            and at the right are left as they are.
        period: Of the grid, pixels: the scale that the picture was enlarged by. With 1 there is none, and in
            a picture of less than 3x3 cells none can be told.

    Returns:
        The same shape, not clipped.

    Raises:
        InputError: The shape is no picture's, or the period is below 1.

    Example:
        >>> flat = np.full((40, 40, 3), 0.5, np.float32)
        >>> latticed = flat.copy()
        >>> latticed[::4, ::4] += 3 / 255
        >>> bool(np.ptp(without_grid(latticed, period=4)) < 0.1 / 255)
        True
    """
    if picture.ndim != 3 or picture.shape[2] not in (1, 3):
        raise InputError(f"pictures have the shape (H, W, 3) or (H, W, 1), not {picture.shape}")
    if period < 1:
        raise InputError(f"a grid's period is 1 pixel or more, not {period}")
    cleaned = np.array(picture, np.float32)
    rows, columns, channels = picture.shape[0] // period, picture.shape[1] // period, picture.shape[2]
    if period == 1 or min(rows, columns) < 3:
        return cleaned
    whole = np.s_[: rows * period, : columns * period]
    detail = (picture - _mean_of_a_period(picture, period))[whole]
    grid = _grid(detail.reshape(rows, period, columns, period, channels).swapaxes(1, 2))
    cleaned[whole] -= grid.swapaxes(1, 2).reshape(detail.shape).astype(np.float32)
    return cleaned


def _grid(detail: Cells) -> Cells:
    """What the cells around each have in common, (rows, columns, period, period, C) like the detail."""
    power = np.square(detail).mean((2, 3, 4), keepdims=True)  # (rows, columns, 1, 1, 1)
    weight = 1 / np.square(_FLAT**2 + _around(power, 1) / _around(np.ones_like(power), 1))
    within = np.zeros_like(weight)
    within[1:-1, 1:-1] = 1  # what a cell at the rim lies above is a mean that reaches past the picture
    weight *= within
    total = _around(weight, _REACH)
    mean = _around(weight * detail, _REACH) / total
    by_chance = _around(np.square(weight) * np.square(detail - mean), _REACH) / np.square(total)
    strength = np.square(mean).mean((2, 3, 4), keepdims=True)
    lasting = 1 - by_chance.mean((2, 3, 4), keepdims=True) / np.maximum(strength, np.finfo(np.float64).tiny)
    grid: Cells = mean * lasting.clip(0, 1)
    return grid


def _mean_of_a_period(picture: NDArray[np.floating], period: int) -> NDArray[np.float64]:
    """Mean over a window as wide as the period, which has nothing left of that period; (H, W, C)."""
    taps = np.ones(period + 1 - period % 2)
    if period % 2 == 0:
        taps[[0, -1]] = 0.5  # half of either end, so that the window lies about its pixel
    mean: NDArray[np.float64] = np.asarray(picture, np.float64)
    for axis in (0, 1):
        margin = [(len(taps) // 2,) * 2 if i == axis else (0, 0) for i in range(3)]
        windows = np.lib.stride_tricks.sliding_window_view(
            np.pad(mean, margin, mode="symmetric"), len(taps), axis=axis
        )
        mean = windows @ (taps / period)
    return mean


def _around(cells: Cells, reach: int) -> Cells:
    """Sum over the cells up to `reach` rows and columns away, as many as there are."""
    for axis in (0, 1):
        margin = [(reach + 1, reach) if i == axis else (0, 0) for i in range(cells.ndim)]
        sums = np.cumsum(np.pad(cells, margin), axis).swapaxes(0, axis)
        cells = (sums[2 * reach + 1 :] - sums[: -2 * reach - 1]).swapaxes(0, axis)
    return cells
