"""Where tiles lie and what halo they carry, so that a tiled result is the untiled one. Geometry only."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise, product

from blindsr.errors import InputError
from blindsr.picture.rim import margins

AUTO_PIXELS = 384 * 384
"""LR pixels (halo and margin included) that "auto" lets one tile hold. The memory a network takes grows with
them: about 10 kB each for the published CMDSR, so 1.4 GB; the halos of a large photo then add a quarter to
the work."""


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
        window: What the network reads, LR pixels: the core and its halo, cut where the image's margins end,
            so that the network's own padding acts there and nowhere else. It may begin below 0.
        core: The LR pixels this tile answers for; the cores of all tiles cover the image exactly once.
    """

    window: Box
    core: Box

    def kept(self, scale: int) -> Box:
        """Where the core lies in what a network of this scale makes of the window."""
        return self.core.relative_to(self.window).scaled(scale)


def plan_tiles(
    height: int,
    width: int,
    tile: int | str,
    halo: int,
    most: int = AUTO_PIXELS,
    most_rows: int | None = None,
    multiple: int = 1,
) -> list[Tile]:
    """Cut an image into tiles whose windows are all of one size, row by row.

    Windows reach beyond the image where its margins lie (see `blindsr.picture.rim`), and nowhere else.

    One size, because an engine prepares itself anew for each shape it meets. Windows overlap by at least
    twice the halo, and neighbours share their overlap evenly.

    Args:
        height: Image height, LR pixels.
        width: Image width, LR pixels.
        tile: Longest side of a tile without its halo, LR pixels; "auto" takes the grid that computes the
            fewest pixels among those whose windows hold at most `most`: one tile for a small image.
        halo: Receptive radius of the network, LR pixels: how far beyond its core a window must reach.
        most: LR pixels (halo and margin included) that one window may hold. A given tile is made smaller to
            obey; only windows of three halos a side, or little more, are always allowed.
        most_rows: LR rows that a core should not exceed by much; None for any number.
        multiple: Windows begin and end at multiples of this, LR pixels, where the network's groups of pixels
            do.

    Raises:
        InputError: The tile is neither "auto" nor a positive whole number.
    """
    if height < 1 or width < 1 or halo < 0 or multiple < 1:
        raise ValueError(f"no tiles for an image of {width}x{height} with halo {halo}, multiple {multiple}")
    down, across = _Side(height, halo, multiple), _Side(width, halo, multiple)
    if tile == "auto":
        rows, columns = _auto_grid(down, across, most, most_rows or down.extended)
    elif isinstance(tile, int) and tile >= 1:
        rows, columns = down.fewest(tile), across.fewest(tile)
        if down.window(rows) * across.window(columns) > _limit(down, across, most):
            rows, columns = _auto_grid(down, across, most, most_rows or down.extended)
    else:
        raise InputError(f'tile {tile!r}: give "auto" or a whole number of LR pixels, 1 or more')
    return _tiles(down.spans(rows), across.spans(columns))


def plan_windows(
    height: int, width: int, window: tuple[int, int], halo: int, multiple: int = 1
) -> list[Tile]:
    """Cut an image into tiles whose windows are of one given size, for a network that takes no other.

    An image that is smaller than a window is continued by reflection to its size.

    Args:
        height: Image height, LR pixels.
        width: Image width, LR pixels.
        window: Height and width of every window, halo included.
        halo: As in `plan_tiles`; windows are longer than two of them.
        multiple: As in `plan_tiles`.
    """
    rows, columns = (
        _fixed_spans(length, side, halo, multiple)
        for length, side in zip((height, width), window, strict=True)
    )
    return _tiles(rows, columns)


def _fixed_spans(length: int, window: int, halo: int, multiple: int) -> list[tuple[_Span, _Span]]:
    """(window, core) of each tile along one side."""
    before, after = margins(length, halo, multiple)
    free = length + before + after - window
    if free <= 0:  # centred, as far as groups of pixels allow
        start = -((before - free // 2) // multiple * multiple)
        return [((start, start + window), (0, length))]
    step = (window - 2 * halo) // multiple * multiple
    if step < 1:
        raise ValueError(f"windows of {window} pixels have no room for two halos of {halo}")
    count = 1 + _ceil(free, step)
    starts = [_ceil(i * free, (count - 1) * multiple) * multiple - before for i in range(count)]
    inner = [(start + window + following) // 2 for start, following in pairwise(starts)]
    cores = zip([0, *inner], [*inner, length], strict=True)
    return [((start, start + window), core) for start, core in zip(starts, cores, strict=True)]


def whole(height: int, width: int, halo: int, multiple: int = 1) -> Tile:
    """An image in one tile, whatever memory that takes; the arguments are those of `plan_tiles`."""
    return _tiles(_Side(height, halo, multiple).spans(1), _Side(width, halo, multiple).spans(1))[0]


_Span = tuple[int, int]
"""Start and end on a side, LR pixels."""


@dataclass(frozen=True)
class _Side:
    """One side of an image with its margins, counted in steps of `multiple` pixels."""

    length: int
    halo: int
    multiple: int

    @property
    def margins(self) -> tuple[int, int]:
        """Pixels before the image and after it."""
        return margins(self.length, self.halo, self.multiple)

    @property
    def extended(self) -> int:
        """Pixels of the side and its margins."""
        return self.length + sum(self.margins)

    @property
    def steps(self) -> int:
        """Steps of the side and its margins."""
        return self.extended // self.multiple

    @property
    def overlap(self) -> int:
        """Steps that hold two halos."""
        return _ceil(2 * self.halo, self.multiple)

    @property
    def least(self) -> int:
        """Longest window that is always allowed."""
        # A halo so wide that no window fits still needs an answer: a core as wide as the halo is a fair one.
        wanted = max(16, 3 * self.halo, 2 * self.halo + 3 * self.multiple)
        return min(self.extended, wanted)

    @property
    def most_windows(self) -> int:
        """Number of windows beyond which they become no shorter."""
        return max(1, self.steps - self.overlap)

    def fewest(self, tile: int) -> int:
        """Fewest windows of at most tile + 2 halo that cover the side, or of the shortest there are."""
        core = (tile + 2 * self.halo) // self.multiple - self.overlap
        return max(1, _ceil(self.steps - self.overlap, max(1, core)))

    def window(self, count: int) -> int:
        """Length of each of `count` equal windows that cover the side and overlap by 2 halo."""
        steps = min(self.steps, _ceil(self.steps + (count - 1) * self.overlap, count))
        return steps * self.multiple

    def spans(self, count: int) -> list[tuple[_Span, _Span]]:
        """(window, core) of each tile."""
        window = self.window(count)
        free = (self.extended - window) // self.multiple  # steps
        starts = [i * free // max(1, count - 1) * self.multiple - self.margins[0] for i in range(count)]
        # A cut in the middle of an overlap of 2 halo or more leaves each side its halo. It lies on the image:
        # margins are no wider than the halo, but for less than a step.
        inner = [(start + window + following) // 2 for start, following in pairwise(starts)]
        cores = zip([0, *inner], [*inner, self.length], strict=True)
        return [((start, start + window), core) for start, core in zip(starts, cores, strict=True)]


def _tiles(rows: list[tuple[_Span, _Span]], columns: list[tuple[_Span, _Span]]) -> list[Tile]:
    """The tiles of a grid, row by row."""
    return [
        Tile(Box(*window_rows, *window_columns), Box(*core_rows, *core_columns))
        for (window_rows, core_rows), (window_columns, core_columns) in product(rows, columns)
    ]


def _ceil(dividend: int, divisor: int) -> int:
    return -(-dividend // divisor)


def _limit(down: _Side, across: _Side, most: int) -> int:
    """Pixels that a window may hold."""
    return max(most, down.least * across.least)


def _auto_grid(down: _Side, across: _Side, most: int, most_rows: int) -> tuple[int, int]:
    """Rows and columns that compute the fewest pixels within the limit per window."""
    limit = _limit(down, across, most)
    best: tuple[int, int, int, int] | None = None
    most_rows = max(most_rows, down.halo, 16)
    for rows in range(min(down.fewest(most_rows), down.most_windows), down.most_windows + 1):
        window_height = down.window(rows)
        # The fewest columns that fit are the best for these rows.
        fitting = limit // window_height
        if fitting < across.window(across.most_windows):
            continue
        columns = 1 if fitting >= across.extended else across.fewest(fitting - 2 * across.halo)
        window_width = across.window(columns)
        total = rows * columns * window_height * window_width
        candidate = (total, rows * columns, rows, columns)
        best = candidate if best is None else min(best, candidate)
        if columns == 1:  # more rows only add overlap
            break
    assert best is not None  # windows of the least size fit by the choice of limit
    return best[2], best[3]
