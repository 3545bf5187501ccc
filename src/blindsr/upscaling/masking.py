"""Where the texture view has its say: a gray picture that a user paints, or any other program makes."""

from __future__ import annotations

import hashlib
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blindsr.picture import Limits, open_photo
from blindsr.picture.encoded import is_encoded
from blindsr.picture.inputs import Photograph, as_picture
from blindsr.picture.resampling import contributions, linear
from blindsr.upscaling.tiling import Box

MOST_PIXELS = 1 << 24
"""Of a mask: it is smooth between its pixels, so none needs to be as fine as a photo."""


class TextureMask:
    """How much of the texture goes where: all of it under white, none under black.

    It lies over the whole result, whatever its own size: it is stretched over that, smoothly, so one that was
    painted on the small photo will do. Nothing in it changes, so threads may share one.

    Args:
        levels: (h, w), uint8; 255 is white.

    Example:
        >>> mask = TextureMask(np.array([[0, 0, 255, 255]], np.uint8))
        >>> mask.window(Box(0, 1, 0, 8), height=4, width=8).tolist()
        [[0.0, 0.0, 0.0, 0.25, 0.75, 1.0, 1.0, 1.0]]
    """

    def __init__(self, levels: NDArray[np.uint8]) -> None:
        self._levels = levels

    @staticmethod
    def read(image: TextureMask | Photograph | NDArray[Any]) -> TextureMask:
        """A mask of any form: a file, an array or a picture, as in `blindsr.read`; or one that is read.

        Of colours the mean counts; what is transparent is black.

        Raises:
            InputError: It cannot be read, or has more than `MOST_PIXELS`.
        """
        if isinstance(image, TextureMask):
            return image
        limits = Limits(pixels=MOST_PIXELS)
        if not is_encoded(image):
            picture = as_picture(image, limits)
            return TextureMask(_in_eight_bits(picture.pixels, picture.alpha))
        with open_photo(image, limits) as photo:
            levels = np.empty((photo.height, photo.width), np.uint8)
            for rows, (pixels, alpha) in photo.chunks():
                levels[rows] = _in_eight_bits(pixels, alpha)
        return TextureMask(levels)

    @cached_property
    def digest(self) -> str:
        """Stands for what it does, hexadecimal."""
        return hashlib.sha256(str(self._levels.shape).encode() + self._levels.tobytes()).hexdigest()

    def window(self, box: Box, height: int, width: int) -> NDArray[np.float32]:
        """The shares of a part of a result.

        Args:
            box: The part, in the result's pixels.
            height: Of the whole result.
            width: Of the whole result.

        Returns:
            (h, w) in [0, 1]; they do not depend on how the result is cut.
        """
        rows = _resized(self._levels, 0, height, box.slices[0])
        shares = _resized(rows, 1, width, box.slices[1]).astype(np.float32) / np.float32(255)
        return shares.clip(0, 1)


def _in_eight_bits(pixels: NDArray[np.float32], alpha: NDArray[np.float32] | None) -> NDArray[np.uint8]:
    """What a mask is painted in, and takes least memory in."""
    shares = pixels.mean(axis=2) if alpha is None else pixels.mean(axis=2) * alpha
    return np.asarray(np.round(shares * 255), np.uint8)


def _resized(levels: NDArray[Any], axis: int, out: int, part: slice) -> NDArray[Any]:
    """A part of an axis with so many outputs: each is the same sum of taps, wherever the part begins."""
    length = levels.shape[axis]
    if length == out:
        return levels[part] if axis == 0 else levels[:, part]
    positions, weights = contributions(length, out, out / length, linear)
    positions, weights = positions[part], weights[part].astype(np.float32)
    total: NDArray[Any] | None = None
    for places, factors in zip(positions.T, weights.T, strict=True):
        taken = levels.take(places, axis) * np.expand_dims(factors, 1 - axis)
        total = taken if total is None else total + taken
    assert total is not None
    return total
