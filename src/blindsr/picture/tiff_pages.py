"""Pages of TIFF files: which directories are pages, one as a file of its own, and many in one file."""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from errno import EFBIG
from typing import IO

from blindsr.picture.tiff import INNER, SIZES, Layout, following_place, number_in, raw_entries

_WIDTH, _HEIGHT, _KIND, _OLD_KIND = 256, 257, 254, 255
_STRIPS, _TILES = 273, 324
_LETTERS = {3: "H", 4: "I", 16: "Q"}

_BLOCK = 1 << 20


@dataclass(frozen=True)
class Page:
    """A directory of a TIFF file.

    Args:
        place: Where it begins.
        kind: "page"; "smaller", a picture made of the page before it (a level of a pyramid, a thumbnail);
            "mask", its transparency; or "none", no picture at all.
        width: Columns, as told.
        height: Rows, as told.
        link: Place of the bytes that tell where the directory after it begins.
    """

    place: int
    kind: str
    width: int
    height: int
    link: int


def directories(file: IO[bytes], most: int) -> Iterator[Page]:
    """The directories of a TIFF file that follow each other, no more than `most`; the first is a page."""
    layout = Layout.of(file)
    if layout is None:
        return
    place, seen = layout.first, set[int]()
    while place and place not in seen and len(seen) < most:
        pieces = raw_entries(file, layout, place)
        if pieces is None:
            return
        told = {tag: number_in(piece, layout) for tag, piece in reversed(pieces)}
        link = place + struct.calcsize(layout.count) + len(pieces) * layout.entry
        kind = _kind(told) if seen else "page"
        yield Page(place, kind, told.get(_WIDTH, 0), told.get(_HEIGHT, 0), link)
        seen.add(place)
        place = following_place(file, layout, place, len(pieces))


def _kind(told: dict[int, int]) -> str:
    """What a directory behind the first is, by what its entries say."""
    if not (told.get(_WIDTH) and told.get(_HEIGHT)) or not {_STRIPS, _TILES} & told.keys():
        return "none"
    bits = told.get(_KIND, 0)
    if bits & 4:
        return "mask"
    return "smaller" if bits & 1 or told.get(_OLD_KIND) == 2 else "page"


class OnePage(io.RawIOBase):
    """A TIFF file as if it had one page only: all that reads the first page reads this one.

    Two numbers differ from those of the file: where the first directory begins, and that none follows it.

    Args:
        file: The file; it stays the caller's to close.
        page: The page.
    """

    def __init__(self, file: IO[bytes], page: Page) -> None:
        layout = Layout.of(file)
        assert layout is not None
        self._file, self._place = file, 0
        first = struct.pack(layout.place, page.place)
        self._told = {8 if layout.big else 4: first, page.link: bytes(len(first))}

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def seek(self, place: int, whence: int = io.SEEK_SET) -> int:
        """As of any file."""
        if whence == io.SEEK_CUR:
            place, whence = self._place + place, io.SEEK_SET
        self._place = self._file.seek(place, whence)
        return self._place

    def tell(self) -> int:
        """As of any file."""
        return self._place

    def read(self, size: int | None = -1, /) -> bytes:
        """As of any file."""
        self._file.seek(self._place)
        found = bytearray(self._file.read(-1 if size is None else size))
        for place, told in self._told.items():
            start, stop = max(place, self._place), min(place + len(told), self._place + len(found))
            if start < stop:
                found[start - self._place : stop - self._place] = told[start - place : stop - place]
        self._place += len(found)
        return bytes(found)


class PagedFile:
    """A TIFF file that grows by a page at a time.

    Args:
        file: An empty file, open for reading and writing; it stays the caller's to close.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._link = 0  # of the last page
        self._big = False

    def append(self, page: IO[bytes]) -> None:
        """Put a page behind the last one.

        Args:
            page: A file of one page, as libvips and this program write it; all of one kind, classic or
                BigTIFF.

        Raises:
            ValueError: It is of another kind.
            OSError: The disk is full, or the file becomes too large for its kind.
        """
        file, layout = self._file, Layout.of(page)
        if layout is None or layout.order != "<" or (self._link and layout.big != self._big):
            raise ValueError("pages of different kinds of TIFF")
        start = file.seek(0, io.SEEK_END)
        start = file.seek(start + -start % 8)
        page.seek(0)
        while block := page.read(_BLOCK):
            file.write(block)
        place = start + layout.first
        entries = _move(file, layout, place, start)
        if not layout.big and file.seek(0, io.SEEK_END) >= 1 << 32:
            raise OSError(EFBIG, os.strerror(EFBIG))
        if self._link:
            file.seek(self._link)
            file.write(struct.pack(layout.place, place))
        self._link = place + struct.calcsize(layout.count) + entries * layout.entry
        self._big = layout.big


def _move(file: IO[bytes], layout: Layout, place: int, by: int) -> int:
    """Let a directory that was copied so many bytes further on point to where its values are now.

    Returns:
        How many entries it has.
    """
    pieces = raw_entries(file, layout, place) or []
    moved = [_moved(file, layout, piece, by) for _, piece in pieces]
    file.seek(place + struct.calcsize(layout.count))
    file.write(b"".join(moved))
    return len(pieces)


def _moved(file: IO[bytes], layout: Layout, piece: bytes, by: int) -> bytes:
    """An entry of such a directory; what it points to is moved, too."""
    count_letter = "Q" if layout.big else "I"
    tag, kind, count = struct.unpack_from(f"<HH{count_letter}", piece)
    inline = struct.calcsize(layout.place)
    head, value = piece[:-inline], int.from_bytes(piece[-inline:], "little")
    size = count * SIZES.get(kind, 1)
    if tag in INNER:
        _move(file, layout, value + by, by)
    elif tag in (_STRIPS, _TILES):
        file.seek(value + by)
        told = file.read(size) if size > inline else piece[-inline:][:size]
        places = [one + by for one in struct.unpack(f"<{count}{_LETTERS[kind]}", told)]
        # They may have outgrown the type that they were told in.
        head = struct.pack(f"<HH{count_letter}", tag, 16 if layout.big else 4, count)
        packed = struct.pack(f"<{count}{count_letter}", *places)
        if len(packed) <= inline:
            return head + packed
        end = file.seek(0, io.SEEK_END)
        end = file.seek(end + -end % 8)
        file.write(packed)
        return head + struct.pack(layout.place, end)
    elif size <= inline:
        return piece
    return head + struct.pack(layout.place, value + by)
