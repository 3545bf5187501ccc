"""NumPy arrays as pictures, and pictures as arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blindsr.errors import InputError
from blindsr.picture.decoding import read
from blindsr.picture.encoding import quantise
from blindsr.picture.photo import Picture


def as_picture(image: str | Path | Picture | NDArray[Any]) -> Picture:
    """Whatever was given, as a picture."""
    if isinstance(image, Picture):
        return image
    if not isinstance(image, np.ndarray):
        return read(image)
    if image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] not in (1, 3, 4)) or 0 in image.shape:
        raise InputError(f"array of shape {image.shape}: give (H, W), (H, W, 1), (H, W, 3) or (H, W, 4)")
    array = image.reshape(*image.shape[:2], -1)
    if array.dtype in (np.uint8, np.uint16):
        array = array / np.float32(np.iinfo(array.dtype).max)
    elif not np.issubdtype(array.dtype, np.floating):
        raise InputError(f"array of {image.dtype}: give uint8, uint16, or floating point in [0, 1]")
    elif not (np.isfinite(array).all() and array.min() >= -1e-3 and array.max() <= 1 + 1e-3):
        raise InputError("array of floating point: every value must be in [0, 1]")
    array = np.clip(array, 0, 1, dtype=np.float32)
    if array.shape[2] == 4:
        return Picture(array[:, :, :3], alpha=array[:, :, 3])
    return Picture(array)


def as_array(
    pixels: NDArray[np.float32], alpha: NDArray[np.float32] | None, like: NDArray[Any]
) -> NDArray[Any]:
    """Pixels in the dtype and the channels of the array that was given."""
    if alpha is not None:
        pixels = np.concatenate([pixels, alpha[:, :, None]], axis=2)
    if like.ndim == 2:
        pixels = pixels[:, :, 0]
    if like.dtype in (np.uint8, np.uint16):
        return quantise(pixels, 8 * like.dtype.itemsize)
    return pixels.astype(like.dtype, copy=False)
