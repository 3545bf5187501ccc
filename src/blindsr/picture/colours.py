"""What a network sees of a picture: three colours everywhere, also where the picture is transparent."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from blindsr.picture.photo import Photo, Picture, as_rgb
from blindsr.picture.rim import reflected


class Colours:
    """A picture's colours for the network, a window at a time: gray thrice, none that are not there.

    What a file holds under transparent pixels is arbitrary, often black or what the shape was cut from, and
    the network would sharpen and spread it as a fringe. So the visible colours are continued there: from a
    pyramid of averages weighted by alpha each pixel takes, on every level, its own colour as far as it is as
    opaque as its neighbours, and that of the level above for the rest. A shape's inside, half transparent or
    not, keeps its colours. The pyramid's fine levels are made for the window alone, the coarse ones once.

    Attributes:
        picture: The picture.
        opacity: Alpha of all pixels, where it is the same everywhere; None where it is not, or there is none.
    """

    _LEVELS = 3  # of the pyramid that are made for a window

    def __init__(self, picture: Picture | Photo) -> None:
        self.picture = picture
        self.opacity: float | None = None
        self._coarse: NDArray[np.float32] | None = None
        if not picture.has_alpha:
            return
        least, most, block = 1.0, 0.0, 1 << self._LEVELS
        rows = block * max(1, (1 << 18) // (block * picture.width))
        parts = []
        for top in range(0, picture.height, rows):
            part = slice(top, min(top + rows, picture.height))
            pixels, alpha = picture.window(part, slice(0, picture.width))
            assert alpha is not None
            least, most = min(least, float(alpha.min())), max(most, float(alpha.max()))
            for _ in range(self._LEVELS):
                pixels, alpha = _halve(pixels, alpha)
            parts.append(np.concatenate([pixels, alpha[:, :, None]], axis=2))
        if least == most:
            self.opacity = least
        if least < most:
            coarse = np.concatenate(parts)
            self._coarse = _continue_colours(coarse[:, :, :-1], coarse[:, :, -1])

    def window(self, rows: slice, columns: slice) -> NDArray[np.float32]:
        """What is seen in a window, (h, w, 3), which may reach beyond the picture: there it is reflected.

        Args:
            rows: Start and stop; the picture's first row is 0, and what lies above it below 0.
            columns: The same.
        """
        parts, sides = (rows, columns), (self.picture.height, self.picture.width)
        places = [reflected(part.start, part.stop, side) for part, side in zip(parts, sides, strict=True)]
        inside = [slice(int(at.min()), int(at.max()) + 1) for at in places]
        pixels = self._inside(*inside)
        for axis, at in enumerate(places):
            if inside[axis] != parts[axis]:
                pixels = pixels.take(at - inside[axis].start, axis)
        return as_rgb(pixels)

    def _inside(self, rows: slice, columns: slice) -> NDArray[np.float32]:
        """Colours of a part of the picture, (h, w, 3 or 1)."""
        if self._coarse is None:
            pixels, _ = self.picture.window(rows, columns)
        else:
            block = 1 << self._LEVELS
            inside = []
            for part, side in ((rows, self.picture.height), (columns, self.picture.width)):
                # A block more on each side: neighbours on all levels are looked at.
                start = max(0, part.start // block - 1) * block
                inside.append(slice(start, min((-(-part.stop // block) + 1) * block, side)))
            pixels, alpha = self.picture.window(inside[0], inside[1])
            assert alpha is not None
            above = self._coarse[tuple(slice(p.start // block, -(-p.stop // block)) for p in inside)]
            pixels = _continue_colours(pixels, alpha, above, self._LEVELS)
            top, left = rows.start - inside[0].start, columns.start - inside[1].start
            pixels = pixels[top : top + rows.stop - rows.start, left : left + columns.stop - columns.start]
        return pixels


def _halve(
    pixels: NDArray[np.float32], alpha: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Averages over 2x2 blocks: of the colours, weighted by alpha, and of alpha."""
    height, width, channels = pixels.shape
    padding = ((0, height % 2), (0, width % 2), (0, 0))
    weighted = np.concatenate([pixels * alpha[:, :, None], alpha[:, :, None]], axis=2)
    blocks = np.pad(weighted, padding).reshape((height + 1) // 2, 2, (width + 1) // 2, 2, channels + 1)
    coarse = blocks.sum(axis=(1, 3)) / 4
    weight = coarse[:, :, channels]
    return coarse[:, :, :channels] / np.where(weight > 0, weight, 1)[:, :, None], weight


def _continue_colours(
    pixels: NDArray[np.float32],
    alpha: NDArray[np.float32],
    coarse: NDArray[np.float32] | None = None,
    levels: int | None = None,
) -> NDArray[np.float32]:
    """Colours, (h, w, C), also where there were none; `coarse`: those `levels` halvings up, if known."""
    if levels == 0:
        assert coarse is not None
        return coarse
    height, width = alpha.shape
    if (height, width) == (1, 1):
        return pixels
    above = _continue_colours(*_halve(pixels, alpha), coarse, None if levels is None else levels - 1)
    finer = above.repeat(2, axis=0).repeat(2, axis=1)[:height, :width]
    most = alpha
    for axis in (0, 1):
        padding = [(0, 0), (0, 0)]
        padding[axis] = (1, 1)
        wide, side = np.pad(most, padding), alpha.shape[axis]
        most = np.maximum.reduce([wide.take(range(i, i + side), axis) for i in range(3)])
    own = np.where(most > 0, alpha / np.where(most > 0, most, 1), 0)[:, :, None]
    return np.where(own == 1, pixels, finer + own * (pixels - finer)).astype(np.float32, copy=False)
