"""Photoshop's resources and IPTC: kept to the last byte, but for what speaks of how the picture lies."""

from __future__ import annotations

import hashlib
import struct

from blindsr.picture.metadata.geometry import Change
from blindsr.picture.metadata.photoshop import follow, iptc_of, of_iptc, resources

TURNED, ENLARGED = Change.upright(40, 60, 8), Change((40, 60), (160, 240))


def resource(number: int, content: bytes, name: bytes = b"") -> bytes:
    pascal = bytes((len(name),)) + name
    head = b"8BIM" + struct.pack(">H", number) + pascal + bytes(len(pascal) % 2)
    return head + struct.pack(">I", len(content)) + content + bytes(len(content) % 2)


def dataset(record: int, number: int, content: bytes) -> bytes:
    size = (
        struct.pack(">H", len(content)) if len(content) < 0x8000 else struct.pack(">HI", 0x8004, len(content))
    )
    return bytes((0x1C, record, number)) + size + content


CAPTION = dataset(2, 120, b"A harbour at night") + dataset(2, 80, b"A. Photographer")


def test_captions_stay() -> None:
    block = resource(0x0404, CAPTION) + resource(
        0x03ED, struct.pack(">IHHIHH", 72 << 16, 1, 1, 72 << 16, 1, 1)
    )
    assert follow(block, ENLARGED) == (block, {}, {})
    assert iptc_of(block) == CAPTION and of_iptc(CAPTION) == resource(0x0404, CAPTION)


def test_what_was_made_of_the_old_pixels_goes() -> None:
    preview = dataset(2, 202, b"p" * 40000)
    block = resource(0x040C, b"thumbnail!") + resource(0x0404, CAPTION + preview + dataset(3, 20, b"\0\x3c"))
    kept, changed, lost = follow(block, ENLARGED)
    assert kept == resource(0x0404, CAPTION) and list(changed) == ["captions and credits"]
    assert set(lost) == {"thumbnail", "IPTC's description of pixels"}


def test_turned() -> None:
    block = (
        resource(0x0404, CAPTION + dataset(2, 131, b"L"))
        + resource(0x03ED, struct.pack(">IHHIHH", 72 << 16, 1, 1, 96 << 16, 1, 2))
        + resource(0x07D0, bytes(26), b"a path")
    )
    kept, _, lost = follow(block, TURNED)
    assert list(lost) == ["Photoshop's paths (the photo was turned)"]
    assert kept is not None and iptc_of(kept) == CAPTION + dataset(2, 131, b"P")
    assert resources(kept)[1].content == struct.pack(">IHHIHH", 96 << 16, 1, 2, 72 << 16, 1, 1)
    assert follow(block, ENLARGED)[0] == block


def test_the_digest_of_captions_follows_them() -> None:
    iptc = CAPTION + dataset(2, 202, b"preview")
    block = resource(0x0404, iptc) + resource(0x0425, hashlib.md5(iptc, usedforsecurity=False).digest())
    kept, _, _ = follow(block, ENLARGED)
    assert (
        kept is not None
        and resources(kept)[1].content == hashlib.md5(CAPTION, usedforsecurity=False).digest()
    )
    foreign = resource(0x0404, iptc) + resource(0x0425, b"x" * 16)
    kept, _, _ = follow(foreign, ENLARGED)
    assert kept is not None and resources(kept)[1].content == b"x" * 16, (
        "what did not fit before is not made to"
    )


def test_guides_lie_at_pixels() -> None:
    head = struct.pack(">IIII", 1, 576, 576, 1)
    assert follow(resource(0x0408, head + bytes(5)), ENLARGED)[2] == {"Photoshop's guides": None}
    none = resource(0x0408, struct.pack(">IIII", 1, 576, 576, 0))
    assert follow(none, ENLARGED) == (none, {}, {})


def test_damaged_blocks_end_where_they_are_damaged() -> None:
    block = resource(0x0404, CAPTION) + resource(0x040C, b"thumbnail!")
    for end in range(len(block)):
        kept, _, _ = follow(block[:end], ENLARGED)
        assert kept is None or len(kept) <= end
