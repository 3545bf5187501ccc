"""Where on the earth a TIFF file's pixels lie (OGC GeoTIFF 1.1), so that it holds after enlarging."""

from __future__ import annotations

import struct

from blindsr.picture.metadata.geometry import Change
from blindsr.picture.tiff import Entry, Tree

_SCALE, _TIES, _MATRIX, _KEYS = 33550, 33922, 34264, 34735
TAGS = frozenset((_SCALE, _TIES, _MATRIX, _KEYS, 34736, 34737, 42112, 42113))
"""Size of a pixel, tied points, matrix; keys, their numbers and texts; GDAL's metadata and missing value."""

_DOUBLE = 12
_RASTER_TYPE, _POINT = 1025, 2


def follow(tags: Tree, change: Change) -> Tree | None:
    """The entries for the picture as it is now; None where they cannot be made to fit.

    Args:
        tags: Those of `TAGS` that the file had.
        change: What became of the picture.
    """
    if change.turned:
        return None
    across, down = change.scales
    # Whether places count from a pixel's corner or from its centre.
    shift = 0.5 if _is_point(tags) else 0.0
    result: Tree = dict(tags)
    for tag, value in tags.items():
        if tag not in (_SCALE, _TIES, _MATRIX):
            continue
        numbers = _doubles(value)
        if not numbers or len(numbers) % {_SCALE: 3, _TIES: 6, _MATRIX: 16}[tag]:
            return None
        if tag == _SCALE:
            numbers[0], numbers[1] = numbers[0] / across, numbers[1] / down
        elif tag == _TIES:
            for start in range(0, len(numbers), 6):
                numbers[start] = (numbers[start] + shift) * across - shift
                numbers[start + 1] = (numbers[start + 1] + shift) * down - shift
        else:
            for start in range(0, 16, 4):
                row = numbers[start : start + 4]
                row[0], row[1] = row[0] / across, row[1] / down
                row[3] += shift * (numbers[start] * (1 / across - 1) + numbers[start + 1] * (1 / down - 1))
                numbers[start : start + 4] = row
        result[tag] = _entry(numbers)
    return result


def _is_point(tags: Tree) -> bool:
    """Whether the keys say that a pixel is a point, not an area."""
    keys = tags.get(_KEYS)
    if not isinstance(keys, tuple) or keys[0] != 3:
        return False
    values = struct.unpack(f"<{keys[1]}H", keys[2])
    entries = [values[start : start + 4] for start in range(4, len(values) - 3, 4)]
    return any(entry[0] == _RASTER_TYPE and entry[1] == 0 and entry[3] == _POINT for entry in entries)


def _doubles(value: Entry | Tree) -> list[float] | None:
    if not isinstance(value, tuple) or value[0] != _DOUBLE:
        return None
    return list(struct.unpack(f"<{value[1]}d", value[2]))


def _entry(numbers: list[float]) -> Entry:
    return _DOUBLE, len(numbers), struct.pack(f"<{len(numbers)}d", *numbers)
