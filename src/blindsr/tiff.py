"""What of TIFF files libvips leaves to us: a header for plain samples, and EXIF, which it passes over.

A TIFF file (TIFF 6.0; BigTIFF with 64-bit places) is a header and directories of entries: a tag, a type, a
count, and the values or where they lie. An EXIF block is such a file without a picture.
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from typing import IO

_TYPES = {1: "B", 2: "s", 3: "H", 4: "I", 5: "II", 6: "b", 7: "s", 8: "h", 9: "i", 10: "ii", 11: "f", 12: "d"}
"""Numbers of the types -> the struct letters of one value."""

_DESCRIPTIVE = frozenset(
    (0x010E, 0x010F, 0x0110, 0x0131, 0x0132, 0x013B, 0x8298, 0x9C9B, 0x9C9C, 0x9C9D, 0x9C9E, 0x9C9F)
)
"""Description, maker, model, software, date, artist, copyright, and the same as Windows writes them."""

_INNER = frozenset((0x8769, 0x8825, 0xA005))
"""Entries that point to directories: EXIF, GPS, interoperability."""

_LARGEST = 1 << 20  # bytes of an EXIF block: what is larger was not written by a camera

Entry = tuple[int, int, bytes]
"""Type, count, and the values in little-endian order."""

Tree = dict[int, "Entry | Tree"]
"""A directory: entries, and the directories below it, by tag."""


def sample_header(height: int, width: int, bands: int, bits: int) -> bytes:
    """What stands before plain little-endian samples, row by row, to make them a BigTIFF file.

    Args:
        height: Rows.
        width: Columns.
        bands: Samples a pixel; the second or the fourth is alpha.
        bits: Of a sample.
    """
    row = width * bands * bits // 8
    rows = max(1, min(height, (1 << 20) // row))  # of a strip
    strips = -(-height // rows)
    sizes = [min(rows, height - i * rows) * row for i in range(strips)]
    entries: list[tuple[int, str, list[int]]] = [
        (256, "I", [width]),
        (257, "I", [height]),
        (258, "H", [bits] * bands),
        (259, "H", [1]),  # no compression
        (262, "H", [2 if bands >= 3 else 1]),  # RGB or gray
        (273, "Q", [0] * strips),  # places of the strips: filled in below
        (277, "H", [bands]),
        (278, "I", [rows]),
        (279, "Q", sizes),
    ]
    if bands in (2, 4):
        entries.append((338, "H", [2]))  # the last band is alpha
    body = 16 + 8 + 20 * len(entries) + 8
    start = body + sum(struct.calcsize(f"<{len(values)}{kind}") + 8 for _, kind, values in entries)
    start = -(-start // 4096) * 4096
    offsets = [start + i * rows * row for i in range(strips)]
    directory, blob = struct.pack("<Q", len(entries)), b""
    for tag, kind, values in entries:
        packed = struct.pack(f"<{len(values)}{kind}", *(offsets if tag == 273 else values))
        number = {"H": 3, "I": 4, "Q": 16}[kind]
        if len(packed) > 8:
            place = struct.pack("<Q", body + len(blob))
            blob += packed + bytes(-len(packed) % 8)
        else:
            place = packed.ljust(8, b"\0")
        directory += struct.pack("<HHQ", tag, number, len(values)) + place
    head = struct.pack("<2sHHHQ", b"II", 43, 8, 0, 16) + directory + bytes(8) + blob
    return head.ljust(start, b"\0")


def read_exif(file: IO[bytes]) -> bytes | None:
    """The EXIF block of a TIFF file: what its first directory and those below it say of how it was taken.

    Args:
        file: The file; where it stands does not matter.

    Returns:
        A block as JPEG files carry it, without prefix; None if the file says nothing, or nothing whole.
    """
    layout = _Layout.of(file)
    if layout is None:
        return None
    tree = _read_tree(file, layout, layout.first, _DESCRIPTIVE | _INNER)
    if not tree:
        return None
    block = b"II*\0" + struct.pack("<I", 8) + _pack_tree(tree, 8, _CLASSIC)
    return block if len(block) <= _LARGEST else None


def add_exif(file: IO[bytes], exif: bytes) -> None:
    """Put an EXIF block into a TIFF file: its first directory is written anew, at the end.

    Args:
        file: A little-endian file open for reading and writing.
        exif: The block; one that is damaged adds nothing.
    """
    block = io.BytesIO(exif)
    source, target = _Layout.of(block), _Layout.of(file)
    if source is None or target is None or target.order != "<":
        return
    tree = _read_tree(block, source, source.first, _DESCRIPTIVE | _INNER)
    if not tree:
        return
    entries = _raw_entries(file, target, target.first)
    if entries is None:
        return
    added = {tag: value for tag, value in tree.items() if tag not in entries}
    end = file.seek(0, 2)
    end += -end % 8
    file.seek(end)
    file.write(_pack_tree(added, end, target, entries))
    file.seek(8 if target.big else 4)
    file.write(struct.pack("<Q" if target.big else "<I", end))


@dataclass(frozen=True)
class _Layout:
    """How a file is laid out."""

    order: str  # of the bytes, as struct spells it
    big: bool
    first: int  # place of the first directory

    @classmethod
    def of(cls, file: IO[bytes]) -> _Layout | None:
        """None if it is no TIFF file."""
        head = _read(file, 0, 16)
        order = {b"II": "<", b"MM": ">"}.get(head[:2])
        if order is None or len(head) < 8:
            return None
        (version,) = struct.unpack_from(f"{order}H", head, 2)
        if version == 42:
            return cls(order, False, struct.unpack_from(f"{order}I", head, 4)[0])
        if version == 43 and len(head) == 16:
            return cls(order, True, struct.unpack_from(f"{order}Q", head, 8)[0])
        return None

    @property
    def entry(self) -> int:
        """Bytes of an entry."""
        return 20 if self.big else 12

    @property
    def count(self) -> str:
        """How many entries there are, as struct spells it."""
        return f"{self.order}{'Q' if self.big else 'H'}"

    @property
    def place(self) -> str:
        """A place in the file, as struct spells it."""
        return f"{self.order}{'Q' if self.big else 'I'}"


_CLASSIC = _Layout("<", False, 8)


def _read(file: IO[bytes], place: int, count: int) -> bytes:
    """Up to so many bytes from a place."""
    try:
        file.seek(place)
    except (OverflowError, OSError, ValueError):  # a place that no file has
        return b""
    return file.read(count)


def _raw_entries(file: IO[bytes], layout: _Layout, place: int) -> dict[int, bytes] | None:
    """The entries of a directory as they stand, by tag; None if it is not whole."""
    size = struct.calcsize(layout.count)
    head = _read(file, place, size)
    if len(head) < size:
        return None
    (count,) = struct.unpack(layout.count, head)
    if count > 4096:  # no camera and no program writes so many
        return None
    raw = _read(file, place + size, count * layout.entry)
    if len(raw) < count * layout.entry:
        return None
    pieces = [raw[i : i + layout.entry] for i in range(0, len(raw), layout.entry)]
    return {struct.unpack_from(f"{layout.order}H", piece)[0]: piece for piece in pieces}


def _read_tree(
    file: IO[bytes], layout: _Layout, place: int, wanted: frozenset[int] | None, depth: int = 0
) -> Tree:
    """A directory and those below it; entries that are not whole, or of unknown types, are left out."""
    tree: Tree = {}
    for tag, piece in (_raw_entries(file, layout, place) or {}).items():
        if wanted is not None and tag not in wanted:
            continue
        kind, count = struct.unpack_from(f"{layout.order}H{'Q' if layout.big else 'I'}", piece, 2)
        field = piece[-struct.calcsize(layout.place) :]
        (value,) = struct.unpack(layout.place, field)
        if tag in _INNER:
            if kind == 3:
                (value,) = struct.unpack_from(f"{layout.order}H", field)
            inner = _read_tree(file, layout, value, None, depth + 1) if depth < 2 else {}
            if inner:
                tree[tag] = inner
            continue
        letters = _TYPES.get(kind)
        if letters is None or not 0 < count <= _LARGEST:
            continue
        size = count if letters == "s" else struct.calcsize(f"<{letters * count}")
        packed = field[:size] if size <= len(field) else _read(file, value, size)
        if size <= _LARGEST and len(packed) == size:
            tree[tag] = kind, count, _to_little_endian(packed, letters, layout.order)
    return tree


def _to_little_endian(packed: bytes, letters: str, order: str) -> bytes:
    if order == "<" or letters in ("s", "B", "b"):
        return packed
    width = struct.calcsize(f"<{letters[0]}")
    return b"".join(packed[i : i + width][::-1] for i in range(0, len(packed), width))


def _pack_tree(tree: Tree, place: int, layout: _Layout, entries: dict[int, bytes] | None = None) -> bytes:
    """Bytes of a directory that is to stand at `place`, with `entries` that are packed already."""
    entries = dict(entries or {})
    inline = struct.calcsize(layout.place)
    tags = sorted({*tree, *entries})
    size = struct.calcsize(layout.count)
    after = place + size + len(tags) * layout.entry + inline
    blob = b""
    for tag, value in sorted(tree.items()):
        blob += bytes(-len(blob) % 2)
        if isinstance(value, dict):
            kind, count, field = 16 if layout.big else 4, 1, struct.pack(layout.place, after + len(blob))
            blob += _pack_tree(value, after + len(blob), layout)
        else:
            kind, count, field = value
            if len(field) > inline:
                blob, field = blob + field, struct.pack(layout.place, after + len(blob))
        head = struct.pack(f"<HH{'Q' if layout.big else 'I'}", tag, kind, count)
        entries[tag] = head + field.ljust(inline, b"\0")
    directory = struct.pack(layout.count, len(tags)) + b"".join(entries[tag] for tag in tags)
    return directory + bytes(inline) + blob
