"""The JPEG round trip: what a picture looks like after being saved and opened again."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from blindsr.degradation.backend import (
    Array,
    arange,
    check_batch,
    concat,
    constant,
    floor,
    full_precision,
    stack,
    to_float,
)
from blindsr.errors import InputError

# Quantisation tables of ITU-T T.81, Annex K, tables K.1 and K.2.
_LUMA_TABLE = np.array(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ]
)
_CHROMA_TABLE = np.array(
    [
        [17, 18, 24, 47, 99, 99, 99, 99],
        [18, 21, 26, 66, 99, 99, 99, 99],
        [24, 26, 56, 99, 99, 99, 99, 99],
        [47, 66, 99, 99, 99, 99, 99, 99],
        [99, 99, 99, 99, 99, 99, 99, 99],
        [99, 99, 99, 99, 99, 99, 99, 99],
        [99, 99, 99, 99, 99, 99, 99, 99],
        [99, 99, 99, 99, 99, 99, 99, 99],
    ]
)
SUBSAMPLINGS = ("420", "444")
_FIXED = 2.0**-16


def jpeg(x: Array, quality: int, subsampling: str = "420") -> Array:
    """Compress and decompress a batch as a baseline JPEG.

    Colours, chroma averaging and interpolation are done in whole levels, as decoders do, so they are the same
    on every backend; only the cosine transform rounds. Quantising is discontinuous: where a coefficient lies
    within float32's accuracy of a threshold, two devices may choose differently for that block.

    Args:
        x: batch, (N, 3, H, W), float32 RGB; it is clipped to [0, 1] and rounded to 8 bits first.
        quality: 1 (worst) to 100, scaling the tables as the Independent JPEG Group's encoder does.
        subsampling: "420" halves the chroma on both axes, "444" keeps it.

    Returns:
        Batch, same shape; every value is a multiple of 1/255.

    Raises:
        InputError: the batch, the quality or the subsampling is none of these.
    """
    check_batch(x, channels=3)
    luma_table, chroma_table = quantisation_tables(quality)
    if subsampling not in SUBSAMPLINGS:
        raise InputError(f"JPEG subsampling must be one of {', '.join(SUBSAMPLINGS)}, got {subsampling!r}")
    with full_precision(x):
        luma, chroma = (
            tuple(constant(matrix, x) for matrix in block_transforms(table))
            for table in (luma_table, chroma_table)
        )
        return round_trip(x, luma, chroma, subsampling)


def round_trip(
    x: Array, luma: tuple[Array, ...], chroma: tuple[Array, ...], subsampling: str = "420"
) -> Array:
    """Take a batch through JPEG by the given transforms of its blocks.

    Args:
        x: batch, (N, 3, H, W), as in `jpeg`.
        luma: the two matrices of `block_transforms`, where `x` lives: (64, 64), or (N, 64, 64) if each image
            has its own.
        chroma: likewise; (2N, 64, 64) if each image has its own: those for Cb, then those for Cr.
        subsampling: as in `jpeg`.

    Returns:
        Batch, same shape; every value is a multiple of 1/255.
    """
    height, width = x.shape[2:]
    levels = floor(x.clip(0.0, 1.0) * 255.0 + 0.5)  # (N, 3, H, W)
    red, green, blue = levels[:, 0], levels[:, 1], levels[:, 2]
    # JFIF's matrix (BT.601, full range) in 16-bit fixed point: whole numbers below 2^24 are exact in
    # float32, in whatever order they are added. 8421375 is 128.5 less one step: halves round down.
    y = floor((19595 * red + 38470 * green + 7471 * blue + 32768) * _FIXED)
    cb = floor((32768 * blue - 11059 * red - 21709 * green + 8421375) * _FIXED)
    cr = floor((32768 * red - 27439 * green - 5329 * blue + 8421375) * _FIXED)

    y = _quantise(y, *luma)
    colours = concat([cb, cr], axis=0)  # (2N, H, W)
    if subsampling == "420":
        # Encoders repeat the last column before averaging; decoders cut it before interpolating.
        halved = _quantise(_halve(_extend(colours, 2, -width % 16)), *chroma)
        colours = _double(halved[:, :, : (width + 1) // 2])[:, :height, :width]
    else:
        colours = _quantise(colours, *chroma)
    cb, cr = colours[: x.shape[0]] - 128, colours[x.shape[0] :] - 128

    red = y + floor((91881 * cr + 32768) * _FIXED)
    green = y + floor((32768 - 22554 * cb - 46802 * cr) * _FIXED)
    blue = y + floor((116130 * cb + 32768) * _FIXED)
    result: Array = stack([red, green, blue], axis=1).clip(0.0, 255.0) / 255.0
    return result


def quantisation_tables(quality: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the luma and chroma tables for a quality.

    Args:
        quality: 1 to 100.

    Returns:
        Two tables, (8, 8), values 1..255, in the order of the frequencies (not zigzag).

    Raises:
        InputError: the quality is not a whole number from 1 to 100.
    """
    if isinstance(quality, bool) or not isinstance(quality, (int, np.integer)) or not 1 <= quality <= 100:
        raise InputError(f"a JPEG quality must be a whole number from 1 to 100, got {quality!r}")
    percent = 5000 // int(quality) if quality < 50 else 200 - 2 * int(quality)
    scaled = [((table * percent + 50) // 100).clip(1, 255) for table in (_LUMA_TABLE, _CHROMA_TABLE)]
    return scaled[0], scaled[1]


def _dct_matrix() -> NDArray[np.float64]:
    """Return the matrix that takes a flattened 8x8 block to its DCT coefficients (T.81, A.3.3): (64, 64)."""
    k, n = np.mgrid[:8, :8]
    basis = np.cos((2 * n + 1) * k * math.pi / 16) / 2
    basis[0] /= math.sqrt(2)
    return np.kron(basis, basis)


_DCT = _dct_matrix()


def block_transforms(table: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the cosine transform of a flattened 8x8 block in units of quantisation steps, and its inverse.

    Args:
        table: the steps, (8, 8), as in `quantisation_tables`.

    Returns:
        Two matrices, (64, 64), that a block as a row is multiplied by: `((block - 128) @ forward).round() @
        backward` is what JPEG leaves of it.
    """
    steps = table.reshape(1, 64).astype(np.float64)
    # Exact ties are common (the mean of a block is a multiple of 1/8). A nudge larger than float32's error
    # sends them away from zero, as encoders do, instead of wherever this device's order of summation would.
    return _DCT.T * ((1 + 2e-5) / steps), steps.T * _DCT


def _quantise(plane: Array, forward: Array, backward: Array) -> Array:
    """Take (N, h, w) levels through the blocks' quantised cosine transform and back.

    `forward` and `backward` are (64, 64), or (N, 64, 64) if each image has its own.
    """
    count, height, width = plane.shape
    padded = _extend(_extend(plane, 1, -height % 8), 2, -width % 8)
    high, wide = padded.shape[1] // 8, padded.shape[2] // 8
    blocks = padded.reshape(count, high, 8, wide, 8).swapaxes(2, 3)
    blocks = blocks.reshape(-1, 64) if forward.ndim == 2 else blocks.reshape(count, -1, 64)
    restored = ((blocks - 128.0) @ forward).round() @ backward
    pixels = floor((restored + (128.5 + 5e-4)).clip(0.0, 255.5))
    joined: Array = pixels.reshape(count, high, wide, 8, 8).swapaxes(2, 3).reshape(count, 8 * high, 8 * wide)
    return joined[:, :height, :width]


def _extend(plane: Array, axis: int, extra: int) -> Array:
    """Repeat the last line of (N, h, w) along an axis."""
    if extra == 0:
        return plane
    last: Array = plane[:, -1:] if axis == 1 else plane[:, :, -1:]
    return concat([plane] + [last] * extra, axis=axis)


def _halve(plane: Array) -> Array:
    """Average 2x2 levels: (N, h, w) to (N, ceil(h / 2), ceil(w / 2))."""
    plane = _extend(_extend(plane, 1, plane.shape[1] % 2), 2, plane.shape[2] % 2)
    tall = plane[:, ::2] + plane[:, 1::2]
    total = tall[:, :, ::2] + tall[:, :, 1::2]
    # Odd columns round halves up and even ones down, so the mean stays free of bias.
    bias = to_float(arange(total.shape[2], total) % 2) + 1.0
    return floor((total + bias) * 0.25)


def _double(plane: Array) -> Array:
    """Interpolate levels by two on both axes with a triangle filter: (N, h, w) to (N, 2h, 2w)."""
    count, height, width = plane.shape
    before = concat([plane[:, :1], plane[:, :-1]], axis=1)
    after = concat([plane[:, 1:], plane[:, -1:]], axis=1)
    tall = stack([3 * plane + before, 3 * plane + after], axis=2).reshape(count, 2 * height, width)
    before = concat([tall[:, :, :1], tall[:, :, :-1]], axis=2)
    after = concat([tall[:, :, 1:], tall[:, :, -1:]], axis=2)
    both = stack([3 * tall + before + 8, 3 * tall + after + 7], axis=3)
    doubled: Array = floor(both * 0.0625).reshape(count, 2 * height, 2 * width)
    return doubled
