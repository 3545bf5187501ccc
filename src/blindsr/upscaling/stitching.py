"""How restored tiles become the result: placed as they are, or resized piece by piece."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from blindsr.picture import Picture
from blindsr.picture.colours import Colours
from blindsr.picture.resampling import Axis
from blindsr.picture.samples import Coverage
from blindsr.upscaling.tiling import Box


class Sink(Protocol):
    """What takes a result, box by box."""

    height: int
    width: int

    def place(
        self, top: int, left: int, pixels: NDArray[np.float32], alpha: NDArray[np.float32] | None
    ) -> None:
        """Take (h, w, C) pixels, which may leave [0, 1], and (h, w) alpha, if there is one."""
        ...


class Canvas:
    """A result in memory."""

    def __init__(self, like: Picture, height: int, width: int) -> None:
        self.height, self.width = height, width
        self.pixels = np.empty((height, width, 1 if like.gray else 3), np.float32)
        self.alpha = np.empty((height, width), np.float32) if like.has_alpha else None
        self._coverage = Coverage(height, width)

    def place(
        self, top: int, left: int, pixels: NDArray[np.float32], alpha: NDArray[np.float32] | None
    ) -> None:
        """Take a box; a ValueError tells of one that has other channels or leaves the result."""
        if pixels.ndim != 3 or pixels.shape[2] != self.pixels.shape[2]:
            raise ValueError(f"pixels of shape {pixels.shape} for a result of {self.pixels.shape}")
        self._coverage.add(top, left, *pixels.shape[:2])
        box = slice(top, top + pixels.shape[0]), slice(left, left + pixels.shape[1])
        np.clip(pixels, 0, 1, out=self.pixels[box])
        if self.alpha is not None:
            assert alpha is not None
            self.alpha[box] = alpha

    def finished(self) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        """Pixels (H, W, C) and alpha (H, W), if there is one, once all has been placed.

        Raises:
            ValueError: Something has not.
        """
        gap = self._coverage.gap()
        if gap is not None:
            raise ValueError(f"nothing was ever placed at row {gap[0]}, column {gap[1]} of the result")
        return self.pixels, self.alpha


class Below:
    """A part of a sink: a frame among those of an animation, which lie below each other."""

    def __init__(self, sink: Sink, top: int, height: int) -> None:
        self._sink, self._top = sink, top
        self.height, self.width = height, sink.width

    def place(
        self, top: int, left: int, pixels: NDArray[np.float32], alpha: NDArray[np.float32] | None
    ) -> None:
        """See `Sink.place`."""
        self._sink.place(self._top + top, left, pixels, alpha)


class TileWriter:
    """Hands restored tiles over as they are, each with its alpha.

    Alpha is a shape, not a degraded photo, so there is nothing to restore: it goes its own way.
    """

    def __init__(self, colours: Colours, sink: Sink) -> None:
        self._colours, self._sink = colours, sink
        picture = colours.picture
        self.down, self.across = Axis(picture.height, sink.height), Axis(picture.width, sink.width)

    def __call__(self, core: NDArray[np.float32], box: Box) -> None:
        """Take a tile's core, (C, h, w), that lies at a box of the result."""
        self._sink.place(box.top, box.left, core.transpose(1, 2, 0), self.alpha(box))

    def alpha(self, box: Box) -> NDArray[np.float32] | None:
        """Alpha of a box of the result, (h, w)."""
        if not self._colours.picture.has_alpha:
            return None
        if self._colours.opacity is not None:
            return np.full((box.bottom - box.top, box.right - box.left), self._colours.opacity, np.float32)
        rows = self.down.needed(box.top, box.bottom)
        columns = self.across.needed(box.left, box.right)
        _, alpha = self._colours.picture.window(slice(*rows), slice(*columns))
        assert alpha is not None
        wide = self.across.apply(alpha, columns, (box.left, box.right))
        return self.down.apply(wide.T, rows, (box.top, box.bottom)).T.clip(0, 1)


class ResizingWriter(TileWriter):
    """Resizes the restored picture, tile by tile, and hands rows over once nothing more is added to them.

    In the values as they are stored, not in linear light: the network takes a degraded photo for a shrunk one
    in these values, so shrinking its result back gives the photo's own brightness. Resizing is linear, so the
    tiles' shares add up to the resized whole.
    """

    def __init__(self, colours: Colours, scale: int, sink: Sink) -> None:
        super().__init__(colours, sink)
        picture = colours.picture
        self._rows = Axis(picture.height * scale, sink.height)
        self._columns = Axis(picture.width * scale, sink.width)
        self._top = 0  # first row of the sum
        self._sum = np.zeros((1 if picture.gray else 3, 0, sink.width), np.float32)

    def __call__(self, core: NDArray[np.float32], box: Box) -> None:
        """See `TileWriter.__call__`."""
        rows = self._rows.reached(box.top, box.bottom)
        columns = self._columns.reached(box.left, box.right)
        missing = rows[1] - self._top - self._sum.shape[1]
        if missing > 0:
            self._sum = np.pad(self._sum, ((0, 0), (0, missing), (0, 0)))
        wide = self._columns.apply(core.clip(0, 1), (box.left, box.right), columns)
        share = self._rows.apply(wide.transpose(0, 2, 1), (box.top, box.bottom), rows).transpose(0, 2, 1)
        self._sum[:, rows[0] - self._top : rows[1] - self._top, slice(*columns)] += share
        if box.right == self._columns.length:  # the last tile of its row
            following, _ = self._rows.reached(box.bottom, box.bottom + 1)
            self._hand_over(self._rows.out if box.bottom == self._rows.length else following)

    def _hand_over(self, stop: int) -> None:
        """The rows before `stop` are complete."""
        done = self._sum[:, : stop - self._top].transpose(1, 2, 0).clip(0, 1)
        if len(done):
            box = Box(self._top, stop, 0, self._sink.width)
            self._sink.place(self._top, 0, done, self.alpha(box))
        self._sum, self._top = self._sum[:, stop - self._top :].copy(), stop
