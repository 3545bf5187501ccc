"""Chunks of WebP files."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import IO

from blindsr.picture.metadata.pieces import read_at, size_of

_CHUNKS = 1 << 16


def chunks(file: IO[bytes]) -> Iterator[tuple[bytes, int, int]]:
    """Names of the chunks, where their content begins, and bytes of it."""
    place = 12
    for _ in range(_CHUNKS):
        head = read_at(file, place, 8)
        if len(head) < 8:
            return
        size = int.from_bytes(head[4:], "little")
        yield head[:4], place + 8, size
        place += 8 + size + size % 2


def end(file: IO[bytes]) -> int:
    """Where the picture ends, as the file says at its beginning."""
    size = int.from_bytes(read_at(file, 4, 4), "little")
    return 8 + size + size % 2


_FRAME_HEAD = 16
"""Bytes of a frame before its own chunks: place, size, duration in 24 bits, flags."""


def is_lossless(file: IO[bytes]) -> bool:
    """Whether no frame of an animation is stored with loss."""
    kinds = {read_at(file, place + _FRAME_HEAD, 4) for name, place, _ in chunks(file) if name == b"ANMF"}
    return kinds == {b"VP8L"}


def set_durations(file: IO[bytes], told: Sequence[int], wanted: Sequence[int]) -> None:
    """Change how long the frames of a written animation are shown.

    Its encoder takes no durations below some hundredths as they are, and makes one of frames that are the
    same: such a frame has the sum of what it was told.

    Args:
        file: Open for reading and writing.
        told: Milliseconds, each above 10, that its encoder was told.
        wanted: Milliseconds that each is to have.
    """
    number = 0
    for name, place, _ in list(chunks(file)):
        if name != b"ANMF":
            continue
        left, duration = int.from_bytes(read_at(file, place + 12, 3), "little"), 0
        while number < len(told) and left > 0:
            left, duration, number = left - told[number], duration + wanted[number], number + 1
        file.seek(place + 12)
        file.write(min(duration, (1 << 24) - 1).to_bytes(3, "little"))


def set_exif(file: IO[bytes], exif: bytes) -> bool:
    """Let a written file that has an EXIF block have this one; whether it has one."""
    found = list(chunks(file))
    at = next((index for index, one in enumerate(found) if one[0] == b"EXIF"), None)
    if at is None:
        return False
    behind = [(name, read_at(file, place, size)) for name, place, size in found[at + 1 :]]
    file.seek(found[at][1] - 8)
    for name, content in [(b"EXIF", exif), *behind]:
        file.write(name + struct.pack("<I", len(content)) + content + bytes(len(content) % 2))
    file.truncate()
    size = size_of(file)
    file.seek(4)
    file.write(struct.pack("<I", size - 8))
    return True
