"""Gaussian means over the windows that lie wholly inside a picture."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

_STRIP = 64


def gaussian_mean(planes: NDArray[np.float64], radius: int, sigma: float) -> NDArray[np.float64]:
    """Weighted mean around each pixel whose whole window lies inside.

    Args:
        planes: (C, H, W), at least 2 * radius + 1 pixels each way.
        radius: The window is 2 * radius + 1 pixels wide and high.
        sigma: Standard deviation of the weights, pixels.

    Returns:
        (C, H - 2 * radius, W - 2 * radius).
    """
    mean: NDArray[np.float64] = _along_rows(
        _along_rows(planes, radius, sigma).swapaxes(1, 2), radius, sigma
    ).swapaxes(1, 2)
    return mean


def _along_rows(planes: NDArray[np.float64], radius: int, sigma: float) -> NDArray[np.float64]:
    # A convolution as products with one small banded matrix, strip by strip: BLAS keeps to the cache, where
    # shifted additions of whole planes are bound by memory.
    band = _band(radius, sigma)
    length = planes.shape[1] - 2 * radius
    mean = np.empty((planes.shape[0], length, planes.shape[2]))
    for start in range(0, length, _STRIP):
        rows = min(_STRIP, length - start)
        strip = planes[:, start : start + rows + 2 * radius]
        np.matmul(band[:rows, : rows + 2 * radius], strip, out=mean[:, start : start + rows])
    return mean


@lru_cache
def _band(radius: int, sigma: float) -> NDArray[np.float64]:
    """Row i holds the window at columns i to i + 2 * radius: (strip, strip + 2 * radius)."""
    taps = np.exp(-0.5 * np.square(np.arange(-radius, radius + 1) / sigma))
    band = np.zeros((_STRIP, _STRIP + 2 * radius))
    for row in range(_STRIP):
        band[row, row : row + 2 * radius + 1] = taps / taps.sum()
    return band
