"""Bicubic resizing as MATLAB's imresize does it: antialiased when shrinking, edges repeated at the borders.

Releases of MATLAB differ at the borders: the one that made the field's benchmark files repeats the edge,
later ones mirror. This follows the benchmark files.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from blindsr.degradation.backend import Array, apply_separable, check_batch, full_precision
from blindsr.errors import InputError

# How many numbers a band of rows may hold while a picture is enlarged (1 MiB: it stays in the cache).
_BAND = 2**18


def resize(x: Array, size: tuple[int, int] | None = None, *, scale: float | None = None) -> Array:
    """Resize a batch with the bicubic kernel of Keys (a = -0.5), as MATLAB's `imresize` does.

    When shrinking, the kernel is stretched by the inverse scale (antialiasing). Values may leave [0, 1] by
    the kernel's overshoot; nothing is clipped.

    Args:
        x: batch, (N, C, H, W), float32 RGB in [0, 1].
        size: (height, width) wanted, in pixels.
        scale: instead of `size`: the factor for both sides; a side of n pixels becomes ceil(n * scale).

    Returns:
        Batch, (N, C, height, width).

    Raises:
        InputError: neither or both of `size` and `scale` are given, or they are not positive.
    """
    check_batch(x)
    height, width = x.shape[2:]
    if (size is None) == (scale is None):
        raise InputError("resize needs either a size or a scale")
    if scale is not None:
        rows, columns = _scaled(height, scale), _scaled(width, scale)
        down, across = resize_matrix(height, rows, scale), resize_matrix(width, columns, scale)
    else:
        assert size is not None
        down, across = resize_matrix(height, size[0]), resize_matrix(width, size[1])
    with full_precision(x):
        return apply_separable(x, down[None], across[None])


def enlarge(picture: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    """Resize one large picture as `resize` does, in bands of rows: a large result costs no more than itself.

    `resize` multiplies by matrices, which is quick for the small images of a training batch and works on
    tensors; a matrix for thousands of pixels would hold more than the picture.

    Args:
        picture: (H, W, C), float32 in [0, 1].
        height: rows wanted.
        width: columns wanted; shrinking works too, but takes time in proportion to its factor.

    Returns:
        Picture, (height, width, C); values may leave [0, 1] by the kernel's overshoot.

    Raises:
        InputError: a side is not positive.
    """
    if height < 1 or width < 1:
        raise InputError(f"cannot resize to {height}x{width} pixels: both must be at least 1")
    rows, columns, channels = picture.shape
    result = np.empty((height, width, channels), np.float32)
    down, across = (
        _contributions(rows, height, height / rows),
        _contributions(columns, width, width / columns),
    )
    band = max(1, _BAND // (max(width, columns) * channels))
    for start in range(0, height, band):
        out = slice(start, start + band)
        lines = _combine(picture, down[0][out], down[1][out])
        result[out] = _combine(lines.transpose(1, 0, 2), *across).transpose(1, 0, 2)
    return result


def _combine(
    lines: NDArray[np.float32], positions: NDArray[np.int64], weights: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Return weighted sums along the first axis: (n, ...) and (out, taps) make (out, ...)."""
    factors = weights.astype(np.float32)[:, :, None, None]
    total = lines[positions[:, 0]] * factors[:, 0]
    for tap in range(1, positions.shape[1]):
        total += lines[positions[:, tap]] * factors[:, tap]
    return total


def imresize(picture: NDArray[np.uint8], scale: float) -> NDArray[np.uint8]:
    """Resize an 8-bit picture to the very levels that MATLAB's `imresize` gives.

    MATLAB rounds and clips to 8 bits after each axis, which moves about an eighth of the pixels by a level
    against rounding once. Benchmarks' LR files and published bicubic numbers are made this way.

    Args:
        picture: (H, W, C), uint8.
        scale: the factor for both sides, above 0.

    Returns:
        Picture, (ceil(H * scale), ceil(W * scale), C), uint8.

    Raises:
        InputError: the picture is not (H, W, C) of 8 bits, or the scale is not positive.
    """
    if picture.ndim != 3 or picture.dtype != np.uint8:
        raise InputError(f"imresize needs a uint8 (H, W, C) picture, this is {picture.dtype} {picture.shape}")
    height, width = picture.shape[:2]
    rows, columns = _scaled(height, scale), _scaled(width, scale)
    planes = picture.transpose(2, 0, 1).astype(np.float64)
    planes = _to_levels(resize_matrix(height, rows, scale) @ planes)
    planes = _to_levels(planes @ resize_matrix(width, columns, scale).T)
    return np.ascontiguousarray(planes.transpose(1, 2, 0)).astype(np.uint8)


def resize_matrix(length: int, out: int, scale: float | None = None) -> NDArray[np.float64]:
    """Return the matrix that resizes a line of pixels.

    Args:
        length: pixels in the line.
        out: pixels wanted.
        scale: the exact factor where `out` was rounded from it; None takes out / length.

    Returns:
        Matrix, (out, length); every row sums to 1.

    Raises:
        InputError: a length is not positive.
    """
    if length < 1 or out < 1:
        raise InputError(f"cannot resize {length} pixels to {out}: both must be at least 1")
    positions, weights = _contributions(length, out, out / length if scale is None else scale)
    matrix = np.zeros((out, length))
    # At the borders several positions name the same pixel, so their weights must add up.
    np.add.at(matrix, (np.arange(out)[:, None], positions), weights)
    return matrix


@lru_cache(maxsize=256)
def _contributions(length: int, out: int, scale: float) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return which pixels make each output pixel, and how much: both (out, taps)."""
    stretch = min(scale, 1.0)
    support = 4.0 / stretch
    centre = (np.arange(out) + 0.5) / scale - 0.5
    first = np.floor(centre - support / 2).astype(np.int64)
    positions = first[:, None] + np.arange(math.ceil(support) + 2)
    weights = _cubic(stretch * (centre[:, None] - positions))
    weights /= weights.sum(axis=1, keepdims=True)
    return positions.clip(0, length - 1), weights


def _cubic(t: NDArray[np.float64]) -> NDArray[np.float64]:
    """Evaluate the cubic convolution kernel, a = -1/2 (Keys 1981, doi 10.1109/TASSP.1981.1163711, eq. 15)."""
    t = np.abs(t)
    near = (1.5 * t - 2.5) * t**2 + 1.0
    far = ((-0.5 * t + 2.5) * t - 4.0) * t + 2.0
    return np.where(t <= 1, near, np.where(t <= 2, far, 0.0))


def _scaled(length: int, scale: float) -> int:
    """Return how many pixels `length` becomes."""
    if not (scale > 0 and math.isfinite(scale)):
        raise InputError(f"a scale must be above 0, got {scale:g}")
    # The product of e.g. 0.1 and 30 is a hair above 3: not a fourth pixel.
    return math.ceil(round(length * scale, 9))


def _to_levels(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Round to the nearest of 256 levels, halves up."""
    return np.floor(values.clip(0, 255) + 0.5)
