"""Pieces that files are made of: read with bounds, and put into a file that is written already."""

from __future__ import annotations

import os
import zlib
from typing import IO

LARGEST = 1 << 24
"""Bytes of a piece of metadata that is taken along: what is larger no program writes."""

_BLOCK = 1 << 20


def read_at(file: IO[bytes], place: int, count: int) -> bytes:
    """Up to so many bytes from a place."""
    try:
        file.seek(place)
    except (OverflowError, OSError, ValueError):  # a place that no file has
        return b""
    return file.read(max(0, min(count, LARGEST)))


def size_of(file: IO[bytes]) -> int:
    """Bytes of a file."""
    return file.seek(0, os.SEEK_END)


def insert(file: IO[bytes], place: int, block: bytes) -> None:
    """Put bytes into a file that is open for reading and writing; what lies behind the place moves."""
    if not block:
        return
    left = size_of(file)
    while left > place:
        count = min(_BLOCK, left - place)
        left -= count
        file.seek(left)
        moving = file.read(count)
        file.seek(left + len(block))
        file.write(moving)
    file.seek(place)
    file.write(block)


def inflated(packed: bytes, most: int = LARGEST) -> bytes | None:
    """What zlib packed, if it is whole and no larger than `most`."""
    unpacking = zlib.decompressobj()
    try:
        content = unpacking.decompress(packed, most)
    except zlib.error:
        return None
    return content if unpacking.eof else None
