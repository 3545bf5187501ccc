"""Files as cameras, editors and map makers build them, small: for what must come through."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

from PIL import Image, ImageCms

from blindsr.picture.metadata import jpeg, png
from blindsr.picture.metadata.xmp import digest
from blindsr.picture.tiff import add_tags

from ...conftest import made_photo
from .test_photoshop import dataset, resource
from .test_xmp import packet

WIDTH, HEIGHT = 24, 20
ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()

Directory = dict[int, Any]
"""Entries of an EXIF directory by tag: type and values; a directory below it."""


class MakerNotes(dict[int, Any]):
    """A directory that is the value of an entry: what it points to is counted from the block's beginning."""


def text(words: str) -> tuple[int, list[bytes]]:
    return 2, [bytes((letter,)) for letter in words.encode() + b"\0"]


def numbers(*values: int) -> tuple[int, list[int]]:
    return 3, list(values)


def ratios(*values: tuple[int, int]) -> tuple[int, list[tuple[int, int]]]:
    return 5, list(values)


def raw(content: bytes) -> tuple[int, list[bytes]]:
    return 7, [bytes((one,)) for one in content]


_LETTERS = {1: "B", 2: "c", 3: "H", 4: "I", 5: "II", 7: "c"}


def packed(tree: Directory, place: int, order: str, following: int = 0) -> bytes:
    """A directory that begins at that place of a block, and all that it points to."""
    head, tail = struct.pack(f"{order}H", len(tree)), b""
    behind = place + 2 + 12 * len(tree) + 4
    for tag, entry in sorted(tree.items()):
        if isinstance(entry, dict):
            tail += bytes((behind + len(tail)) % 2)
            inner = packed(entry, behind + len(tail), order)
            kind, count = (7, len(inner)) if isinstance(entry, MakerNotes) else (4, 1)
            head += struct.pack(f"{order}HHII", tag, kind, count, behind + len(tail))
            tail += inner
            continue
        kind, values = entry
        content = b"".join(
            struct.pack(f"{order}{_LETTERS[kind]}", *(one if isinstance(one, tuple) else (one,)))
            for one in values
        )
        head += struct.pack(f"{order}HHI", tag, kind, len(values))
        if len(content) <= 4:
            head += content.ljust(4, b"\0")
        else:
            tail += bytes((behind + len(tail)) % 2)
            head += struct.pack(f"{order}I", behind + len(tail))
            tail += content
    return head + struct.pack(f"{order}I", following) + tail


def exif(first: Directory, order: str, thumbnail: bytes | None = None) -> bytes:
    """An EXIF block, with a directory for the thumbnail where there is one."""
    mark = b"II*\0" if order == "<" else b"MM\0*"
    start = 8
    body = packed(first, start, order)
    if thumbnail is not None:
        second = start + len(body) + len(body) % 2
        place = second + 2 + 12 * 3 + 4
        tree = {0x0103: numbers(6), 0x0201: (4, [place]), 0x0202: (4, [len(thumbnail)])}
        body = packed(first, start, order, second).ljust(second - start, b"\0")
        body += packed(tree, second, order) + thumbnail
    return mark + struct.pack(f"{order}I", start) + body


def picture(kind: str, seed: int = 0, side: int = WIDTH, **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(made_photo(HEIGHT, side, seed)).save(file, kind, **options)
    return file.getvalue()


def taken(order: str = ">", orientation: int = 1, maker: bool = True, large: bool = False) -> bytes:
    """What a camera tells: maker notes, place and time, lens, subject, its own sizes, and a thumbnail."""
    inside: Directory = {
        0x829A: ratios((1, 250)),
        0x9000: raw(b"0232"),
        0x9003: text("2024:05:06 07:08:09"),
        0x9214: numbers(12, 10, 6, 4),
        0x9286: raw(b"ASCII\0\0\0" + b"a comment" * (2500 if large else 1)),
        0xA001: numbers(1),
        0xA002: numbers(WIDTH),
        0xA003: numbers(HEIGHT),
        0xA005: {0x0001: text("R98"), 0x0002: raw(b"0100")},
        0xA20E: ratios((3000, 1)),
        0xA20F: ratios((2900, 1)),
        0xA210: numbers(2),
        0xA434: text("A lens of some length 24-70mm"),
    }
    if maker:
        inside[0x927C] = MakerNotes({
            0x0006: text("Canon EOS 5D Mark IV"), 0x0007: text("Firmware Version 1.2.3"),
            0x0009: text("An owner with a long name"), 0x0010: (4, [0x80000349]),
        })  # fmt: skip
    return exif(
        {
            0x010E: text("A harbour"),
            0x010F: text("Canon"),
            0x0110: text("Canon EOS 5D Mark IV"),
            0x0112: numbers(orientation),
            0x011A: ratios((240, 1)),
            0x011B: ratios((240, 1)),
            0x0128: numbers(2),
            0x0131: text("Firmware 1.2.3"),
            0x0132: text("2024:05:06 07:08:09"),
            0x013B: text("A. Photographer"),
            0x8769: inside,
            0x8825: {
                0x0000: (1, [2, 3, 0, 0]),
                0x0001: text("N"),
                0x0002: ratios((48, 1), (8, 1), (1234, 100)),
                0x0003: text("E"),
                0x0004: ratios((11, 1), (34, 1), (5678, 100)),
            },
        },
        order,
        picture("JPEG", side=16),
    )


def multi_picture(photo: bytes, second: bytes) -> bytes:
    """A photo and a further picture behind it, told of in an index (CIPA DC-007)."""
    size = 2 + 2 + 4 + 8 + 2 + 3 * 12 + 4 + 2 * 16
    total = len(photo) + size
    index = struct.pack("<4sIH", b"II*\0", 8, 3)
    index += struct.pack("<HHI4s", 0xB000, 7, 4, b"0100") + struct.pack("<HHII", 0xB001, 4, 1, 2)
    index += struct.pack("<HHII", 0xB002, 7, 32, 50) + bytes(4)
    index += struct.pack("<IIIHH", 0x20030000, total, 0, 0, 0)
    index += struct.pack("<IIIHH", 0x00020002, len(second), total - (2 + 2 + 2 + 4), 0, 0)
    return photo[:2] + jpeg.segment(0xE2, b"MPF\0" + index) + photo[2:] + second


def with_segments(content: bytes, *segments: bytes) -> bytes:
    return content[:2] + b"".join(segments) + content[2:]


def large_camera() -> bytes:
    """A JPEG of a large camera: much EXIF, a thumbnail, a second picture, a comment, a profile."""
    photo = picture("JPEG", icc_profile=ICC, quality=92)
    segments = jpeg.segment(0xE1, jpeg.EXIF + taken(large=True)), jpeg.segment(0xFE, b"a comment")
    return multi_picture(with_segments(photo, *segments), picture("JPEG", seed=1))


def phone() -> bytes:
    """A JPEG of a phone that was held upright, with more XMP than one segment holds, and a film behind it."""
    xmp = packet(
        'tiff:Orientation="6" exif:PixelXDimension="24" exif:PixelYDimension="20" '
        'xmp:CreatorTool="Some Phone" GCamera:MotionPhoto="1"',
        f"<dc:description><rdf:Alt><rdf:li xml:lang='x-default'>{'words ' * 15000}</rdf:li></rdf:Alt>"
        "</dc:description>"
        "<mwg-rs:Regions rdf:parseType='Resource'><mwg-rs:AppliedToDimensions stDim:w='24' stDim:h='20' "
        "stDim:unit='pixel'/><mwg-rs:RegionList><rdf:Bag><rdf:li rdf:parseType='Resource'><mwg-rs:Name>A face"
        "</mwg-rs:Name><mwg-rs:Area stArea:x='0.25' stArea:y='0.5' stArea:w='0.2' stArea:h='0.3' "
        "stArea:unit='normalized'/></rdf:li></rdf:Bag></mwg-rs:RegionList></mwg-rs:Regions>",
    )
    at = xmp.index(b"<dc:description>"), xmp.index(b"</dc:description>") + len(b"</dc:description>")
    spaces = xmp[xmp.index(b"<rdf:Description") : xmp.index(b" tiff:Orientation")]
    rest = (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        + spaces + b">" + xmp[at[0] : at[1]] + b"</rdf:Description></rdf:RDF></x:xmpmeta>"
    )  # fmt: skip
    main = (xmp[: at[0]] + xmp[at[1] :]).replace(
        b" tiff:Orientation",
        f' xmlns:xmpNote="http://ns.adobe.com/xmp/note/" xmpNote:HasExtendedXMP="{digest(rest)}" '
        "tiff:Orientation".encode(),
        1,
    )
    pieces = [rest[start : start + 65000] for start in range(0, len(rest), 65000)]
    extension = [
        jpeg.EXTENSION + digest(rest).encode() + struct.pack(">II", len(rest), 65000 * at) + piece
        for at, piece in enumerate(pieces)
    ]
    segments = [jpeg.EXIF + taken("<", 6, maker=False), jpeg.XMP + main, *extension]
    photo = with_segments(picture("JPEG"), *(jpeg.segment(0xE1, one) for one in segments))
    return photo + b"\0\0\0\x18ftypmp42" + bytes(500)


PRESS = b"".join(
    dataset(2, number, content)
    for number, content in (
        (0, b"\0\4"), (5, b"A title"), (25, b"harbour"), (25, b"night"), (55, b"20240506"),
        (80, b"A. Photographer"), (116, b"(c) somebody"), (120, b"A harbour at night"),
    )
)  # fmt: skip


def press() -> bytes:
    """A JPEG of an agency: IPTC, Photoshop's resources, and the same in XMP."""
    resources = (
        resource(0x0404, dataset(1, 90, b"\x1b%G") + PRESS)
        + resource(0x03ED, struct.pack(">IHHIHH", 300 << 16, 1, 1, 300 << 16, 1, 1))
        + resource(0x040A, b"\1")
        + resource(0x040B, b"https://example.org")
        + resource(
            0x040C, struct.pack(">IIIIIIHH", 1, 16, 20, 48, 960, 100, 24, 1) + picture("JPEG", side=16)
        )
        + resource(0x0425, bytes(range(16)))
    )
    history = (
        '<xmpMM:History xmlns:xmpMM="http://ns.adobe.com/xap/1.0/mm/" '
        'xmlns:stEvt="http://ns.adobe.com/xap/1.0/sType/ResourceEvent#"><rdf:Seq>'
        '<rdf:li stEvt:action="saved" '
        'stEvt:softwareAgent="Some Editor" stEvt:when="2024-05-06T07:08:09Z"/></rdf:Seq></xmpMM:History>'
        "<dc:subject><rdf:Bag><rdf:li>harbour</rdf:li><rdf:li>night</rdf:li></rdf:Bag></dc:subject>"
    )
    xmp = packet(
        'xmp:CreatorTool="Some Editor" dc:format="image/jpeg" '
        'Iptc4xmpExt:DigitalSourceType="http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture"',
        history,
    )
    photo = picture("JPEG", icc_profile=ICC, dpi=(300, 300))
    return with_segments(
        photo, jpeg.segment(0xED, jpeg.RESOURCES + resources), jpeg.segment(0xE1, jpeg.XMP + xmp)
    )


def map_maker() -> bytes:
    """A TIFF with its place on the earth, EXIF, XMP, IPTC, a profile, and a tag of somebody's own."""
    file = io.BytesIO(
        picture("TIFF", icc_profile=ICC, dpi=(300, 300), description="A map", compression="raw")
    )
    add_tags(
        file,
        {
            315: (2, 9, b"A. Maker\0"),
            700: (1, len(packet('dc:format="image/tiff"')), packet('dc:format="image/tiff"')),
            33550: (12, 3, struct.pack("<3d", 0.5, 0.5, 0)),
            33922: (12, 6, struct.pack("<6d", 0, 0, 0, 440000, 5290000, 0)),
            34735: (3, 16, struct.pack("<16H", 1, 1, 0, 3, 1024, 0, 1, 1, 1025, 0, 1, 1, 3072, 0, 1, 32632)),
            33723: (7, len(PRESS), PRESS),
            34665: {0x9003: (2, 20, b"2024:05:06 07:08:09\0"), 0xA002: (3, 1, b"\x18\0")},
            65000: (3, 1, b"\7\0"),
        },
    )
    return file.getvalue()


def chunk_after_header(content: bytes, *chunks: bytes) -> bytes:
    return content[:33] + b"".join(chunks) + content[33:]


def screen_tool() -> bytes:
    """A PNG of a program: texts of all kinds, EXIF, XMP, colours told by numbers, a time."""
    wide = struct.pack(">8I", 31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000)
    return chunk_after_header(
        picture("PNG", dpi=(144, 144)),
        png.chunk(b"gAMA", struct.pack(">I", 45455)),
        png.chunk(b"cHRM", wide),
        png.text_chunk("Title", "A harbour"),
        png.text_chunk("Author", "\u6d77"),
        png.chunk(b"zTXt", b"parameters\0\0" + zlib.compress(b"a cat, Steps: 20")),
        png.chunk(b"tIME", bytes((7, 232, 5, 6, 7, 8, 9))),
        png.chunk(b"eXIf", taken("<", 8, maker=False)),
        png.chunk(
            b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + packet('dc:format="image/png" tiff:Orientation="8"')
        ),
    )


def small_camera() -> bytes:
    """A WebP with all that it has places for."""
    xmp = packet('xmp:Rating="4" tiff:ImageWidth="24" tiff:ImageLength="20"')
    return picture("WEBP", exif=taken(maker=False), xmp=xmp, icc_profile=ICC)


def new_phone() -> bytes:
    """An AVIF with EXIF and XMP."""
    return picture("AVIF", exif=taken("<", maker=False), xmp=packet('xmp:Rating="4"'))


FILES = {
    "large camera.jpg": large_camera,
    "phone.jpg": phone,
    "press.jpg": press,
    "map maker.tif": map_maker,
    "screen tool.png": screen_tool,
    "small camera.webp": small_camera,
    "new phone.avif": new_phone,
}
"""Names of files -> what makes them."""
