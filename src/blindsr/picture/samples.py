"""Samples of a picture, in memory or in a file on disk, read in windows and written in boxes."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from threading import Lock
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from blindsr.picture.tiff import sample_header

_CHUNK = 1 << 22
"""Bytes that are handled at once where samples are gone through from top to bottom."""

TURNS = {
    **{1: (False, False, False), 2: (False, True, False), 3: (True, True, False), 4: (True, False, False)},
    **{5: (False, False, True), 6: (True, False, True), 7: (True, True, True), 8: (False, True, True)},
}
"""EXIF orientation -> whether rows, then columns are reversed, and whether both then change places."""


class Coverage:
    """Which parts of a picture have been stored: memory that nobody wrote to is not to be taken for pixels.

    Args:
        height: Rows of the picture.
        width: Its columns.
    """

    def __init__(self, height: int, width: int) -> None:
        self._height, self._width = height, width
        self._boxes: list[tuple[int, int, int, int]] = []  # top, bottom, left, right
        self._complete = False

    def add(self, top: int, left: int, height: int, width: int) -> None:
        """Note a box that is being stored.

        Raises:
            ValueError: It leaves the picture.
        """
        bottom, right = top + height, left + width
        if min(top, left) < 0 or bottom > self._height or right > self._width:
            raise ValueError(
                f"a box of {width}x{height} at row {top}, column {left} leaves a picture of "
                f"{self._width}x{self._height}"
            )
        self._boxes.append((top, bottom, left, right))

    def gap(self) -> tuple[int, int] | None:
        """Row and column of a pixel that was never stored, the uppermost; None if there is none."""
        boxes = self._boxes  # before it is asked: another thread says so first, and then forgets the boxes
        if not self._complete:
            found = self._find_gap(list(boxes))
            if found is not None:
                return found
            self._complete = True
            self._boxes = []
        return None

    def _find_gap(self, boxes: list[tuple[int, int, int, int]]) -> tuple[int, int] | None:
        edges = sorted({0, self._height, *(edge for box in boxes for edge in box[:2])})
        waiting = sorted(boxes, reverse=True)
        open_: list[tuple[int, int, int, int]] = []
        for row in edges[:-1]:  # between two edges all rows are alike
            while waiting and waiting[-1][0] <= row:
                open_.append(waiting.pop())
            open_ = [box for box in open_ if box[1] > row]
            reached = 0
            for _, _, left, right in sorted(open_, key=lambda box: box[2]):
                if left > reached:
                    break
                reached = max(reached, right)
            if reached < self._width:
                return row, reached
        return None


class Samples:
    """A picture's samples, (H, W, C), upright, in the type that its file has.

    Threads may put and read at once, wherever the samples lie.

    Args:
        height: Rows as stored, before they are turned.
        width: Columns as stored.
        bands: Channels C.
        dtype: Type of a sample.
        most: Bytes that they may take in memory; more go to a file, which is gone when it is closed or the
            process ends, however it ends.
        folder: Where such a file is made; None for the system's folder for temporary files.
        orientation: EXIF orientation of what is stored, 1 to 8.

    Raises:
        OSError: The file cannot be made.
    """

    def __init__(
        self,
        height: int,
        width: int,
        bands: int,
        dtype: np.dtype[Any],
        most: int | None = None,
        folder: Path | None = None,
        orientation: int = 1,
    ) -> None:
        self.bands, self.dtype = bands, dtype
        self._stored = height, width
        self._turn = TURNS.get(orientation, TURNS[1])
        self._levels: NDArray[Any] | None = None
        self._file: IO[bytes] | None = None
        self._row = width * bands * dtype.itemsize
        self._coverage = Coverage(height, width)
        self._at_place = Lock()  # between going to a place of the file and what is done there
        if most is None or height * self._row <= most:
            self._levels = np.empty((height, width, bands), dtype)
        else:
            self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  (closed by `close`)
            header = sample_header(height, width, bands, 8 * dtype.itemsize)
            self._start = len(header)
            self._file.write(header)

    @property
    def height(self) -> int:
        """Rows, upright."""
        return self._stored[self._turn[2]]

    @property
    def width(self) -> int:
        """Columns, upright."""
        return self._stored[not self._turn[2]]

    @property
    def in_memory(self) -> NDArray[Any] | None:
        """All samples as stored, (H, W, C), if they are in memory."""
        return self._levels

    @property
    def as_tiff(self) -> IO[bytes] | None:
        """A TIFF file of all samples as stored, without compression, if they are on disk.

        Libvips reads such a file in strips; plain samples it would map into memory whole.
        """
        self.check_complete()
        if self._file is not None:
            self._file.flush()
            self._file.seek(0)
        return self._file

    def put(self, top: int, left: int, levels: NDArray[Any]) -> None:
        """Store a box of samples, (h, w, C), whose first one is at (top, left) as stored.

        Raises:
            OSError: The disk is full.
            ValueError: It has other channels, or leaves the picture.
        """
        if levels.ndim != 3 or levels.shape[2] != self.bands:
            raise ValueError(f"samples of shape {levels.shape} where (h, w, {self.bands}) is stored")
        height, width = levels.shape[:2]
        self._coverage.add(top, left, height, width)
        if self._levels is not None:
            self._levels[top : top + height, left : left + width] = levels
            return
        assert self._file is not None
        levels = np.ascontiguousarray(levels, self.dtype)
        place = self._start + top * self._row + left * self.bands * self.dtype.itemsize
        with self._at_place:
            if width == self._stored[1]:
                self._file.seek(place)
                self._file.write(levels.data)
                return
            for row in levels:
                self._file.seek(place)
                self._file.write(row.data)
                place += self._row

    def repeat(self, earlier: int, top: int, rows: int) -> None:
        """Store so many rows again that have been stored: those from `earlier` on, at `top`.

        Raises:
            OSError: The disk is full.
        """
        step = max(1, _CHUNK // self._row)
        for first in range(0, rows, step):
            part = slice(earlier + first, earlier + min(first + step, rows))
            self.put(top + first, 0, self._read(part, slice(0, self._stored[1])))

    def window(self, rows: slice, columns: slice) -> NDArray[Any]:
        """A part of the upright picture, (h, w, C); not to be written to.

        Raises:
            ValueError: As `check_complete`.
        """
        self.check_complete()
        reverse_rows, reverse_columns, swap = self._turn
        if swap:
            rows, columns = columns, rows
        rows = _reversed(rows, self._stored[0]) if reverse_rows else rows
        columns = _reversed(columns, self._stored[1]) if reverse_columns else columns
        levels = self._read(rows, columns)
        levels = levels[:: -1 if reverse_rows else 1, :: -1 if reverse_columns else 1]
        return levels.transpose(1, 0, 2) if swap else levels

    def chunks(self) -> Iterator[tuple[slice, NDArray[Any]]]:
        """The upright picture from top to bottom, a few rows at a time."""
        rows = max(1, _CHUNK // max(1, self.width * self.bands * self.dtype.itemsize))
        for top in range(0, self.height, rows):
            part = slice(top, min(top + rows, self.height))
            yield part, self.window(part, slice(0, self.width))

    def close(self) -> None:
        """Give the memory or the file back."""
        self._levels = None
        if self._file is not None:
            self._file.close()

    def check_complete(self) -> None:
        """Make sure that every sample was put.

        Raises:
            ValueError: One was not.
        """
        gap = self._coverage.gap()
        if gap is not None:
            raise ValueError(f"no sample was ever stored at row {gap[0]}, column {gap[1]}")

    def _read(self, rows: slice, columns: slice) -> NDArray[Any]:
        """A part as stored."""
        if self._levels is not None:
            return self._levels[rows, columns]
        assert self._file is not None, "the samples are closed"
        height, width = rows.stop - rows.start, columns.stop - columns.start
        levels = np.empty((height, width, self.bands), self.dtype)
        step = self.bands * self.dtype.itemsize
        with self._at_place:
            for row, line in enumerate(levels, rows.start):
                self._file.seek(self._start + row * self._row + columns.start * step)
                if self._file.readinto(line.data) != line.nbytes:  # type: ignore[attr-defined]
                    raise OSError(5, "a temporary file is shorter than it was written")
        return levels


def _reversed(part: slice, length: int) -> slice:
    """The same part counted from the other end."""
    return slice(length - part.stop, length - part.start)
