"""Gain maps of JPEG files (Ultra HDR; ISO 21496-1): a small picture behind the photo that brightens it.

A viewer stretches it over the photo, whatever their sizes, so that of an enlarged photo is the same. It says
itself how it is meant; the photo in front says that it is there: in XMP (GContainer and hdrgm), in a segment
of ISO's, and in the index of pictures (MPF).
"""

from __future__ import annotations

import io
import struct
from itertools import islice
from typing import IO

from blindsr.picture.metadata import jpeg
from blindsr.picture.metadata.pieces import insert, size_of

TEXT = "gain map (high dynamic range)"
"""What people are told that it is."""

_ISO = b"urn:iso:std:iso:ts:21496:-1\0"
_HDRGM = b"http://ns.adobe.com/hdr-gain-map/1.0/"
_LOOKED_AT = 16
_PRIMARY = 0x030000  # the kind of the first picture in the index: a baseline one
_INDEX = 2 + 2 + 4 + 8 + 2 + 3 * 12 + 4 + 2 * 16
"""Bytes of the segment with the index of two pictures."""

_PACKET = """<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/" hdrgm:Version="1.0"
 xmlns:Container="http://ns.google.com/photos/1.0/container/"
 xmlns:Item="http://ns.google.com/photos/1.0/container/item/"><Container:Directory><rdf:Seq>
<rdf:li rdf:parseType="Resource"><Container:Item Item:Semantic="Primary" Item:Mime="image/jpeg"/></rdf:li>
<rdf:li rdf:parseType="Resource"><Container:Item Item:Semantic="GainMap" Item:Mime="image/jpeg"
 Item:Length="{size}"/></rdf:li></rdf:Seq></Container:Directory></rdf:Description></rdf:RDF></x:xmpmeta>"""


def is_one(picture: bytes) -> bool:
    """Whether a JPEG file is a gain map that says itself how it is meant."""
    return _tells_iso(picture) or _tells_hdrgm(picture)


def packet(picture: bytes) -> bytes | None:
    """What the photo's XMP says of its gain map; None where that goes without XMP."""
    return _PACKET.format(size=len(picture)).encode() if _tells_hdrgm(picture) else None


def segments(picture: bytes) -> list[bytes]:
    """What a photo says of its gain map besides XMP and the index."""
    return [jpeg.segment(0xE2, _ISO + bytes(4))] if _tells_iso(picture) else []


def append(file: IO[bytes], picture: bytes) -> None:
    """Put a gain map behind a photo, and an index of both into it.

    Args:
        file: The photo, open for reading and writing, with all of its other segments.
        picture: The gain map.
    """
    before = [one for one in jpeg.segments(file) if 0xE0 <= one.marker <= 0xEF]
    place = before[-1].place + before[-1].size if before else 2
    first = size_of(file) + _INDEX
    header = place + 8  # what places are counted from: behind the marker, the length and MPF's name
    entries = struct.pack("<3I2H", _PRIMARY, first, 0, 0, 0)
    entries += struct.pack("<3I2H", 0, len(picture), first - header, 0, 0)
    index = struct.pack("<HHI4s", 0xB000, 7, 4, b"0100") + struct.pack("<HHII", 0xB001, 4, 1, 2)
    index += struct.pack("<HHII", 0xB002, 7, len(entries), 8 + 2 + 3 * 12 + 4)
    block = b"MPF\0II*\0" + struct.pack("<IH", 8, 3) + index + bytes(4) + entries
    insert(file, place, jpeg.segment(0xE2, block))
    file.seek(0, io.SEEK_END)
    file.write(picture)


def _heads(picture: bytes) -> list[bytes]:
    """Contents of its first segments."""
    file = io.BytesIO(picture)
    return [one.content(file) for one in islice(jpeg.segments(file), _LOOKED_AT)]


def _tells_iso(picture: bytes) -> bool:
    return any(head.startswith(_ISO) for head in _heads(picture))


def _tells_hdrgm(picture: bytes) -> bool:
    return any(head.startswith(jpeg.XMP) and _HDRGM in head for head in _heads(picture))
