"""Boxes of AVIF and HEIC files (ISO/IEC 14496-12, 23008-12): what they hold, and how colours are told."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO

from blindsr.picture.metadata.pieces import insert, read_at, size_of

_MOST_BOXES = 1 << 14
_MATRIX, _FULL_RANGE = 6, 0x80
"""How libheif turns colours into brightness and differences where it is not told."""

_AUXILIARY = {
    "alpha": ("alpha", "hevc:2015:auxid:1"),
    "gain map": ("hdrgainmap", "gainmap"),
    "depth map": ("depth", "disparity", "hevc:2015:auxid:2"),
}


@dataclass(frozen=True)
class Box:
    """A box: its name, and where its content begins and ends."""

    name: bytes
    start: int
    end: int


@dataclass
class Pictures:
    """What a file says of its pictures.

    Args:
        colour: The primary picture's code points (primaries, transfer, matrix, full range), where told.
        items: Kinds of the items, by their numbers.
        primary: Number of the primary picture.
        references: (kind, from, to).
        auxiliary: What auxiliary pictures are, by their numbers.
        boxes: Names of the boxes of the file.
    """

    colour: tuple[int, int, int, int] | None = None
    items: dict[int, bytes] = field(default_factory=dict)
    primary: int = 0
    references: list[tuple[bytes, int, int]] = field(default_factory=list)
    auxiliary: dict[int, str] = field(default_factory=dict)
    boxes: list[bytes] = field(default_factory=list)


def boxes(file: IO[bytes], start: int, end: int) -> Iterator[Box]:
    """The boxes between two places."""
    for _ in range(_MOST_BOXES):
        head = read_at(file, start, 16)
        if start + 8 > end or len(head) < 8:
            return
        size, name, begin = int.from_bytes(head[:4], "big"), head[4:8], start + 8
        if size == 1 and len(head) == 16:
            size, begin = int.from_bytes(head[8:], "big"), start + 16
        elif size == 0:
            size = end - start
        if size < begin - start:
            return
        yield Box(name, begin, min(start + size, end))
        start += size


def pictures(file: IO[bytes]) -> Pictures:
    """What a file says of its pictures; of a damaged one what is whole."""
    found = Pictures()
    for top in boxes(file, 0, size_of(file)):
        found.boxes.append(top.name)
        if top.name == b"meta":
            try:
                _read_meta(file, top, found)
            except (struct.error, IndexError):
                continue
    return found


def _read_meta(file: IO[bytes], meta: Box, found: Pictures) -> None:
    associations: dict[int, list[int]] = {}
    properties: list[Box] = []
    for box in boxes(file, meta.start + 4, meta.end):
        content = read_at(file, box.start, min(box.end - box.start, 1 << 20)) if box.name != b"iprp" else b""
        if box.name == b"pitm":
            found.primary = int.from_bytes(content[4 : 6 if content[0] == 0 else 8], "big")
        elif box.name == b"iinf":
            skip = 6 if content[0] == 0 else 8
            for entry in boxes(file, box.start + skip, box.end):
                number, kind = _item(read_at(file, entry.start, 16))
                found.items[number] = kind
        elif box.name == b"iref":
            _read_references(file, box, content[0] > 0, found)
        elif box.name == b"iprp":
            for inner in boxes(file, box.start, box.end):
                if inner.name == b"ipco":
                    properties = list(boxes(file, inner.start, inner.end))
                elif inner.name == b"ipma":
                    associations = _associations(
                        read_at(file, inner.start, min(inner.end - inner.start, 1 << 20))
                    )
    for item, indices in associations.items():
        for index in indices:
            if not 0 < index <= len(properties):
                continue
            one = properties[index - 1]
            content = read_at(file, one.start, min(one.end - one.start, 256))
            if one.name == b"auxC":
                found.auxiliary[item] = _auxiliary(content[4:].partition(b"\0")[0].decode("latin-1"))
            told = one.name == b"colr" and content[:4] == b"nclx" and len(content) >= 11
            if told and (item == found.primary or found.colour is None):
                found.colour = (*struct.unpack_from(">3H", content, 4), content[10] >> 7)


def _item(entry: bytes) -> tuple[int, bytes]:
    """Number and kind of an item."""
    wide = entry[0] >= 3
    (number,) = struct.unpack_from(">I" if wide else ">H", entry, 4)
    place = 4 + (4 if wide else 2) + 2
    return number, entry[place : place + 4]


def _read_references(file: IO[bytes], box: Box, wide: bool, found: Pictures) -> None:
    letter = "I" if wide else "H"
    for one in boxes(file, box.start + 4, box.end):
        content = read_at(file, one.start, min(one.end - one.start, 1 << 16))
        (source,) = struct.unpack_from(f">{letter}", content)
        (count,) = struct.unpack_from(">H", content, struct.calcsize(letter))
        if len(found.references) > _MOST_BOXES:
            return
        targets = struct.unpack_from(f">{count}{letter}", content, struct.calcsize(letter) + 2)
        found.references += [(one.name, source, target) for target in targets]


def _associations(content: bytes) -> dict[int, list[int]]:
    """Numbers of the properties of each item."""
    version, wide = content[0], content[3] & 1
    (count,) = struct.unpack_from(">I", content, 4)
    place, found = 8, {}
    for _ in range(min(count, _MOST_BOXES)):
        (item,) = struct.unpack_from(">I" if version else ">H", content, place)
        place += 4 if version else 2
        number = content[place]
        place += 1
        letter = "H" if wide else "B"
        indices = struct.unpack_from(f">{number}{letter}", content, place)
        place += number * (2 if wide else 1)
        found[item] = [index & (0x7FFF if wide else 0x7F) for index in indices]
    return found


def _auxiliary(urn: str) -> str:
    """What an auxiliary picture is, for people."""
    last = urn.lower()
    return next(
        (name for name, ends in _AUXILIARY.items() if any(end in last for end in ends)), "auxiliary picture"
    )


def set_colour(file: IO[bytes], primaries: int, transfer: int) -> bool:
    """Tell the colours of a written file; whether it could be done.

    Libheif has no way to say them. Their box goes behind the other properties, and what follows moves.

    Args:
        file: Open for reading and writing.
        primaries: As in H.273.
        transfer: As in H.273.
    """
    meta = next((box for box in boxes(file, 0, size_of(file)) if box.name == b"meta"), None)
    if meta is None:
        return False
    content = read_at(file, meta.start, meta.end - meta.start)
    colour = b"nclx" + struct.pack(">3HB", primaries, transfer, _MATRIX, _FULL_RANGE)
    made = _with_property(content, pictures(file).primary, _box(b"colr", colour))
    if made is None:
        return False
    longer = len(made) - len(content)
    for entry in _locations(made).values():
        _add(made, entry, longer)
    insert(file, meta.end, bytes(longer))
    file.seek(meta.start - 8)
    file.write(_box(b"meta", bytes(made)))
    return True


def set_exif(file: IO[bytes], exif: bytes) -> bool:
    """Let a written file that has an EXIF block have this one, at its end; whether it could be done.

    Args:
        file: Open for reading and writing.
        exif: The block.
    """
    number = next((number for number, kind in pictures(file).items.items() if kind == b"Exif"), None)
    meta = next((box for box in boxes(file, 0, size_of(file)) if box.name == b"meta"), None)
    if meta is None or number is None:
        return False
    content = bytearray(read_at(file, meta.start, meta.end - meta.start))
    entry = _locations(content).get(number)
    if entry is None or len(entry.extents) != 1:
        return False
    end = size_of(file)
    file.write(_box(b"mdat", struct.pack(">I", 0) + exif))
    if entry.base is not None:
        struct.pack_into(">I", content, entry.base, 0)
    struct.pack_into(">II", content, entry.extents[0], end + 8, 4 + len(exif))
    file.seek(meta.start)
    file.write(content)
    return True


def _box(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), name) + content


def _with_property(meta: bytes, primary: int, one: bytes) -> bytearray | None:
    """A box of metadata whose picture has one property more; None of one that is not as libheif writes it."""
    made = bytearray(meta[:4])
    for box in _boxes_in(meta, 4):
        content = meta[box.start : box.end]
        if box.name == b"iprp":
            parts = {inner.name: content[inner.start : inner.end] for inner in _boxes_in(content, 0)}
            known = sum(1 for _ in _boxes_in(parts.get(b"ipco", b""), 0))
            links = _linked(parts.get(b"ipma", b""), primary, known + 1)
            if set(parts) != {b"ipco", b"ipma"} or links is None:
                return None
            content = _box(b"ipco", parts[b"ipco"] + one) + _box(b"ipma", links)
        made += _box(box.name, content)
    return made


def _linked(links: bytes, item: int, index: int) -> bytes | None:
    """The properties of all items, with one more of one item; None of another layout."""
    # Version 0 without flags: numbers of items have two bytes, those of properties seven bits.
    if links[:4] != bytes(4) or index > 127:
        return None
    place = 8
    while place + 3 <= len(links):
        count = links[place + 2]
        if int.from_bytes(links[place : place + 2], "big") == item:
            end = place + 3 + count
            return (
                links[: place + 2]
                + bytes((count + 1,))
                + links[place + 3 : end]
                + bytes((index,))
                + links[end:]
            )
        place += 3 + count
    return None


def _boxes_in(content: bytes, start: int) -> Iterator[Box]:
    return boxes(io.BytesIO(content), start, len(content))


@dataclass(frozen=True)
class _Location:
    """Where it is told where an item lies: places of the numbers of 32 bits within the box of metadata.

    Args:
        base: Of the number that counts for all its extents; None if there is none.
        extents: Of each extent's own place, which its length follows.
    """

    base: int | None
    extents: list[int]


def _add(content: bytearray, entry: _Location, number: int) -> None:
    """Let an item lie that much further behind."""
    for place in entry.extents if entry.base is None else [entry.base]:
        struct.pack_into(">I", content, place, struct.unpack_from(">I", content, place)[0] + number)


def _locations(meta: bytes | bytearray) -> dict[int, _Location]:
    """Where the items' places are told, as libheif writes them; none of a box of another layout."""
    box = next((box for box in _boxes_in(bytes(meta), 4) if box.name == b"iloc"), None)
    if (
        box is None
        or meta[box.start] > 1
        or meta[box.start + 4] != 0x44
        or meta[box.start + 5] not in (0, 0x40)
    ):
        return {}
    version, has_base, place = meta[box.start], meta[box.start + 5] == 0x40, box.start + 8
    found: dict[int, _Location] = {}
    for _ in range(struct.unpack_from(">H", meta, box.start + 6)[0]):
        (number,) = struct.unpack_from(">H", meta, place)
        place += 4 + 2 * version
        base = place if has_base else None
        place += 4 * has_base
        (count,) = struct.unpack_from(">H", meta, place)
        found[number] = _Location(base, [place + 2 + 8 * extent for extent in range(count)])
        place += 2 + 8 * count
    return found
