"""Where texture is added: a gray picture of any size, laid over the photo."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from blindsr.picture import Limits, open_photo

__all__ = ["MOST_PIXELS", "TextureMask", "read_mask"]

MOST_PIXELS = 1 << 24
"""Of a mask: it is smooth between its pixels, so none needs to be as fine as a photo."""


class TextureMask:
    """How much of the texture that was asked for each place gets: 0 none of it, 1 all.

    Nothing in it changes, so threads may share one.

    Args:
        levels: (h, w), uint8; 255 is 1. It is stretched over the upright photo, whatever its size.

    Example:
        >>> mask = TextureMask(np.array([[0, 255]], np.uint8))
        >>> mask.weights(slice(0, 1), slice(0, 4), height=1, width=4)
        array([[0.  , 0.25, 0.75, 1.  ]], dtype=float32)
    """

    def __init__(self, levels: NDArray[np.uint8]) -> None:
        self._levels = levels

    def weights(self, rows: slice, columns: slice, *, height: int, width: int) -> NDArray[np.float32]:
        """The mask where some pixels of the result lie, interpolated linearly.

        Args:
            rows: Of the result.
            columns: Of the result.
            height: Rows of the whole result.
            width: Columns of the whole result.

        Returns:
            (rows, columns), in [0, 1]; of each place the same, whichever pixels are asked for with it.
        """
        above, below, down = _between(rows, self._levels.shape[0] / height, self._levels.shape[0])
        left, right, along = _between(columns, self._levels.shape[1] / width, self._levels.shape[1])
        lines = (self._levels[line].astype(np.float32) / np.float32(255) for line in (above, below))
        upper, lower = (line[:, left] * (1 - along) + line[:, right] * along for line in lines)
        return (upper * (1 - down[:, None]) + lower * down[:, None]).astype(np.float32, copy=False)


def read_mask(path: Path) -> TextureMask:
    """A mask from a picture's file: white is 1, black 0; colours count by their mean, alpha not at all.

    Args:
        path: The file.

    Raises:
        InputError: As `open_photo`; or it has more than `MOST_PIXELS`.
    """
    with open_photo(path, Limits(MOST_PIXELS)) as photo:
        levels = np.empty((photo.height, photo.width), np.uint8)
        for rows, (pixels, _) in photo.chunks():
            levels[rows] = (pixels.mean(axis=2) * 255 + 0.5).astype(np.uint8)
    return TextureMask(levels)


def _between(
    places: slice, step: float, count: int
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]:
    """Of each place the two samples that it lies between, and how far it is from the first."""
    at = ((np.arange(places.start, places.stop) + 0.5) * step - 0.5).clip(0, count - 1)
    first = np.floor(at).astype(np.intp)
    return first, np.minimum(first + 1, count - 1), (at - first).astype(np.float32)
