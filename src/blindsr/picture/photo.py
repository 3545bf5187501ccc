"""A picture with all that a photo carries, whole in memory or as it was decoded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blindsr.picture.samples import Samples

Window = tuple[NDArray[np.float32], "NDArray[np.float32] | None"]
"""Pixels (h, w, 3 or 1) and alpha (h, w) or None, in [0, 1]."""


@dataclass(frozen=True, eq=False)
class Picture:
    """Pixels and what belongs to them.

    Args:
        pixels: (H, W, 3) RGB or (H, W, 1) gray, float32 in [0, 1], in the colour space of `icc`.
        alpha: Opacity, (H, W) float32 in [0, 1], not multiplied into the pixels; None when opaque.
        bit_depth: 8, 10, 12 or 16: the precision of the file it came from, and of the file it is written to
            where that can hold it.
        icc: ICC profile; None means sRGB.
        exif: EXIF block (a TIFF structure, without JPEG's "Exif" prefix); its orientation is always 1.
        xmp: XMP packet.
        dpi: Horizontal and vertical resolution, pixels per inch.
    """

    pixels: NDArray[np.float32]
    alpha: NDArray[np.float32] | None = None
    bit_depth: int = 8
    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    dpi: tuple[float, float] | None = None

    @property
    def height(self) -> int:
        """Rows of pixels."""
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        """Columns of pixels."""
        return int(self.pixels.shape[1])

    @property
    def gray(self) -> bool:
        """Whether there is one channel instead of three."""
        return int(self.pixels.shape[2]) == 1

    @property
    def has_alpha(self) -> bool:
        """Whether there is an alpha channel."""
        return self.alpha is not None

    def window(self, rows: slice, columns: slice) -> Window:
        """A part of the picture; not to be written to."""
        return self.pixels[rows, columns], None if self.alpha is None else self.alpha[rows, columns]


@dataclass(frozen=True, eq=False)
class Photo:
    """A decoded photo, its samples as the file has them, in memory or on disk: read a part at a time.

    Close it, or use it as a context manager.

    Args:
        samples: The samples, upright; colours first, then alpha.
        gray: Whether the first band is all the colour there is.
        alpha_band: Where alpha is; None when opaque.
        white: The sample that means 1.
        bit_depth: As in `Picture`, like the rest.
    """

    samples: Samples
    gray: bool
    alpha_band: int | None
    white: float
    bit_depth: int = 8
    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    dpi: tuple[float, float] | None = None

    @property
    def height(self) -> int:
        """Rows of pixels."""
        return self.samples.height

    @property
    def width(self) -> int:
        """Columns of pixels."""
        return self.samples.width

    @property
    def has_alpha(self) -> bool:
        """Whether there is an alpha channel."""
        return self.alpha_band is not None

    def window(self, rows: slice, columns: slice) -> Window:
        """A part of the photo.

        Args:
            rows: Start and stop, within the photo.
            columns: Start and stop, within the photo.

        Returns:
            Pixels (h, w, 3 or 1) and alpha (h, w) or None, float32 in [0, 1].
        """
        return self._to_float(self.samples.window(rows, columns))

    def chunks(self) -> Iterator[tuple[slice, Window]]:
        """The photo from top to bottom, some rows at a time."""
        for rows, levels in self.samples.chunks():
            yield rows, self._to_float(levels)

    def picture(self) -> Picture:
        """The whole photo in memory."""
        pixels = np.empty((self.height, self.width, 1 if self.gray else 3), np.float32)
        alpha = np.empty(pixels.shape[:2], np.float32) if self.has_alpha else None
        for rows, (colours, opacity) in self.chunks():
            pixels[rows] = colours
            if alpha is not None:
                alpha[rows] = opacity
        return Picture(pixels, alpha, self.bit_depth, self.icc, self.exif, self.xmp, self.dpi)

    def close(self) -> None:
        """Give its memory, or its file on disk, back."""
        self.samples.close()

    def __enter__(self) -> Photo:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _to_float(self, levels: NDArray[Any]) -> Window:
        bands = 1 if self.gray else 3
        pixels: NDArray[np.float32] = np.divide(levels[:, :, :bands], self.white, dtype=np.float32)
        alpha = None
        if self.alpha_band is not None:
            alpha = np.divide(levels[:, :, self.alpha_band], self.white, dtype=np.float32)
        if self.samples.dtype.kind == "f":
            pixels, alpha = pixels.clip(0, 1), None if alpha is None else alpha.clip(0, 1)
        return pixels, alpha
