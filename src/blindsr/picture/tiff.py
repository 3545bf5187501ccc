"""What of TIFF files libvips leaves to us: a header for plain samples, and EXIF, which it passes over.

A TIFF file (TIFF 6.0; BigTIFF with 64-bit places) is a header and directories of entries: a tag, a type, a
count, and the values or where they lie. An EXIF block is such a file without a picture.
"""

from __future__ import annotations

import io
import logging
import struct
from bisect import bisect_left
from dataclasses import dataclass, field
from fractions import Fraction
from typing import IO

log = logging.getLogger(__name__)

_TYPES = {1: "B", 2: "s", 3: "H", 4: "I", 5: "II", 6: "b", 7: "s", 8: "h", 9: "i", 10: "ii", 11: "f", 12: "d"}
"""Numbers of the types -> the struct letters of one value."""

SIZES = {
    **{kind: struct.calcsize(f"<{letters}") for kind, letters in _TYPES.items()},
    13: 4,
    16: 8,
    17: 8,
    18: 8,
}
"""The same -> bytes of one value; also of directories and of the types of 64 bits."""

DESCRIPTIVE = frozenset(
    (
        *(0x010D, 0x010E, 0x010F, 0x0110, 0x011D, 0x0131, 0x0132, 0x013B, 0x013C),
        *(0x4746, 0x4749, 0x8298, 0x9C9B, 0x9C9C, 0x9C9D, 0x9C9E, 0x9C9F),
    )
)
"""Names of document and page, description, maker, model, software, date, artist, computer, rating, copyright,
and the same as Windows writes them."""

INNER = frozenset((0x8769, 0x8825, 0xA005))
"""Entries that point to directories: EXIF, GPS, interoperability."""

LARGEST_EXIF = 1 << 20
"""Bytes of an EXIF block: what is larger was not written by a camera."""

_MOST_ENTRIES = 4096  # of a directory, and of all directories of a block
_DEEPEST = 2  # EXIF below the first directory, interoperability below EXIF
_SHARED = 64  # bytes of a value that several entries may point to: equal dates or resolutions in one place

_BLOCK_TAGS = {259: "compression", 278: "rows", 284: "planes", 322: "tile_width", 323: "tile_height"}
_BY_ROWS = frozenset((1, 2, 3, 4, 5, 7, 8, 32773, 32946, 34925, 50000))
"""Compressions that are undone row by row: none, fax, LZW, JPEG, deflate, PackBits, LZMA, Zstandard."""

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


@dataclass(frozen=True)
class Blocks:
    """How the first picture of a file is cut into strips or tiles.

    Of a number that is told more than once the largest counts: decoders differ in which of them they believe.

    Args:
        rows: Of a strip, as told.
        tile_width: Columns of a tile; 0 of a picture in strips.
        tile_height: Rows of a tile.
        planes: 2 where each band lies by itself.
        compression: Numbers of the compressions told.
    """

    rows: int
    tile_width: int
    tile_height: int
    planes: int
    compression: frozenset[int]

    @classmethod
    def of(cls, file: IO[bytes]) -> Blocks | None:
        """None if it is no TIFF file, or has no whole directory."""
        layout = Layout.of(file)
        pieces = None if layout is None else raw_entries(file, layout, layout.first)
        if layout is None or pieces is None:
            return None
        told: dict[str, set[int]] = {name: set() for name in _BLOCK_TAGS.values()}
        for tag, piece in pieces:
            if tag in _BLOCK_TAGS:
                told[_BLOCK_TAGS[tag]].add(number_in(piece, layout))
        compression = frozenset(told.pop("compression") or {1})
        largest = {name: max(values, default=0) for name, values in told.items()}
        return cls(**largest, compression=compression)

    def held(self, width: int, height: int, pixel: int) -> int:
        """Bytes that libvips takes for them, beyond the rows of the picture.

        Args:
            width: Columns of the picture.
            height: Its rows.
            pixel: Bytes of a pixel.
        """
        if self.tile_width and self.tile_height:  # two rows of tiles
            across = -(-width // self.tile_width)
            return 2 * across * self.tile_width * self.tile_height * pixel
        if self.planes == 2 or not self.compression <= _BY_ROWS:  # a strip as it is stored, and one in order
            return 2 * width * min(self.rows or height, height) * pixel
        return 0


def claimed_bytes(file: IO[bytes], most: int) -> int:
    """Bytes that the entries of all pictures of a file claim beyond twice those that it has.

    Decoders read each, and may read the same bytes for thousands of them.

    Args:
        file: The file; where it stands does not matter.
        most: It is enough to know that they are more than this.

    Returns:
        0 of a file whose entries claim bytes of their own, and of one that is no TIFF file.
    """
    layout = Layout.of(file)
    if layout is None:
        return 0
    place, seen, claimed = layout.first, set[int](), -2 * file.seek(0, io.SEEK_END)
    while place and place not in seen and claimed <= most:
        seen.add(place)
        pieces = raw_entries(file, layout, place)
        if pieces is None:
            break
        for _, piece in pieces:
            kind, count = struct.unpack_from(f"{layout.order}H{'Q' if layout.big else 'I'}", piece, 2)
            claimed += layout.entry + count * SIZES.get(kind, 0)
        place = following_place(file, layout, place, len(pieces))
    return max(0, claimed)


def read_exif(file: IO[bytes], name: object = "") -> bytes | None:
    """The EXIF block of a TIFF file: what its first directory and those below it say of how it was taken.

    What claims more than a camera writes (`LARGEST_EXIF`, too many entries, directories or values in each
    other's place) is left out, and the log says so.

    Args:
        file: The file; where it stands does not matter.
        name: What the log calls it.

    Returns:
        A block as JPEG files carry it, without prefix; None if the file says nothing, or nothing whole.
    """
    layout = Layout.of(file)
    if layout is None:
        return None
    tree = _read_tree(file, layout, DESCRIPTIVE | INNER, name)
    if not tree:
        return None
    block = pack_exif(tree)
    return block if len(block) <= LARGEST_EXIF else None


def read_tags(file: IO[bytes], wanted: frozenset[int], most: int) -> Tree:
    """What the first directory of a TIFF file says under these tags.

    Args:
        file: The file.
        wanted: The tags.
        most: Bytes that all values may take.
    """
    layout = Layout.of(file)
    if layout is None:
        return {}
    return _read_directory(file, layout, layout.first, _Budget(copied=most), wanted)


def size_told(file: IO[bytes]) -> tuple[int, int] | None:
    """(width, height) of the first picture of a TIFF file; None where it does not say."""
    tags = read_tags(file, frozenset((256, 257)), 1 << 10)
    sides = [
        int.from_bytes(value[2], "little") for _, value in sorted(tags.items()) if isinstance(value, tuple)
    ]
    return (sides[0], sides[1]) if len(sides) == 2 and min(sides) > 0 else None


def told_blocks(file: IO[bytes], exif: bytes | None) -> dict[str, bytes | None]:
    """Colour profile and XMP packet of a TIFF file, with its EXIF block, which gets its orientation."""
    tags = read_tags(file, frozenset((274, 700, 34675)), 1 << 24)
    blocks = {tag: value[2] for tag, value in tags.items() if isinstance(value, tuple)}
    if 274 in blocks:
        tree = {} if exif is None else read_block(exif)
        exif = pack_exif({**tree, 274: (3, 1, blocks[274][:2])})
    return {"icc": blocks.get(34675), "exif": exif, "xmp": blocks.get(700)}


def tag_numbers(file: IO[bytes]) -> list[int]:
    """The tags of the first directory of a TIFF file."""
    layout = Layout.of(file)
    pieces = None if layout is None else raw_entries(file, layout, layout.first)
    return [tag for tag, _ in pieces or ()]


def pack_exif(tree: Tree) -> bytes:
    """A directory and those below it as an EXIF block."""
    return b"II*\0" + struct.pack("<I", 8) + _pack_tree(tree, 8, _CLASSIC)


def read_block(exif: bytes, name: object = "") -> Tree:
    """All that an EXIF block says; of one that is damaged what is whole."""
    block = io.BytesIO(exif)
    layout = Layout.of(block)
    return {} if layout is None else _read_tree(block, layout, None, name)


def add_exif(file: IO[bytes], exif: bytes, name: object = "") -> None:
    """Put an EXIF block into a TIFF file: its first directory is written anew, at the end.

    Args:
        file: A little-endian file open for reading and writing.
        exif: The block; one that is damaged adds nothing.
        name: What the log calls the file, where it leaves a part of the block out.
    """
    add_tags(file, exif_tags(exif, name))


def exif_tags(exif: bytes, name: object = "") -> Tree:
    """What of an EXIF block belongs into the first directory of a TIFF file."""
    block = io.BytesIO(exif)
    layout = Layout.of(block)
    return {} if layout is None else _read_tree(block, layout, DESCRIPTIVE | INNER, name)


def resolution_tags(sides: tuple[float, float], unit: int) -> Tree:
    """Entries that tell a resolution across and down.

    Args:
        sides: Pixels per unit.
        unit: 1 for none, 2 for an inch.
    """
    ratios = [Fraction(side).limit_denominator(10000) for side in sides]
    packed = [struct.pack("<II", min(ratio.numerator, 0xFFFFFFFF), ratio.denominator) for ratio in ratios]
    return {282: (5, 1, packed[0]), 283: (5, 1, packed[1]), 296: (3, 1, struct.pack("<H", unit))}


def add_tags(file: IO[bytes], tree: Tree, unwanted: frozenset[int] = frozenset()) -> None:
    """Put entries into a TIFF file: its first directory is written anew, at the end.

    Args:
        file: A little-endian file open for reading and writing.
        tree: The entries; those that are there already stay as they are.
        unwanted: Tags that it is not to have any more.
    """
    target = Layout.of(file)
    pieces = None if target is None or target.order != "<" else raw_entries(file, target, target.first)
    if target is None or pieces is None:
        return
    entries = {tag: piece for tag, piece in pieces if tag not in unwanted}
    added = {tag: value for tag, value in tree.items() if tag not in entries}
    if not added and len(entries) == len(pieces):
        return
    end = file.seek(0, 2)
    end += -end % 8
    file.seek(end)
    file.write(_pack_tree(added, end, target, entries))
    file.seek(8 if target.big else 4)
    file.write(struct.pack("<Q" if target.big else "<I", end))


@dataclass(frozen=True)
class Layout:
    """How a TIFF file is laid out."""

    order: str  # of the bytes, as struct spells it
    big: bool
    first: int  # place of the first directory

    @classmethod
    def of(cls, file: IO[bytes]) -> Layout | None:
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


_CLASSIC = Layout("<", False, 8)


def _read(file: IO[bytes], place: int, count: int) -> bytes:
    """Up to so many bytes from a place."""
    try:
        file.seek(place)
    except (OverflowError, OSError, ValueError):  # a place that no file has
        return b""
    return file.read(count)


def raw_entries(file: IO[bytes], layout: Layout, place: int) -> list[tuple[int, bytes]] | None:
    """The entries of a directory as they stand, with their tags; None if it is not whole."""
    size = struct.calcsize(layout.count)
    head = _read(file, place, size)
    if len(head) < size:
        return None
    (count,) = struct.unpack(layout.count, head)
    if count > _MOST_ENTRIES:  # no camera and no program writes so many, and libtiff reads no more
        return None
    raw = _read(file, place + size, count * layout.entry)
    if len(raw) < count * layout.entry:
        return None
    pieces = [raw[i : i + layout.entry] for i in range(0, len(raw), layout.entry)]
    return [(struct.unpack_from(f"{layout.order}H", piece)[0], piece) for piece in pieces]


def following_place(file: IO[bytes], layout: Layout, place: int, entries: int) -> int:
    """Place of the directory that follows one of so many entries; 0 if none does."""
    size = struct.calcsize(layout.place)
    place += struct.calcsize(layout.count) + entries * layout.entry
    told = _read(file, place, size)
    return int(struct.unpack(layout.place, told)[0]) if len(told) == size else 0


def number_in(piece: bytes, layout: Layout) -> int:
    """The value of an entry that holds one whole number; 0 of any other."""
    (kind,) = struct.unpack_from(f"{layout.order}H", piece, 2)
    letter = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 16: "Q", 17: "q"}.get(kind)
    inline = struct.calcsize(layout.place)
    if letter is None or struct.calcsize(letter) > inline:
        return 0
    return int(struct.unpack_from(f"{layout.order}{letter}", piece, len(piece) - inline)[0])


@dataclass
class _Budget:
    """What may still be read of an EXIF block, so that a small file cannot become a large one.

    Args:
        entries: That may be looked at.
        copied: Bytes that may be copied.
        taken: Start and end of what was read already, in order: no byte is read as two things.
        exceeded: Whether something was left out, or a directory is not whole.
    """

    entries: int = _MOST_ENTRIES
    copied: int = LARGEST_EXIF
    taken: list[tuple[int, int]] = field(default_factory=list)
    exceeded: bool = False

    def take(self, start: int, size: int, shared: int = 0) -> bool:
        """Whether these bytes may be read; again only where they are no more than `shared`."""
        span = start, start + size
        at = bisect_left(self.taken, span)
        beside = self.taken[max(0, at - 1) : at + 1]
        again = span in beside and size <= shared
        fits = size <= self.copied and (
            again or all(end <= start or span[1] <= first for first, end in beside)
        )
        if fits:
            self.copied -= size
            if not again:
                self.taken.insert(at, span)
        self.exceeded |= not fits
        return fits

    def count(self, entries: int) -> bool:
        """Whether so many entries more may be looked at."""
        fits = entries <= self.entries
        self.entries -= entries if fits else 0
        self.exceeded |= not fits
        return fits


def _read_tree(file: IO[bytes], layout: Layout, wanted: frozenset[int] | None, name: object) -> Tree:
    """What is wanted of the first directory, None for all, and all of those below it, within the budget."""
    budget = _Budget()
    tree = _read_directory(file, layout, layout.first, budget, wanted)
    if budget.exceeded:
        log.warning("%s: a part of its EXIF is left out; it is damaged, or claims more than it holds", name)
    return tree


def _read_directory(
    file: IO[bytes],
    layout: Layout,
    place: int,
    budget: _Budget,
    wanted: frozenset[int] | None = None,
    depth: int = 0,
) -> Tree:
    """A directory and those below it; entries that are not whole, or of unknown types, are left out."""
    tree: Tree = {}
    pieces = raw_entries(file, layout, place)
    if pieces is None:
        budget.exceeded = True
        return tree
    size = struct.calcsize(layout.count) + len(pieces) * layout.entry
    if not pieces or not budget.count(len(pieces)) or not budget.take(place, size):
        return tree
    for tag, piece in dict(pieces).items():
        if wanted is not None and tag not in wanted:
            continue
        kind, count = struct.unpack_from(f"{layout.order}H{'Q' if layout.big else 'I'}", piece, 2)
        inline = piece[-struct.calcsize(layout.place) :]
        (value,) = struct.unpack(layout.place, inline)
        if tag in INNER:
            if kind == 3:
                (value,) = struct.unpack_from(f"{layout.order}H", inline)
            inner = _read_directory(file, layout, value, budget, None, depth + 1) if depth < _DEEPEST else {}
            if inner:
                tree[tag] = inner
            continue
        letters = _TYPES.get(kind)
        if letters is None or count < 1:
            continue
        size = count * struct.calcsize(f"<{letters}")
        if size <= len(inline):
            packed = inline[:size]
        elif budget.take(value, size, _SHARED):
            packed = _read(file, value, size)
        else:
            continue
        if len(packed) == size:
            tree[tag] = kind, count, _to_little_endian(packed, letters, layout.order)
    return tree


def _to_little_endian(packed: bytes, letters: str, order: str) -> bytes:
    """Values in the other order of their bytes, where that is needed."""
    if order == "<" or letters in ("s", "B", "b"):
        return packed
    width = struct.calcsize(f"<{letters[0]}")
    turned = bytearray(len(packed))
    for byte in range(width):
        turned[byte::width] = packed[width - 1 - byte :: width]
    return bytes(turned)


def _pack_tree(tree: Tree, place: int, layout: Layout, entries: dict[int, bytes] | None = None) -> bytes:
    """Bytes of a directory that is to stand at `place`, with `entries` that are packed already."""
    entries = dict(entries or {})
    inline = struct.calcsize(layout.place)
    tags = sorted({*tree, *entries})
    size = struct.calcsize(layout.count)
    after = place + size + len(tags) * layout.entry + inline
    blob = bytearray()
    for tag, value in sorted(tree.items()):
        blob += bytes(-len(blob) % 2)
        if isinstance(value, dict):
            kind, count, packed = 16 if layout.big else 4, 1, struct.pack(layout.place, after + len(blob))
            blob += _pack_tree(value, after + len(blob), layout)
        else:
            kind, count, packed = value
            if len(packed) > inline:
                where = struct.pack(layout.place, after + len(blob))
                blob += packed
                packed = where
        head = struct.pack(f"<HH{'Q' if layout.big else 'I'}", tag, kind, count)
        entries[tag] = head + packed.ljust(inline, b"\0")
    directory = struct.pack(layout.count, len(tags)) + b"".join(entries[tag] for tag in tags)
    return directory + bytes(inline) + blob
