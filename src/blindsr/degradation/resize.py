"""Bicubic resizing as MATLAB's imresize does it: antialiased when shrinking, edges repeated at the borders.

Releases of MATLAB differ at the borders: the one that made the field's benchmark files repeats the edge,
later ones mirror. This follows the benchmark files.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from blindsr.degradation.backend import Array, apply_separable, check_batch, full_precision
from blindsr.errors import InputError
from blindsr.resampling import contributions


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
    positions, weights = contributions(length, out, out / length if scale is None else scale)
    matrix = np.zeros((out, length))
    # At the borders several positions name the same pixel, so their weights must add up.
    np.add.at(matrix, (np.arange(out)[:, None], positions), weights)
    return matrix


def _scaled(length: int, scale: float) -> int:
    """Return how many pixels `length` becomes."""
    if not (scale > 0 and math.isfinite(scale)):
        raise InputError(f"a scale must be above 0, got {scale:g}")
    # The product of e.g. 0.1 and 30 is a hair above 3: not a fourth pixel.
    return math.ceil(round(length * scale, 9))


def _to_levels(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Round to the nearest of 256 levels, halves up."""
    return np.floor(values.clip(0, 255) + 0.5)
