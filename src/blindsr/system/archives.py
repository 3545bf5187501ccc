"""What archives hold that anybody may have made: members, their names and sizes, all within bounds."""

from __future__ import annotations

import io
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO, Any

from blindsr.system.memory import show_bytes
from blindsr.system.untrusted import shorten

__all__ = ["BLOCK", "DAMAGED", "Member", "gunzip", "open_zip", "tar_members", "zip_members"]

MEMBERS = 10_000
"""Most members of an archive, folders included."""

NAME = 1024
"""Most bytes of a member's name."""

DAMAGED = (
    ValueError, LookupError, OSError, EOFError, NotImplementedError, RuntimeError, OverflowError,
    struct.error, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
"""What reading an archive raises that is none, or a damaged one."""

BLOCK = 1 << 18
"""Bytes that are read of a member at once."""

_DIRECTORY = 4 << 20  # bytes in which a .zip tells of its members
_EXTENSION = 1 << 16  # bytes of what precedes a member of a .tar: its long name, and the like
_SECTOR = 512
_STREAMS = 1000


@dataclass(frozen=True)
class Member:
    """A file, a folder or something else in an archive.

    Args:
        name: Its path, as the archive writes it.
        size: Bytes that it says to have.
        kind: "file", "folder", or "other" for links, devices and the like.
        blocks: Its content, piece by piece, of a file. Taking raises one of `DAMAGED`.
    """

    name: str
    size: int
    kind: str
    blocks: Callable[[], Iterator[bytes]]


def open_zip(file: IO[bytes], members: int = MEMBERS) -> zipfile.ZipFile:
    """Open a .zip file whose directory is no larger than so many members need.

    Raises:
        ValueError: It has more of them; or another of `DAMAGED`.
    """
    if file.read(2) != b"PK":
        raise ValueError("File is not a zip file")
    file.seek(0)
    archive = zipfile.ZipFile(_Sparing(file))
    if len(archive.infolist()) > members:
        raise ValueError(f"more than {members} members")
    return archive


def zip_members(archive: zipfile.ZipFile) -> Iterator[Member]:
    """The members of a .zip file.

    Raises:
        ValueError: A name is too long, or a member is packed in a way not read here; or another of `DAMAGED`.
    """
    for entry in archive.infolist():
        _check_name(entry.filename)
        if entry.flag_bits & 1 or entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError(f"{shorten(entry.filename)} is encrypted or packed in a way not read here")
        is_link = stat.S_ISLNK(entry.external_attr >> 16)
        kind = "other" if is_link else "folder" if entry.is_dir() else "file"

        def blocks(entry: zipfile.ZipInfo = entry) -> Iterator[bytes]:
            with archive.open(entry) as content:
                while block := content.read(BLOCK):
                    yield block

        yield Member(entry.filename, entry.file_size, kind, blocks)


def tar_members(file: IO[bytes]) -> Iterator[Member]:
    """The members of a .tar file (ustar, pax, GNU's): files and folders; of others only that they are there.

    `tarfile` reads names of any length into memory, and circles for ever where a size is negative.

    Raises:
        ValueError: It is none, or too large in names or in members; or another of `DAMAGED`.
    """
    length = file.seek(0, io.SEEK_END)
    place, told = 0, _Told()
    for number in range(MEMBERS + 1):
        header = _read_exactly(file, place, _SECTOR)
        if not header.strip(b"\0"):
            return
        if number == MEMBERS:
            break
        if not _sum_is_right(header):
            raise ValueError("a member's header is damaged" if place else "no .tar archive")
        size, kind = _number(header[124:136]), header[156:157]
        start = place + _SECTOR
        if kind in b"Lxg" and size > _EXTENSION:  # GNU's long name, pax's headers
            raise ValueError(f"a name, or what else precedes a member, has more than {_EXTENSION} bytes")
        if kind in (b"L", b"x", b"g"):
            told.take(kind, _read_exactly(file, start, size))
        elif kind != b"K":  # GNU's long target of a link, which is refused by itself
            size = size if told.size is None else told.size
            yield _tar_member(file, header, told.name or _plain_name(header), start, size)
            told = _Told()
        if not 0 <= size <= length - start:
            raise ValueError("a member is larger than what is there of it, or smaller than nothing")
        place = start + -(-size // _SECTOR) * _SECTOR
        if place >= length:  # some end without the zeros that mark the end
            return
    raise ValueError(f"more than {MEMBERS} members")


def gunzip(file: IO[bytes]) -> Iterator[bytes]:
    """The content of a .gz file, which may consist of several streams.

    Raises:
        zlib.error: It is none, or damaged.
        EOFError: It ends early.
        ValueError: It has more streams than anything has that was made to be read.
    """
    for number in range(_STREAMS):
        stream = zlib.decompressobj(wbits=31)
        packed = file.read(BLOCK)
        if number and not packed.strip(b"\0"):  # nothing more, or padding
            return
        if not packed.startswith(b"\x1f\x8b"):
            raise ValueError("Not a gzipped file")
        while not stream.eof:
            if not packed and not stream.unconsumed_tail:
                packed = file.read(BLOCK)
                if not packed:
                    raise EOFError("it ends early")
            block = stream.decompress(stream.unconsumed_tail + packed, BLOCK)
            packed = b""
            if block:
                yield block
        file.seek(-len(stream.unused_data), io.SEEK_CUR)
    raise ValueError(f"more than {_STREAMS} streams")


class _Told:
    """What GNU's and pax's headers say of the member after them."""

    def __init__(self) -> None:
        self.name: str | None = None
        self.size: int | None = None

    def take(self, kind: bytes, content: bytes) -> None:
        """Take in such a header."""
        if kind == b"L":
            self.name = content.rstrip(b"\0").decode("utf-8", "surrogateescape")
            return
        while content:
            length, space, _ = content.partition(b" ")
            if not space or not length.isdigit() or len(length) > 5 or not 0 < int(length) <= len(content):
                raise ValueError("a pax header is damaged")
            key, _, value = content[len(length) + 1 : int(length) - 1].partition(b"=")
            content = content[int(length) :]
            if key.startswith(b"GNU.sparse"):
                raise ValueError("a member has holes, which are not read here")
            if key == b"path":
                self.name = value.decode("utf-8", "surrogateescape")
            elif key == b"size":
                if not value.isdigit() or len(value) > 18:
                    raise ValueError("a member's size is no number")
                self.size = int(value)


class _Sparing(io.BufferedIOBase):
    """A file of which nobody takes much at once: `zipfile` reads its directory in one piece."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def read(self, size: int | None = -1) -> bytes:
        """At most as many bytes as a directory may have.

        Raises:
            ValueError: More are asked for.
        """
        all_of_it = size is None or size < 0
        content = self._file.read(_DIRECTORY + 1 if all_of_it else min(size or 0, _DIRECTORY + 1))
        if len(content) > _DIRECTORY:
            raise ValueError(f"its directory has more than {show_bytes(_DIRECTORY)}")
        return content

    def seek(self, offset: int, whence: int = 0) -> int:
        """As any file's."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """As any file's."""
        return self._file.tell()

    def seekable(self) -> bool:
        """It is."""
        return True


def _tar_member(file: IO[bytes], header: bytes, name: str, start: int, size: int) -> Member:
    kind = {b"0": "file", b"\0": "file", b"7": "file", b"5": "folder"}.get(header[156:157], "other")
    _check_name(name)
    if kind == "file" and name.endswith("/"):  # as tar wrote folders before it had a mark for them
        kind = "folder"

    def blocks() -> Iterator[bytes]:
        for place in range(start, start + size, BLOCK):
            yield _read_exactly(file, place, min(BLOCK, start + size - place))

    return Member(name, size, kind, blocks)


def _plain_name(header: bytes) -> str:
    """The name in a member's own header."""
    name = header[:100].partition(b"\0")[0]
    prefix = header[345:500].partition(b"\0")[0] if header[257:263] == b"ustar\0" else b""
    return (prefix + b"/" * bool(prefix) + name).decode("utf-8", "surrogateescape")


def _number(field: bytes) -> int:
    """A number of a tar header: octal digits, or of GNU's the bytes themselves."""
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    digits = field.strip(b" \0")
    if not digits:
        return 0
    if not all(digit in b"01234567" for digit in digits):
        raise ValueError("a member's size is no number, or below nothing")
    return int(digits, 8)


def _sum_is_right(header: bytes) -> bool:
    try:
        wanted = _number(header[148:156])
    except ValueError:
        return False
    return wanted == sum(header) - sum(header[148:156]) + 8 * ord(" ")


def _read_exactly(file: IO[bytes], place: int, size: int) -> bytes:
    file.seek(place)
    content: Any = file.read(size)
    if len(content) != size:
        raise EOFError("it ends early")
    return bytes(content)


def _check_name(name: str) -> None:
    if len(name.encode("utf-8", "surrogatepass")) > NAME:
        raise ValueError(f"a member's name has more than {NAME} bytes")
