"""NumPy arrays as pictures, and pictures as arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from blindsr.errors import InputError
from blindsr.picture.encoding import quantise
from blindsr.picture.photo import Picture

_SLACK = 1e-3
"""How far floating point may leave [0, 1]: as far as float16 and the arithmetic of others round."""


def of_array(array: NDArray[Any]) -> Picture:
    """An array as a picture; the array stays as it is.

    Args:
        array: (H, W) or (H, W, 1) gray, (H, W, 2) gray and alpha, (H, W, 3) RGB or (H, W, 4) RGBA of uint8,
            uint16, or floating point in [0, 1]; of any strides and byte order.

    Raises:
        InputError: It is of another shape or type, or leaves [0, 1].
    """
    shape = array.shape
    if array.ndim not in (2, 3) or (array.ndim == 3 and shape[2] not in (1, 2, 3, 4)) or 0 in shape:
        raise InputError(
            f"array of shape {shape}: give (H, W), (H, W, 1), (H, W, 2), (H, W, 3) or (H, W, 4), not empty"
        )
    samples = array.reshape(*shape[:2], -1)
    white = _white(array.dtype)
    if white is None and not _in_unit_range(samples):
        raise InputError("array of floating point: every value must be in [0, 1]")
    unit = samples.astype(np.float32)  # a copy of its own, in this machine's byte order
    unit /= np.float32(white or 1)
    unit.clip(0, 1, out=unit)
    colours = 1 if unit.shape[2] < 3 else 3
    alpha = unit[:, :, colours] if unit.shape[2] > colours else None
    return Picture(unit[:, :, :colours], alpha=alpha, bit_depth=8 if white == 255 else 16)


def to_array(picture: Picture, dtype: DTypeLike) -> NDArray[Any]:
    """As `Picture.to_array`."""
    array = _as_type(picture.pixels, picture.alpha, np.dtype(dtype))
    return array[:, :, 0] if array.shape[2] == 1 else array


def as_array(
    pixels: NDArray[np.float32], alpha: NDArray[np.float32] | None, like: NDArray[Any]
) -> NDArray[Any]:
    """Pixels in the dtype and the channels of the array that was given."""
    array = _as_type(pixels, alpha, like.dtype)
    return array[:, :, 0] if like.ndim == 2 else array


def _as_type(
    pixels: NDArray[np.float32], alpha: NDArray[np.float32] | None, dtype: np.dtype[Any]
) -> NDArray[Any]:
    """Pixels and alpha, (H, W, C), in a type that arrays may have."""
    white = _white(dtype)
    if alpha is not None:
        pixels = np.concatenate([pixels, alpha[:, :, None]], axis=2)
    levels: NDArray[Any] = pixels if white is None else quantise(pixels, 8 * dtype.itemsize)
    return levels.astype(dtype, copy=False)


def _white(dtype: np.dtype[Any]) -> int | None:
    """The level that means 1; None in floating point, where 1 does.

    Raises:
        InputError: Arrays of this type are none of pixels.
    """
    if dtype.kind == "u" and dtype.itemsize <= 2:
        return (1 << 8 * dtype.itemsize) - 1
    if dtype.kind == "f":
        return None
    raise InputError(f"array of {str(dtype)[:40]}: give uint8, uint16, or floating point in [0, 1]")


def _in_unit_range(samples: NDArray[Any]) -> bool:
    return bool(np.isfinite(samples).all() and samples.min() >= -_SLACK and samples.max() <= 1 + _SLACK)
