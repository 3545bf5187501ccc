"""Chunks of PNG files."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from blindsr.picture.metadata.pieces import inflated, insert, read_at

SIGNATURE = b"\x89PNG\r\n\x1a\n"
TEXTS = (b"tEXt", b"zTXt", b"iTXt")

CHUNKS = 1 << 16
"""Chunks of a file that are looked at; programs write a few, and thousands of pixels."""

_AFTER_HEADER = 33
_PROFILE = re.compile(rb"Raw profile type ([A-Za-z0-9]+)")
_HEX = re.compile(rb"\s*[A-Za-z0-9]*\s*\n\s*([0-9]+)\s*\n([0-9A-Fa-f\s]*)")


@dataclass(frozen=True)
class Chunk:
    """A chunk: its name, where its content begins, and bytes of that."""

    name: bytes
    place: int
    size: int

    def content(self, file: IO[bytes]) -> bytes:
        """All of it."""
        return read_at(file, self.place, self.size)


def chunks(file: IO[bytes]) -> Iterator[Chunk]:
    """All chunks, in order, up to the one that ends the picture."""
    place = len(SIGNATURE)
    for _ in range(CHUNKS):
        head = read_at(file, place, 8)
        if len(head) < 8:
            return
        size, name = int.from_bytes(head[:4], "big"), head[4:]
        yield Chunk(name, place + 8, size)
        if name == b"IEND":
            return
        place += 12 + size


def is_animated(file: IO[bytes]) -> bool:
    """Whether this is an animation (APNG) of more than one frame."""
    for one in chunks(file):  # the animation's control chunk comes before the pixels
        if one.name in (b"IDAT", b"acTL"):
            return one.name == b"acTL" and int.from_bytes(one.content(file)[:4], "big") > 1
    return False


def chunk(name: bytes, content: bytes) -> bytes:
    """A chunk as it stands in a file."""
    checked = name + content
    return struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked))


def text_of(name: bytes, content: bytes) -> tuple[bytes, bytes] | None:
    """Keyword and text of a chunk of text, as its bytes (Latin-1, of iTXt UTF-8); None if it is damaged."""
    keyword, separator, rest = content.partition(b"\0")
    if not separator:
        return None
    if name == b"tEXt":
        return keyword, rest
    if name == b"zTXt":
        text = inflated(rest[1:])
        return None if text is None else (keyword, text)
    packed = rest[:1] == b"\1"
    parts = rest[2:].split(b"\0", 2)
    if len(parts) < 3:
        return None
    text = inflated(parts[2]) if packed else parts[2]
    return None if text is None else (keyword, text)


def shown_text(name: bytes, content: bytes) -> str:
    """A chunk's keyword, for people."""
    return content.partition(b"\0")[0][:79].decode("utf-8" if name == b"iTXt" else "latin-1", "replace")


def text_chunk(keyword: str, text: str) -> bytes:
    """A chunk of text: Latin-1 where that suffices."""
    try:
        return chunk(b"tEXt", keyword.encode("latin-1") + b"\0" + text.encode("latin-1"))
    except UnicodeEncodeError:
        return chunk(b"iTXt", keyword.encode() + b"\0\0\0\0\0" + text.encode())


def raw_profile(name: bytes, content: bytes) -> tuple[str, bytes] | None:
    """Kind and bytes of a block that ImageMagick and Exiv2 write as text in hexadecimal digits."""
    matched = _PROFILE.match(content)
    told = None if matched is None else text_of(name, content)
    digits = None if told is None else _HEX.match(told[1])
    if matched is None or digits is None:
        return None
    try:
        block = bytes.fromhex(digits[2].decode("ascii"))
    except ValueError:
        return None
    return matched[1].decode().lower(), block


def profile_chunk(kind: str, block: bytes) -> bytes:
    """The reverse of `raw_profile`."""
    digits = block.hex()
    lines = "\n".join(digits[start : start + 72] for start in range(0, len(digits), 72))
    text = f"\n{kind}\n{len(block):8d}\n{lines}\n".encode()
    return chunk(b"zTXt", f"Raw profile type {kind}".encode() + b"\0\0" + zlib.compress(text))


def add_chunks(file: IO[bytes], found: list[bytes], aspect: tuple[int, int] | None) -> None:
    """Put chunks into a file behind its header.

    Args:
        file: Open for reading and writing.
        found: The chunks.
        aspect: Pixels across and down for the same length, which pHYs is to tell instead of a resolution.
    """
    if aspect is not None:
        for one in chunks(file):
            if one.name == b"pHYs" and one.size == 9:
                file.seek(one.place - 8)
                file.write(chunk(b"pHYs", struct.pack(">IIB", *aspect, 0)))
            if one.name in (b"pHYs", b"IDAT"):
                break
    insert(file, _AFTER_HEADER, b"".join(found))
