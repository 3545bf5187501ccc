"""What of an EXIF block must follow the pixels: orientation, size, resolution, subject, thumbnail.

The block is a TIFF structure (EXIF 2.32, CIPA DC-008): directories of 12-byte entries, each a tag, a type, a
count, and a value or where it lies.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from blindsr.picture.metadata.geometry import Change
from blindsr.picture.tiff import Tree, pack_exif, read_block

Notes = dict[str, None]
"""Texts, each once, in order."""

_ORIENTATION = 0x0112
_SIZES = {0x0100: 1, 0x0101: 0, 0xA002: 1, 0xA003: 0, 0x1001: 1, 0x1002: 0}
"""Tags that tell sides of the picture -> which of (height, width)."""

_SUBJECTS = (0x9214, 0xA214)
_SENSOR = (0xA20E, 0xA20F)
_INTEROPERABILITY = 0xA005
_MAKER_NOTES = 0x927C
_NAMES = {_MAKER_NOTES: "maker notes", 0x9286: "user comment", 0x010E: "image description"}
_RESOLUTIONS = (0x011A, 0x011B)
_RESOLUTION_UNIT = 0x0128
_EXIF_DIRECTORY = 0x8769
_SHORT, _LONG, _RATIONAL = 3, 4, 5


def orientation(exif: bytes | None) -> int | None:
    """The orientation that the block tells, 1 to 8; None if it tells none."""
    directory = None if exif is None else _first_directory(_without_prefix(exif))
    if exif is None or directory is None or _ORIENTATION not in directory.entries:
        return None
    told = directory.number(_without_prefix(exif), _ORIENTATION)
    return told if told in range(1, 9) else None


def follow(exif: bytes, change: Change) -> tuple[bytes, Notes, Notes]:
    """The block for the picture as it is now, without JPEG's "Exif" prefix.

    Nothing in it moves, so what maker notes point to stays where it is. A thumbnail shows the photo as it was
    before it was turned and restored; it goes.

    Args:
        exif: The block.
        change: What became of the picture.

    Returns:
        The block; what was changed; and what was dropped.
    """
    exif = _without_prefix(exif)
    changed: Notes = {}
    dropped: Notes = {}
    first = _first_directory(exif)
    if first is None:
        return exif, changed, dropped
    patched = bytearray(exif)
    if _ORIENTATION in first.entries and first.number(exif, _ORIENTATION) != 1:
        first.set_number(patched, _ORIENTATION, 1)
        changed["orientation"] = None
    if first.end + 4 <= len(exif) and any(exif[first.end : first.end + 4]):
        struct.pack_into(f"{first.order}I", patched, first.end, 0)  # the thumbnail's directory
        dropped["thumbnail"] = None
    for directory in _below(exif, first):
        before = bytes(patched)
        for tag, axis in _SIZES.items():
            if tag in directory.entries:
                directory.set_number(patched, tag, change.after[axis])
        if bytes(patched) != before:
            changed["size"] = None
        if not _follow_subject(patched, directory, change):
            dropped["subject's place"] = None
        elif before != bytes(patched):
            changed["size"] = None
        _follow_resolutions(patched, directory, change)
    return bytes(patched), changed, dropped


def _follow_subject(patched: bytearray, directory: _Directory, change: Change) -> bool:
    """Let the subject's place follow; whether its entries can hold it, else they say nothing any more."""
    held = True
    for tag in _SUBJECTS:
        numbers = directory.numbers(patched, tag) if tag in directory.entries else None
        if numbers is None or len(numbers) not in (2, 3, 4):
            continue
        moved = change.subject([float(number) for number in numbers])
        if not directory.set_numbers(patched, tag, moved):
            directory.set_numbers(patched, tag, [0] * len(moved))
            held = False
    return held


def _follow_resolutions(patched: bytearray, directory: _Directory, change: Change) -> None:
    """Resolutions across and down: they change places with the sides; those of the sensor also grow."""
    for tags, scales in ((_RESOLUTIONS, (1.0, 1.0)), (_SENSOR, change.scales)):
        if not all(tag in directory.entries for tag in tags):
            continue
        values = [directory.ratio(patched, tag) for tag in tags]
        if change.swapped:
            values.reverse()
        for tag, value, scale in zip(tags, values, scales, strict=True):
            if value is not None and (change.swapped or scale != 1):
                directory.set_ratio(patched, tag, value * Fraction(scale))


def with_resolution(exif: bytes, dpi: tuple[float, float], add: bool) -> bytes:
    """The block with this resolution.

    Args:
        exif: The block.
        dpi: Horizontal and vertical pixels per inch.
        add: Whether it is to tell it where it did not; else only what it tells is set.
    """
    first = _first_directory(exif)
    if first is None:
        return of_resolution(dpi) if add else exif
    told = resolution(exif)
    if told is not None and all(abs(a - b) < 0.01 for a, b in zip(told, dpi, strict=True)):
        return exif
    patched = bytearray(exif)
    if all(tag in first.entries for tag in _RESOLUTIONS):
        for tag, value in zip(_RESOLUTIONS, dpi, strict=True):
            first.set_ratio(patched, tag, Fraction(value))
        if _RESOLUTION_UNIT in first.entries:
            first.set_number(patched, _RESOLUTION_UNIT, 2)
        return bytes(patched)
    return _with_entries(exif, first, dpi) if add else exif


def _with_entries(exif: bytes, first: _Directory, dpi: tuple[float, float]) -> bytes:
    """The block with a new first directory at its end, which tells the resolution as well."""
    order = first.order
    own = (*_RESOLUTIONS, _RESOLUTION_UNIT)
    entries = {tag: exif[place : place + 12] for tag, place in first.entries.items() if tag not in own}
    start = len(exif) + len(exif) % 2
    values = start + 2 + 12 * (len(entries) + 3) + 4
    for position, tag in enumerate(_RESOLUTIONS):
        entries[tag] = struct.pack(f"{order}HHII", tag, _RATIONAL, 1, values + 8 * position)
    entries[_RESOLUTION_UNIT] = struct.pack(f"{order}HHIHH", _RESOLUTION_UNIT, _SHORT, 1, 2, 0)
    following = exif[first.end : first.end + 4].ljust(4, b"\0")
    block = (
        struct.pack(f"{order}H", len(entries)) + b"".join(entries[tag] for tag in sorted(entries)) + following
    )
    for value in dpi:
        block += struct.pack(f"{order}II", *_whole(Fraction(value)))
    head = exif[:4] + struct.pack(f"{order}I", start) + exif[8:]
    return head.ljust(start, b"\0") + block


def resolution(exif: bytes | None) -> tuple[float, float] | None:
    """Horizontal and vertical pixels per inch; None if the block does not tell, or there is none."""
    if exif is None:
        return None
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
        directory += struct.pack("<II", *_whole(Fraction(value)))
    return directory


def fit(exif: bytes, most: int) -> tuple[bytes, Notes]:
    """The block without its largest values, so that it has no more bytes; and what these were."""
    dropped: Notes = {}
    if len(exif) <= most:
        return exif, dropped
    tree = read_block(exif)
    while len(pack_exif(tree)) > most:
        where, tag = max(_values(tree), key=lambda one: len(one[0][one[1]][2]), default=(tree, 0))
        if not tag:
            return b"", {"EXIF": None}
        del where[tag]
        dropped[_NAMES.get(tag, f"EXIF entry {tag}")] = None
    return pack_exif(tree), dropped


def has_maker_notes(exif: bytes) -> bool:
    """Whether the maker of the camera has left something in the block that only the maker can read."""
    first = _first_directory(exif)
    return first is not None and any(_MAKER_NOTES in one.entries for one in _below(exif, first))


def _values(tree: Tree) -> Iterator[tuple[Any, int]]:
    """All values of a block: the directory that each stands in, and its tag."""
    for tag, value in tree.items():
        if isinstance(value, dict):
            yield from _values(value)
        else:
            yield tree, tag


def _whole(value: Fraction) -> tuple[int, int]:
    """A ratio as two numbers of 32 bits."""
    value = value.limit_denominator(1000 if value > 1000 else 1 << 20)
    return min(value.numerator, 0xFFFFFFFF), value.denominator


def _without_prefix(exif: bytes) -> bytes:
    return exif.removeprefix(b"Exif\0\0")


def _below(exif: bytes, first: _Directory) -> list[_Directory]:
    """The first directory, and those below it that speak of the picture."""
    found = [first]
    for tag in (_EXIF_DIRECTORY, _INTEROPERABILITY):
        if tag in found[-1].entries:
            inner = _directory(exif, first.order, found[-1].number(exif, tag))
            found += [] if inner is None else [inner]
    return found


@dataclass(frozen=True)
class _Directory:
    """Where a directory's entries lie in the block, and where it ends."""

    order: str  # of the bytes, as struct spells it
    entries: dict[int, int]
    end: int

    def number(self, exif: bytes | bytearray, tag: int) -> int:
        """The entry's value, or where that lies."""
        kind, _, value = struct.unpack_from(f"{self.order}HII", exif, self.entries[tag] + 2)
        return int(
            struct.unpack_from(f"{self.order}H", exif, self.entries[tag] + 8)[0] if kind == _SHORT else value
        )

    def numbers(self, exif: bytes | bytearray, tag: int) -> list[int] | None:
        """The entry's whole numbers; None if they are of another kind, or lie beyond the block."""
        kind, count = struct.unpack_from(f"{self.order}HI", exif, self.entries[tag] + 2)
        letter = {_SHORT: "H", _LONG: "I"}.get(kind)
        if letter is None or not 0 < count <= 4:
            return None
        try:
            return list(struct.unpack_from(f"{self.order}{count}{letter}", exif, self._place(exif, tag)))
        except struct.error:
            return None

    def set_numbers(self, exif: bytearray, tag: int, values: list[int]) -> bool:
        """Set as many numbers as the entry has; whether it can hold them."""
        (kind,) = struct.unpack_from(f"{self.order}H", exif, self.entries[tag] + 2)
        if max(values) >= (1 << 16 if kind == _SHORT else 1 << 32):
            return False
        letters = f"{self.order}{len(values)}{'H' if kind == _SHORT else 'I'}"
        struct.pack_into(letters, exif, self._place(exif, tag), *values)
        return True

    def ratio(self, exif: bytes | bytearray, tag: int) -> Fraction | None:
        """The entry's ratio; None if it has none."""
        kind, count, place = struct.unpack_from(f"{self.order}HII", exif, self.entries[tag] + 2)
        if (kind, count) != (_RATIONAL, 1) or place + 8 > len(exif):
            return None
        above, below = struct.unpack_from(f"{self.order}2I", exif, place)
        return Fraction(above, below) if below else None

    def set_ratio(self, exif: bytearray, tag: int, value: Fraction) -> None:
        """Set the entry's ratio, if it has one."""
        if self.ratio(exif, tag) is not None:
            place = self._place(exif, tag)
            struct.pack_into(f"{self.order}2I", exif, place, *_whole(value))

    def _place(self, exif: bytes | bytearray, tag: int) -> int:
        """Where the entry's values lie."""
        kind, count, value = struct.unpack_from(f"{self.order}HII", exif, self.entries[tag] + 2)
        inline = count * {_SHORT: 2, _LONG: 4}.get(kind, 8) <= 4
        return self.entries[tag] + 8 if inline else int(value)

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
