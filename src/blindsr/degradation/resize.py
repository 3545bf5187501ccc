"""Resizing as MATLAB's imresize does it: antialiased when shrinking, edges repeated at the borders.

Releases of MATLAB differ at the borders: the one that made the field's benchmark files repeats the edge,
later ones mirror. This follows the benchmark files.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from blindsr.degradation.backend import Array, apply_separable, check_batch, full_precision
from blindsr.errors import InputError
from blindsr.picture.resampling import contributions, cubic, linear

#: Ways of resizing: the mean over the area that becomes a pixel, the triangle, the cubic of Keys (a = -0.5).
FILTERS = ("area", "bilinear", "bicubic")


def resize(
    x: Array,
    size: tuple[int, int] | None = None,
    *,
    scale: float | None = None,
    filter: Literal["area", "bilinear", "bicubic"] = "bicubic",
) -> Array:
    """Resize a batch, as MATLAB's `imresize` does.

    When shrinking, the kernel is stretched by the inverse scale (antialiasing). Values may leave [0, 1] by
    the kernel's overshoot; nothing is clipped.

    Args:
        x: batch, (N, C, H, W), float32 RGB in [0, 1].
        size: (height, width) wanted, in pixels.
        scale: instead of `size`: the factor for both sides; a side of n pixels becomes ceil(n * scale).
        filter: one of `FILTERS`.

    Returns:
        Batch, (N, C, height, width).

    Raises:
        InputError: neither or both of `size` and `scale` are given, they are not positive, or the filter is
            none of these.
    """
    check_batch(x)
    height, width = x.shape[2:]
    if (size is None) == (scale is None):
        raise InputError("resize needs either a size or a scale")
    if scale is not None:
        rows, columns = _scaled(height, scale), _scaled(width, scale)
        down, across = (
            resize_matrix(height, rows, scale, filter),
            resize_matrix(width, columns, scale, filter),
        )
    else:
        assert size is not None
        down, across = (
            resize_matrix(height, size[0], None, filter),
            resize_matrix(width, size[1], None, filter),
        )
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


def resize_matrix(
    length: int, out: int, scale: float | None = None, filter: str = "bicubic"
) -> NDArray[np.float64]:
    """Return the matrix that resizes a line of pixels.

    Args:
        length: pixels in the line.
        out: pixels wanted.
        scale: the exact factor where `out` was rounded from it; None takes out / length.
        filter: one of `FILTERS`.

    Returns:
        Matrix, (out, length); every row sums to 1.

    Raises:
        InputError: a length is not positive, or there is no such filter.
    """
    if length < 1 or out < 1:
        raise InputError(f"cannot resize {length} pixels to {out}: both must be at least 1")
    if filter not in FILTERS:
        raise InputError(f"a resizing filter must be one of {', '.join(FILTERS)}, got {filter!r}")
    scale = out / length if scale is None else scale
    if filter == "area":
        return _area_matrix(length, out, scale)
    positions, weights = contributions(length, out, scale, cubic if filter == "bicubic" else linear)
    matrix = np.zeros((out, length))
    # At the borders several positions name the same pixel, so their weights must add up.
    np.add.at(matrix, (np.arange(out)[:, None], positions), weights)
    return matrix


def _area_matrix(length: int, out: int, scale: float) -> NDArray[np.float64]:
    """Return the matrix whose rows are how much of each pixel lies in the stretch that becomes a pixel."""
    edges = np.minimum(np.arange(out + 1) / scale, length)
    pixels = np.arange(length)
    shares = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    shares = shares.clip(0.0, None)
    return np.asarray(shares / shares.sum(axis=1, keepdims=True), dtype=np.float64)


def _scaled(length: int, scale: float) -> int:
    """Return how many pixels `length` becomes."""
    if not (scale > 0 and math.isfinite(scale)):
        raise InputError(f"a scale must be above 0, got {scale:g}")
    # The product of e.g. 0.1 and 30 is a hair above 3: not a fourth pixel.
    return math.ceil(round(length * scale, 9))


def _to_levels(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Round to the nearest of 256 levels, halves up."""
    return np.floor(values.clip(0, 255) + 0.5)
