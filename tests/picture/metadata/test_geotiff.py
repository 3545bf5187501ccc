"""Where pixels lie on the earth: the same ground after enlarging."""

from __future__ import annotations

import struct

import pytest

from blindsr.picture.metadata.geometry import Change
from blindsr.picture.metadata.geotiff import follow
from blindsr.picture.tiff import Tree


def doubles(*numbers: float) -> tuple[int, int, bytes]:
    return 12, len(numbers), struct.pack(f"<{len(numbers)}d", *numbers)


def numbers(tags: Tree | None, tag: int) -> tuple[float, ...]:
    assert tags is not None
    value = tags[tag]
    assert isinstance(value, tuple)
    return struct.unpack(f"<{value[1]}d", value[2])


def keys(raster: int) -> tuple[int, int, bytes]:
    return 3, 8, struct.pack("<8H", 1, 1, 0, 1, 1025, 0, 1, raster)


def ground(tags: Tree | None, column: float, row: float, point: bool) -> tuple[float, float]:
    """Where the corner of a pixel lies, by the standard's own words (OGC 19-008, section 7)."""
    if point:
        column, row = column - 0.5, row - 0.5
    if tags is not None and 34264 in tags:
        matrix = numbers(tags, 34264)
        return (
            matrix[0] * column + matrix[1] * row + matrix[3],
            matrix[4] * column + matrix[5] * row + matrix[7],
        )
    scale, tie = numbers(tags, 33550), numbers(tags, 33922)
    return tie[3] + (column - tie[0]) * scale[0], tie[4] - (row - tie[1]) * scale[1]


@pytest.mark.parametrize("point", [False, True])
@pytest.mark.parametrize("form", ["tie", "matrix"])
@pytest.mark.parametrize("after", [(160, 240), (90, 133)])
def test_the_corners_stay(form: str, point: bool, after: tuple[int, int]) -> None:
    tags: Tree = {34735: keys(2 if point else 1), 42113: (2, 3, b"-1\0")}
    if form == "tie":
        tags |= {33550: doubles(0.5, 0.25, 0), 33922: doubles(3, 2, 0, 440000, 5290000, 0)}
    else:
        tags |= {34264: doubles(0.5, 0.1, 0, 440000, -0.1, -0.25, 0, 5290000, 0, 0, 0, 0, 0, 0, 0, 1)}
    change = Change((40, 60), after)
    moved = follow(tags, change)
    for column, row in ((0, 0), (60, 0), (0, 40), (60, 40), (7, 11)):
        across, down = column * after[1] / 60, row * after[0] / 40
        assert ground(moved, across, down, point) == pytest.approx(ground(tags, column, row, point), abs=1e-6)
    assert moved is not None and moved[42113] == tags[42113]


def test_what_cannot_follow_is_dropped() -> None:
    tags: Tree = {33550: doubles(0.5, 0.25, 0), 33922: doubles(3, 2, 0, 440000, 5290000, 0)}
    assert follow(tags, Change.upright(40, 60, 6)) is None
    assert follow({**tags, 33550: doubles(0.5, 0.25)}, Change((40, 60), (80, 120))) is None
    assert follow({**tags, 33550: (3, 3, bytes(6))}, Change((40, 60), (80, 120))) is None
    assert follow({**tags, 33550: (12, 0, b"")}, Change((40, 60), (80, 120))) is None
    assert follow({}, Change((40, 60), (80, 120))) == {}
