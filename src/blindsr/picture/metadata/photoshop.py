"""Photoshop's image resources, among them IPTC's captions and credits, and what of them follows the pixels.

A resource is a signature, a number, a name and content (Adobe Photoshop file formats); IPTC is records of
data sets (IIM 4.2).
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable
from dataclasses import dataclass

from blindsr.picture.metadata.geometry import Change

_SIGNATURES = (b"8BIM", b"MeSa", b"PHUT", b"AgHg", b"DCSR")
IPTC = 0x0404
_RESOLUTION, _DIGEST, _GUIDES, _SLICES = 0x03ED, 0x0425, 0x0408, 0x041A
_THUMBNAILS = (0x0409, 0x040C)
_COPIES = (0x040F, 0x0422, 0x0423, 0x0424)
_PATHS = range(0x07D0, 0x0BB8)
_ORIENTATION = (2, 131)
_PREVIEWS = ((2, 200), (2, 201), (2, 202))

Notes = dict[str, None]


@dataclass(frozen=True)
class Resource:
    """One resource: its number, its head as it stands, and its content."""

    number: int
    head: bytes
    content: bytes

    def packed(self) -> bytes:
        """It as it stands."""
        return self.head + struct.pack(">I", len(self.content)) + self.content + bytes(len(self.content) % 2)


def resources(block: bytes) -> list[Resource]:
    """The resources of a block, up to where it is damaged."""
    found, place = [], 0
    while block[place : place + 4] in _SIGNATURES and place + 7 <= len(block):
        (number,) = struct.unpack_from(">H", block, place + 4)
        name = 1 + block[place + 6]
        start = place + 6 + name + name % 2
        if start + 4 > len(block):
            break
        (size,) = struct.unpack_from(">I", block, start)
        content = block[start + 4 : start + 4 + size]
        if len(content) < size:
            break
        found.append(Resource(number, block[place:start], content))
        place = start + 4 + size + size % 2
    return found


def of_iptc(iptc: bytes) -> bytes:
    """IPTC alone, as a block of resources."""
    return Resource(IPTC, b"8BIM" + struct.pack(">HH", IPTC, 0), iptc).packed() if iptc else b""


def iptc_of(block: bytes | None) -> bytes | None:
    """IPTC out of a block of resources."""
    return next((one.content for one in resources(block or b"") if one.number == IPTC), None)


def without_iptc(block: bytes) -> bytes:
    """The other resources of a block."""
    return b"".join(one.packed() for one in resources(block) if one.number != IPTC)


def follow(block: bytes, change: Change) -> tuple[bytes | None, Notes, Notes]:
    """Resources that belong to the picture as it is now.

    Args:
        block: The resources.
        change: What became of the picture.

    Returns:
        The block, to the last byte as it was where nothing in it speaks of what changed; None where nothing
        is left; what was changed; and what was dropped.
    """
    changed: Notes = {}
    dropped: Notes = {}
    kept, before = [], resources(block)
    for one in before:
        content = one.content
        if one.number in _LOST:
            text = _LOST[one.number](one, change)
            if text is not None:
                dropped[text] = None
                continue
        if one.number == IPTC:
            content = _follow_iptc(one.content, change, dropped)
        elif one.number == _RESOLUTION and change.swapped and len(one.content) == 16:
            content = one.content[8:] + one.content[:8]
        elif one.number == _DIGEST:
            iptc = iptc_of(block) or b""
            if one.content == _digest(iptc):
                content = _digest(_follow_iptc(iptc, change, {}))
        if content != one.content:
            changed["captions and credits" if one.number == IPTC else "Photoshop resources"] = None
        kept.append(Resource(one.number, one.head, content))
    if kept == before:
        return block, changed, dropped
    return b"".join(one.packed() for one in kept) or None, changed, dropped


def _digest(iptc: bytes) -> bytes:
    return hashlib.md5(iptc, usedforsecurity=False).digest()


def _guides(one: Resource, _: Change) -> str | None:
    """Guides lie at pixels; the grid does not."""
    return "Photoshop's guides" if len(one.content) >= 16 and any(one.content[12:16]) else None


_LOST: dict[int, Callable[[Resource, Change], str | None]] = {
    **dict.fromkeys(_THUMBNAILS, lambda _, __: "thumbnail"),
    **dict.fromkeys(_COPIES, lambda _, __: ""),  # of blocks that go by themselves
    **dict.fromkeys(
        _PATHS, lambda _, change: "Photoshop's paths (the photo was turned)" if change.turned else None
    ),
    _GUIDES: _guides,
    _SLICES: lambda _, __: "Photoshop's slices",
}
"""Resources that cannot stay, perhaps -> what to call the loss, "" of what is none, None where they can."""


def _follow_iptc(iptc: bytes, change: Change, dropped: Notes) -> bytes:
    """Data sets without previews and with the orientation of the picture as it is."""
    place, kept = 0, bytearray()
    while place + 5 <= len(iptc) and iptc[place] == 0x1C:
        key, size, start = (
            (iptc[place + 1], iptc[place + 2]),
            int.from_bytes(iptc[place + 3 : place + 5], "big"),
            place + 5,
        )
        if size & 0x8000:
            wide = size & 0x7FFF
            size, start = int.from_bytes(iptc[start : start + wide], "big"), start + wide
        piece = iptc[place : start + size]
        place = start + size
        if key in _PREVIEWS:
            dropped["thumbnail"] = None
        elif key[0] == 3:
            dropped["IPTC's description of pixels"] = None
        elif key == _ORIENTATION and change.turned:
            height, width = change.after
            kept += (
                piece[:-size] + (b"S" if height == width else b"P" if height > width else b"L")
                if size == 1
                else b""
            )
        else:
            kept += piece
    return bytes(kept) + iptc[place:]
