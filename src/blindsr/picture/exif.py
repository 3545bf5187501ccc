"""What of an EXIF block must follow the pixels: orientation, size, resolution, thumbnail.

The block is a TIFF structure (EXIF 2.32, CIPA DC-008): directories of 12-byte entries, each a tag, a type, a
count, and a value or where it lies.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

_ORIENTATION = 0x0112
_SIZES = {0x0100: "width", 0x0101: "height", 0xA002: "width", 0xA003: "height"}
_RESOLUTIONS = (0x011A, 0x011B)
_RESOLUTION_UNIT = 0x0128
_EXIF_DIRECTORY = 0x8769
_SHORT, _LONG, _RATIONAL = 3, 4, 5


def upright(exif: bytes) -> bytes:
    """The block without JPEG's "Exif" prefix, its orientation (if it has one) 1, and no thumbnail.

    A thumbnail shows the photo as it was before it was turned and restored.
    """
    exif = exif.removeprefix(b"Exif\0\0")
    directory = _first_directory(exif)
    if directory is None:
        return exif
    patched = bytearray(exif)
    if _ORIENTATION in directory.entries:
        directory.set_number(patched, _ORIENTATION, 1)
    if directory.end + 4 <= len(exif):
        struct.pack_into(f"{directory.order}I", patched, directory.end, 0)  # the thumbnail's directory
    return bytes(patched)


def with_size(exif: bytes, height: int, width: int) -> bytes:
    """The block with every tag that tells the image's size, where it has one, telling this size."""
    first = _first_directory(exif)
    if first is None:
        return exif
    directories = [first]
    if _EXIF_DIRECTORY in first.entries:
        inner = _directory(exif, first.order, first.number(exif, _EXIF_DIRECTORY))
        directories += [] if inner is None else [inner]
    patched = bytearray(exif)
    for directory in directories:
        for tag, side in _SIZES.items():
            if tag in directory.entries:
                directory.set_number(patched, tag, {"width": width, "height": height}[side])
    return bytes(patched)


def resolution(exif: bytes) -> tuple[float, float] | None:
    """Horizontal and vertical pixels per inch; None if the block does not tell."""
    directory = _first_directory(exif)
    if directory is None or not all(tag in directory.entries for tag in _RESOLUTIONS):
        return None
    unit = directory.number(exif, _RESOLUTION_UNIT) if _RESOLUTION_UNIT in directory.entries else 2
    values = []
    for tag in _RESOLUTIONS:
        try:
            above, below = struct.unpack_from(f"{directory.order}2I", exif, directory.number(exif, tag))
        except struct.error:  # a value that lies beyond the block
            return None
        values.append(above / below if below else 0.0)
    if unit not in (2, 3) or min(values) <= 0:
        return None
    per_inch = 2.54 if unit == 3 else 1.0
    return values[0] * per_inch, values[1] * per_inch


def of_resolution(dpi: tuple[float, float]) -> bytes:
    """A block that tells nothing but the resolution: some formats have no other place for it."""
    directory = struct.pack("<4sIH", b"II*\0", 8, 3)
    for position, tag in enumerate(_RESOLUTIONS):
        directory += struct.pack("<HHII", tag, _RATIONAL, 1, 50 + 8 * position)
    directory += struct.pack("<HHIHHI", _RESOLUTION_UNIT, _SHORT, 1, 2, 0, 0)
    for value in dpi:
        directory += struct.pack("<II", min(round(value * 1000), 0xFFFFFFFF), 1000)
    return directory


@dataclass(frozen=True)
class _Directory:
    """Where a directory's entries lie in the block, and where it ends."""

    order: str  # of the bytes, as struct spells it
    entries: dict[int, int]
    end: int

    def number(self, exif: bytes, tag: int) -> int:
        """The entry's value, or where that lies."""
        kind, _, value = struct.unpack_from(f"{self.order}HII", exif, self.entries[tag] + 2)
        return int(
            struct.unpack_from(f"{self.order}H", exif, self.entries[tag] + 8)[0] if kind == _SHORT else value
        )

    def set_number(self, exif: bytearray, tag: int, value: int) -> None:
        """Make the entry one whole number."""
        if value < 1 << 16:
            struct.pack_into(f"{self.order}HIHH", exif, self.entries[tag] + 2, _SHORT, 1, value, 0)
        else:
            struct.pack_into(f"{self.order}HII", exif, self.entries[tag] + 2, _LONG, 1, value)


def _first_directory(exif: bytes) -> _Directory | None:
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4])
    if order is None or len(exif) < 8:
        return None
    return _directory(exif, order, struct.unpack_from(f"{order}I", exif, 4)[0])


def _directory(exif: bytes, order: str, start: int) -> _Directory | None:
    """The directory that starts there; None if it points beyond its block."""
    if start + 2 > len(exif):
        return None
    (count,) = struct.unpack_from(f"{order}H", exif, start)
    end = start + 2 + 12 * count
    if end > len(exif):
        return None
    tags = {struct.unpack_from(f"{order}H", exif, entry)[0]: entry for entry in range(start + 2, end, 12)}
    return _Directory(order, tags, end)
