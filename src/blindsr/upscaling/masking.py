"""Where the texture view has its say: a gray picture that a user paints, or any other program makes."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blindsr.picture import Limits, Picture
from blindsr.picture.decoding import open_photo
from blindsr.picture.encoded import is_encoded
from blindsr.picture.inputs import Photograph, as_picture
from blindsr.picture.photo import Photo
from blindsr.picture.resampling import contributions, linear
from blindsr.upscaling.tiling import Box

LARGEST_MASK = 1 << 26
"""Pixels: a mask is held in memory, and needs no finer lines than a brush draws."""

_AT_ONCE = 1 << 20  # pixels of it that are read at once


class TextureMask:
    """How much of the texture goes where: all of it under white, none under black.

    It lies over the whole result, whatever its own size: it is resized to that, so one that was painted on
    the small photo will do. Of colours the mean counts; what is transparent is black.

    Args:
        picture: The mask.

    Example:
        >>> levels = np.zeros((2, 4, 1), np.float32)
        >>> levels[:, 2:] = 1
        >>> mask = TextureMask(Picture(levels))
        >>> mask.window(Box(0, 1, 0, 8), height=4, width=8).tolist()
        [[0.0, 0.0, 0.0, 0.25, 0.75, 1.0, 1.0, 1.0]]
    """

    def __init__(self, picture: Picture | Photo) -> None:
        # Eight bits are what a mask is painted in; held so, and read in parts, it takes little memory.
        self._levels = np.empty((picture.height, picture.width), np.uint8)
        rows = max(1, _AT_ONCE // picture.width)
        for top in range(0, picture.height, rows):
            part = slice(top, min(top + rows, picture.height))
            pixels, alpha = picture.window(part, slice(0, picture.width))
            shares = pixels.mean(axis=2)
            self._levels[part] = np.round((shares if alpha is None else shares * alpha) * 255)

    @staticmethod
    def read(image: TextureMask | Photograph | NDArray[Any], limits: Limits | None = None) -> TextureMask:
        """A mask of any form: a file, an array or a picture, as in `blindsr.read`; or one that is read.

        Args:
            image: The mask.
            limits: What decoding may take; 67 million pixels are the most in any case.

        Raises:
            InputError: It cannot be read.
        """
        if isinstance(image, TextureMask):
            return image
        limits = limits or Limits()
        limits = replace(limits, pixels=min(limits.pixels, LARGEST_MASK))
        if is_encoded(image):
            with open_photo(image, limits) as photo:
                return TextureMask(photo)
        return TextureMask(as_picture(image, limits))

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
