"""Where tiles lie and what halo they carry, so that a tiled result is the untiled one. Geometry only."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise, product
from math import ceil

from blindsr.errors import InputError

AUTO_PIXELS = 384 * 384
"""LR pixels (halo included) that "auto" lets one tile hold. The memory a network takes grows with them: about
10 kB each for the published CMDSR, so 1.4 GB; the halos of a large photo then add a quarter to the work."""


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels: rows top..bottom, columns left..right, the ends excluded."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """Index of the rectangle in an array's last two axes."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    @property
    def area(self) -> int:
        """Pixels in it."""
        return (self.bottom - self.top) * (self.right - self.left)

    def relative_to(self, other: Box) -> Box:
        """The same rectangle, counted from another one's top left corner."""
        return Box(
            self.top - other.top, self.bottom - other.top, self.left - other.left, self.right - other.left
        )

    def scaled(self, scale: int) -> Box:
        """The same rectangle on an image `scale` times as large."""
        return Box(self.top * scale, self.bottom * scale, self.left * scale, self.right * scale)


@dataclass(frozen=True)
class Tile:
    """One piece of an image.

    Args:
        window: What the network reads, LR pixels: the core and its halo, cut at the image's true borders, so
            that the network's own padding acts there and nowhere else.
        core: The LR pixels this tile answers for; the cores of all tiles cover the image exactly once.
    """

    window: Box
    core: Box


def plan_tiles(
    height: int,
    width: int,
    tile: int | str,
    halo: int,
    most: int = AUTO_PIXELS,
    most_rows: int | None = None,
) -> list[Tile]:
    """Cut an image into tiles whose windows are all of one size, row by row.

    One size, because an engine prepares itself anew for each shape it meets. Windows overlap by at least
    twice the halo, and neighbours share their overlap evenly.

    Args:
        height: Image height, LR pixels.
        width: Image width, LR pixels.
        tile: Longest side of a tile without its halo, LR pixels; "auto" takes the grid that computes the
            fewest pixels among those whose windows hold at most `most`: one tile for a small image.
        halo: Receptive radius of the network, LR pixels: how far beyond its core a window must reach.
        most: LR pixels (halo included) that one window may hold. A given tile is made smaller to obey; only
            windows of three halos a side are always allowed.
        most_rows: LR rows that a core should not exceed by much; None for any number.

    Raises:
        InputError: The tile is neither "auto" nor a positive whole number.
    """
    if height < 1 or width < 1 or halo < 0:
        raise ValueError(f"no tiles for an image of {width}x{height} with halo {halo}")
    if tile == "auto":
        rows, columns = _auto_grid(height, width, halo, most, most_rows or height)
    elif isinstance(tile, int) and tile >= 1:
        rows, columns = _count(height, tile, halo), _count(width, tile, halo)
        if _window(height, rows, halo) * _window(width, columns, halo) > _limit(height, width, halo, most):
            rows, columns = _auto_grid(height, width, halo, most, most_rows or height)
    else:
        raise InputError(f'tile {tile!r}: give "auto" or a whole number of LR pixels, 1 or more')
    return [
        Tile(Box(*window_rows, *window_columns), Box(*core_rows, *core_columns))
        for (window_rows, core_rows), (window_columns, core_columns) in product(
            _spans(height, rows, halo), _spans(width, columns, halo)
        )
    ]


def _count(length: int, tile: int, halo: int) -> int:
    """Fewest windows of at most tile + 2 halo that cover the length and overlap by 2 halo."""
    return max(1, ceil((length - 2 * halo) / tile))


def _window(length: int, count: int, halo: int) -> int:
    """Side of each of `count` equal windows that cover the length and overlap by 2 halo."""
    return min(length, ceil((length + (count - 1) * 2 * halo) / count))


def _limit(height: int, width: int, halo: int, most: int) -> int:
    """Pixels that a window may hold."""
    # A halo so wide that no window fits still needs an answer: then a core as wide as the halo is a fair one.
    return max(most, min(height, max(16, 3 * halo)) * min(width, max(16, 3 * halo)))


def _auto_grid(height: int, width: int, halo: int, most: int, most_rows: int) -> tuple[int, int]:
    """Rows and columns that compute the fewest pixels within the limit per window."""
    limit = _limit(height, width, halo, most)
    best: tuple[int, int, int, int] | None = None
    most_rows = max(most_rows, halo, 16)
    for rows in range(
        min(_count(height, most_rows, halo), max(1, height - 2 * halo)), max(1, height - 2 * halo) + 1
    ):
        window_height = _window(height, rows, halo)
        # The fewest columns that fit are the best for these rows.
        fitting = limit // window_height
        if fitting < min(width, 2 * halo + 1):
            continue
        columns = _count(width, max(1, fitting - 2 * halo), halo) if fitting < width else 1
        window_width = _window(width, columns, halo)
        total = rows * columns * window_height * window_width
        candidate = (total, rows * columns, rows, columns)
        best = candidate if best is None else min(best, candidate)
        if columns == 1:  # more rows only add overlap
            break
    assert best is not None  # windows of 3 halo a side fit by the choice of limit
    return best[2], best[3]


def _spans(length: int, count: int, halo: int) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """(window, core) of each tile along one axis, as (start, end)."""
    window = _window(length, count, halo)
    starts = [i * (length - window) // max(1, count - 1) for i in range(count)]
    # A cut in the middle of an overlap of 2 halo or more leaves each side its halo.
    inner = [(start + window + following) // 2 for start, following in pairwise(starts)]
    cores = zip([0, *inner], [*inner, length], strict=True)
    return [((start, start + window), core) for start, core in zip(starts, cores, strict=True)]
