"""Blocks of GIF files (GIF89a)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from blindsr.picture.metadata.pieces import read_at

FRAME, EXTENSION = b",", b"!"

_BUFFER = 1 << 16
_SUB_BLOCKS = 1 << 22
"""Pieces, of 255 bytes at most, that are gone through in a file: a gigabyte of whole ones."""

_HEADER = 13


@dataclass(frozen=True)
class Block:
    """A frame, or an extension.

    Args:
        sign: `FRAME` or `EXTENSION`.
        label: Of an extension: what it is.
        place: Where its sub-blocks begin.
        whole: Whether they end before the file does.
    """

    sign: bytes
    label: bytes
    place: int
    whole: bool = True

    def content(self, file: IO[bytes], most: int) -> bytes:
        """What its sub-blocks hold together, up to about so many bytes."""
        content, place = b"", self.place
        while len(content) < most:
            size = read_at(file, place, 1)
            if size in (b"", b"\0"):
                break
            content += read_at(file, place + 1, size[0])
            place += 1 + size[0]
        return content


def blocks(file: IO[bytes]) -> Iterator[Block]:
    """All blocks in order, up to the end of the file or to where it is damaged."""
    head = read_at(file, 0, _HEADER)
    if len(head) < _HEADER:
        return
    place, budget = _HEADER + _table(head[10]), _SUB_BLOCKS
    while budget > 0:
        sign = read_at(file, place, 10)
        if sign[:1] == FRAME and len(sign) == 10:
            label, begin = b"", place + 10 + _table(sign[9]) + 1
        elif sign[:1] == EXTENSION and len(sign) > 1:
            label, begin = sign[1:2], place + 2
        else:
            return
        place, budget, whole = _behind(file, begin, budget)
        yield Block(sign[:1], label, begin, whole)


def is_cut_short(file: IO[bytes]) -> bool:
    """Whether the file ends within a block; that it ends without its last byte does not matter."""
    return any(not one.whole for one in blocks(file))


def _table(flags: int) -> int:
    """Bytes of the table of colours that the flags tell of."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _behind(file: IO[bytes], place: int, budget: int) -> tuple[int, int, bool]:
    """Where the sub-blocks from a place on end, how many may still be looked at, and whether they end."""
    buffer, start = b"", place
    while budget > 0:
        if place - start >= len(buffer):
            buffer, start = read_at(file, place, _BUFFER), place
            if not buffer:
                break
        size = buffer[place - start]
        place, budget = place + 1 + size, budget - 1
        if size == 0:
            return place, budget, True
    return place, budget, False
