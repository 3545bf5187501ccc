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


def layout(file: IO[bytes]) -> tuple[int, int, bool] | None:
    """Width, height and whether there is alpha, as the first chunk that tells; None if none does."""
    for name, place, _ in chunks(file):
        head = read_at(file, place, 10)
        if len(head) < 10:
            return None
        if name == b"VP8X":
            width, height = (int.from_bytes(head[at : at + 3], "little") + 1 for at in (4, 7))
            return width, height, bool(head[0] & 0x10)
        if name == b"VP8 ":
            width, height = (told & 0x3FFF for told in struct.unpack_from("<HH", head, 6))
            return (width, height, False) if head[3:6] == b"\x9d\x01\x2a" and width and height else None
        if name == b"VP8L":
            bits = int.from_bytes(head[1:5], "little")
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, bool(bits >> 28 & 1)
    return None


def blocks(file: IO[bytes]) -> dict[str, bytes | None]:
    """Colour profile, EXIF block and XMP packet, as far as they are there whole."""
    names = {b"ICCP": "icc", b"EXIF": "exif", b"XMP ": "xmp"}
    found: dict[str, bytes | None] = dict.fromkeys(names.values())
    for name, place, size in chunks(file):
        content = read_at(file, place, size) if name in names else b""
        if name in names and len(content) == size and content:
            found[names[name]] = content.removeprefix(b"Exif\0\0")
    return found


def whole_frames(file: IO[bytes]) -> bytes | None:
    """An animation that is cut short up to its last frame that is whole, as a file; None if there is none."""
    size, last = size_of(file), 0
    for name, place, length in chunks(file):
        stop = place + length + length % 2
        if stop > size:
            break
        last = stop if name == b"ANMF" else last
    if not last:
        return None
    file.seek(0)
    content = file.read(last)
    return content[:4] + struct.pack("<I", last - 8) + content[8:]


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
