"""Chunks of WebP files."""

from __future__ import annotations

import struct
from collections.abc import Iterator
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
