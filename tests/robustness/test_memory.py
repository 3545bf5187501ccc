"""Small files that claim much: the command stays within its memory, whatever they say."""

from __future__ import annotations

import gzip
import io
import struct
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from ..children import finished
from ..conftest import made_photo, write_model

BOUND = 600 << 20
"""Bytes that `--memory 384M` may take at most, with what allocators are slow to give back."""

COMMAND = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))
from blindsr.cli import main
from blindsr.system.memory import peak
try:
    main()
finally:
    print("peak", peak())
"""


def tiff(width: int, height: int, bands: int, bits: int = 8, **blocks: int) -> bytes:
    """A picture of zeros, deflated, whose strips or tiles are all the same bytes.

    Args:
        width: Columns.
        height: Rows.
        bands: Samples a pixel.
        bits: Of a sample.
        blocks: Rows of a strip, or side of a tile, or planes (2: each band by itself); compression; colours.
    """
    planes = blocks.get("planes", 1)
    side, rows = blocks.get("tile", 0), blocks.get("rows", height)
    size = side * side if side else width * rows
    packed = zlib.compress(bytes(size * (bands if planes == 1 else 1) * bits // 8), 9)
    count = (-(-width // side) * -(-height // side) if side else -(-height // rows)) * (
        bands if planes == 2 else 1
    )
    places, sizes = struct.pack("<I", 8) * count, struct.pack("<I", len(packed)) * count
    after = 8 + len(packed)
    entries = [
        *(
            (256, 4, 1, width),
            (257, 4, 1, height),
            (258, 3, 1, bits),
            (259, 3, 1, blocks.get("compression", 8)),
        ),
        *(
            (262, 3, 1, blocks.get("colours", 2 if bands >= 3 else 1)),
            (277, 3, 1, bands),
            (284, 3, 1, planes),
        ),
        (324 if side else 273, 4, count, after if count > 1 else 8),
        (325 if side else 279, 4, count, after + len(places) if count > 1 else len(packed)),
        *(((322, 4, 1, side), (323, 4, 1, side)) if side else ((278, 4, 1, rows),)),
    ]
    body = packed + places + sizes + bytes(len(packed) % 2)
    directory = struct.pack("<H", len(entries)) + b"".join(
        struct.pack("<HHII", *one) for one in sorted(entries)
    )
    return struct.pack("<4sI", b"II*\0", 8 + len(body)) + body + directory + bytes(4)


def png(width: int, height: int, bits: int, *chunks: tuple[bytes, bytes], interlaced: bool = False) -> bytes:
    """RGBA of zeros, with more chunks before its pixels."""
    row = bytes(1 + 4 * width * bits // 8)
    packer = zlib.compressobj(9)
    pixels = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, bits, 6, 0, 0, interlaced)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in ((b"IHDR", header), *chunks, (b"IDAT", pixels), (b"IEND", b""))
    )


def exif_bomb(count: int, size: int, length: int) -> bytes:
    """Three directories in one place, of entries in one place."""
    top = b"".join(struct.pack("<HHII", tag, 4, 1, 50) for tag in (0x8769, 0x8825, 0xA005))
    inner = b"".join(struct.pack("<HHII", 0x1000 + i, 7, size, 0) for i in range(count))
    block = (
        struct.pack("<4sIH", b"II*\0", 8, 3) + top + bytes(4) + struct.pack("<H", count) + inner + bytes(4)
    )
    return block.ljust(length, b"x")


def jpeg_with_exif_bomb() -> bytes:
    file = io.BytesIO()
    Image.fromarray(made_photo(20, 24)).save(file, "JPEG")
    segment = b"Exif\0\0" + exif_bomb(5000, 60000, 65000)
    return b"\xff\xd8\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + file.getvalue()[2:]


def tiff_with_exif_bomb() -> bytes:
    """The pointers to the directories stand in the first directory of the photo."""
    photo = bytearray(tiff(24, 18, 3))
    (place,) = struct.unpack_from("<I", photo, 4)
    (count,) = struct.unpack_from("<H", photo, place)
    end = place + 2 + 12 * count
    inner = len(photo) + 36
    photo[end:] = b"".join(
        struct.pack("<HHII", tag, 4, 1, inner) for tag in (0x8769, 0x8825, 0xA005)
    ) + bytes(4)
    struct.pack_into("<H", photo, place, count + 3)
    entries = b"".join(struct.pack("<HHII", 0x1000 + i, 7, 1 << 20, 0) for i in range(4000))
    return (bytes(photo) + struct.pack("<H", 4000) + entries + bytes(4)).ljust(1 << 20, b"x")


PACKED = zlib.compress(bytes(30 << 20), 9)

REFUSED: dict[str, Callable[[], bytes]] = {
    "many_bands.tif": lambda: tiff(60000, 72, 4000, rows=1),
    "wide_bands.tif": lambda: tiff(3000, 100, 1000, rows=1),
    "deep_pixels.tif": lambda: tiff(90, 90, 9000),
    "one_tile.tif": lambda: tiff(4000, 4000, 3, 16, tile=4000),
    "planes.tif": lambda: tiff(6000, 6000, 3, 16, planes=2),
    "whole_strip.tif": lambda: tiff(6000, 6000, 3, compression=6),
    "wide.png": lambda: png(4_000_000, 20, 16),
    "interlaced.png": lambda: png(4000, 4000, 8, interlaced=True),
    "drawing.png": lambda: gzip.compress(
        b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9">' + b" " * (200 << 20) + b"</svg>", 1
    ),
}
RESTORED: dict[str, Callable[[], bytes]] = {
    "of_jpeg.jpg": jpeg_with_exif_bomb,
    "of_tiff.tif": tiff_with_exif_bomb,
    "many_bands_of_lab.tif": lambda: tiff(24, 18, 6000, colours=8),
    "of_png.png": lambda: png(24, 18, 8, (b"eXIf", exif_bomb(30000, 1 << 19, 1 << 20))),
    "texts.png": lambda: png(24, 18, 8, *((b"zTXt", b"%d\0\0" % i + PACKED) for i in range(20))),
    "profile.png": lambda: png(24, 18, 8, (b"iCCP", b"a\0\0" + PACKED)),
    "packet.png": lambda: png(24, 18, 8, (b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + PACKED)),
}


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="limits and counts as Linux has them")
def test_small_files_take_little_memory(tmp_path: Path) -> None:
    for name, content in {**REFUSED, **RESTORED}.items():
        (tmp_path / name).write_bytes(content())
    model = write_model(tmp_path / "tiny", scale=2)
    options = [
        "-o",
        tmp_path / "out",
        "--model",
        model,
        "--memory",
        "384M",
        "--threads",
        "1",
        "--format",
        "tiff",
    ]
    photos = map(tmp_path.joinpath, (*REFUSED, *RESTORED))
    run = finished(sys.executable, "-c", COMMAND, "upscale", *photos, *options)
    assert run.returncode == 3 and "Traceback" not in run.stderr, run.stderr
    done = {path.name for path in (tmp_path / "out").iterdir() if not path.name.startswith(".")}
    assert done == {f"{Path(name).stem}_x2.tif" for name in RESTORED}
    for name in REFUSED:
        lines = [line for line in run.stderr.splitlines() if f"{name}: " in line]
        assert len(lines) == 1, (name, run.stderr)
    assert int(run.stdout.split("peak")[-1]) < BOUND
