"""Segments of JPEG files, and what lies behind the picture."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from blindsr.picture.metadata.pieces import insert, read_at

EXIF, XMP = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0"
EXTENSION = b"http://ns.adobe.com/xmp/extension/\0"
RESOURCES = b"Photoshop 3.0\0"

MOST = 65533
"""Bytes of a segment's content."""

_LOOK = 1024
_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
"""What ends coded pixels: no filling, no restart."""

_BLOCK = 1 << 16
_SCANS = 1 << 10
"""Segments between the scans of a picture that are skipped; progressive ones have some dozens."""


@dataclass(frozen=True)
class Segment:
    """A segment before the pixels.

    Args:
        marker: Its second byte.
        place: Where its content begins.
        size: Bytes of that.
        head: The first of them.
    """

    marker: int
    place: int
    size: int
    head: bytes

    def content(self, file: IO[bytes]) -> bytes:
        """All of it."""
        return read_at(file, self.place, self.size)


def segments(file: IO[bytes], start: int = 0) -> Iterator[Segment]:
    """The segments before the pixels of a picture that starts there, as decoders find them.

    What lies between two of them is skipped.
    """
    place = start + 2
    while True:
        head = read_at(file, place, _LOOK)
        first = head.find(b"\xff")
        marker = head[max(0, first) :].lstrip(b"\xff")[:3]
        if first < 0 or len(marker) < 3:
            if len(head) < _LOOK:
                return
            place += len(head) - 1
            continue
        place += len(head) - len(head[first:].lstrip(b"\xff"))
        if marker[0] in (0xD9, 0xDA):  # the end, or the pixels
            yield Segment(marker[0], place + 1, 0, b"")
            return
        if marker[0] in (0x00, 0x01, *range(0xD0, 0xD9)):  # markers without a segment
            place += 1
            continue
        length = int.from_bytes(marker[1:], "big")
        size = max(0, length - 2)
        yield Segment(marker[0], place + 3, size, read_at(file, place + 3, min(size, 64)))
        place += 1 + length


def end_of_picture(file: IO[bytes], place: int) -> int | None:
    """Where the first picture ends, the marker of its end included; None where it has none.

    Args:
        file: The file.
        place: Of a marker's segment before it, or in its coded pixels.
    """
    kept, skipped = b"", 0
    while skipped < _SCANS:
        block = read_at(file, place, _BLOCK)
        window = kept + block
        found = _MARKER.search(window)
        if found is None:
            if not block:
                return None
            place += len(block)
            kept = window[-1:]
            continue
        at = place - len(kept) + found.start()
        if window[found.start() + 1] == 0xD9:
            return at + 2
        length = read_at(file, at + 2, 2)  # tables, and the next scan, between two scans
        if len(length) < 2:
            return None
        place, kept, skipped = at + 2 + max(2, int.from_bytes(length, "big")), b"", skipped + 1
    return None


def segment(marker: int, content: bytes) -> bytes:
    """A segment as it stands in a file."""
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def xmp_segments(packet: bytes) -> list[bytes] | None:
    """The segments that hold an XMP packet, or it in two parts; None where it cannot be held."""
    from blindsr.picture.metadata.xmp import digest, split

    most = MOST - len(XMP)
    if len(packet) <= most:
        return [segment(0xE1, XMP + packet)]
    parts = split(packet, most)
    if parts is None:
        return None
    main, extension = parts
    found, step = [segment(0xE1, XMP + main)], MOST - len(EXTENSION) - 40
    for start in range(0, len(extension), step):
        head = EXTENSION + digest(extension).encode() + struct.pack(">II", len(extension), start)
        found.append(segment(0xE1, head + extension[start : start + step]))
    return found


def extended_xmp(file: IO[bytes], found: list[Segment], packet: bytes | None) -> bytes | None:
    """What an XMP packet says that the rest of it is, where the file has it whole."""
    if packet is None:
        return None
    pieces: dict[int, bytes] = {}
    total = 0
    for one in found:
        content = one.content(file) if one.marker == 0xE1 and one.head.startswith(EXTENSION) else b""
        name, numbers = content[len(EXTENSION) :][:32], content[len(EXTENSION) + 32 :][:8]
        if len(numbers) == 8 and name in packet:
            total, start = struct.unpack(">II", numbers)
            pieces[start] = content[len(EXTENSION) + 40 :]
    whole = b"".join(pieces[start] for start in sorted(pieces))
    return whole if whole and len(whole) == total else None


def resource_segments(resources: bytes) -> list[bytes]:
    """The segments that hold Photoshop's resources."""
    step = MOST - len(RESOURCES)
    starts = range(0, len(resources), step)
    return [segment(0xED, RESOURCES + resources[start : start + step]) for start in starts]


def jfif(unit: int, across: int, down: int) -> bytes:
    """The segment that begins a file: pixels across and down.

    Args:
        unit: That they are counted in: 0 for none, 1 for an inch.
        across: 1 to 65535.
        down: The same.
    """
    return segment(0xE0, b"JFIF\0\1\2" + struct.pack(">BHHBB", unit, across, down, 0, 0))


def add_segments(file: IO[bytes], found: list[bytes]) -> None:
    """Put segments in front of those that a file has, which is open for reading and writing."""
    insert(file, 2, b"".join(found))
