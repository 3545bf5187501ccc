"""Damaged, hostile and odd photos: each is read, or refused with one clear line; nothing else happens.

    python -m tests.robustness.decoding                              # 20,000 inputs; exit 1 on any finding
    python -m tests.robustness.decoding --count 1000000 --decode     # many more, decoded only
    python -m tests.robustness.decoding --seed 7 --only 1234 --keep .  # one input again, and its file

An input is a small valid file of some format, damaged one to three times; its seed and its number tell how.
It goes through `picture.read` with the limits of the smallest `--memory`, twice, a quarter with `--damaged`,
what it carries is listed, and with all its pages or frames through `open_for`. What is read and small is
restored by a tiny model, written in some format, and read back. Findings are: a crash, a run without end,
memory beyond the limits, any error but a BlindSRError (or one that does not name the file, or takes more than
a line), an exception that is lost on the way, a warning of Python's, samples outside 0..1, a second reading
that differs from the first, pages or frames that get lost, a file left behind.
"""

from __future__ import annotations

import io
import json
import os
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import warnings
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from PIL import Image

from blindsr.errors import BlindSRError
from blindsr.picture import WRITABLE, Limits, Photo, Picture, read, write
from blindsr.picture.metadata import jpeg, png
from blindsr.picture.metadata.carrying import inventory
from blindsr.picture.metadata.xmp import digest
from blindsr.picture.profiles import from_code_points
from blindsr.picture.series import open_for
from blindsr.picture.tiff import add_tags
from blindsr.system.memory import SMALLEST, Memory, peak

from ..picture.jpeg_xl.files import BLACK, DEPTH, Kind, Layer, cmyk_profile
from ..picture.jpeg_xl.files import encoded as encoded_jpeg_xl
from ..picture.metadata.test_carrying import CASES, GEO, with_chunks, with_segments
from ..picture.metadata.test_xmp import packet

if TYPE_CHECKING:
    from blindsr.upscaling.upscaler import Upscaler

ROOT = Path(__file__).resolve().parents[2]
RESTORED = 1 << 12  # pixels up to which a picture goes through the network as well
WRITTEN = 1 << 18  # pixels up to which it is written
LIMITS = Limits(1 << 24, Memory(SMALLEST).samples, Memory(SMALLEST).codec)
GROWTH = 350 << 20  # bytes that one input may take: the limits, and what the system is slow to take back
START = 60.0  # seconds a new process may take on top, to load its libraries
EXTREMES = (0, 1, 2, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 11584, 20000, 65500, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


# --- valid files --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Original:
    """A valid file that inputs are made from."""

    name: str
    suffix: str
    encoded: bytes


@cache
def originals() -> tuple[Original, ...]:
    """Small files of every format that is read, with all that a format may bring."""
    import pyvips
    from PIL import ImageCms, PngImagePlugin

    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    icc = icc[:24] + bytes(12) + icc[36:]  # without its date, so that an input is the same in every process
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "Some Camera"
    exif[0x011A] = exif[0x011B] = 300.0
    exif.get_ifd(0x8769)[0xA002], exif.get_ifd(0x8769)[0xA003] = 24, 18
    y, x = np.mgrid[0:18, 0:24]
    noise = np.random.default_rng(1).normal(0, 8, (18, 24, 3))
    rgb = (
        (np.dstack([x * 9, y * 12, 90 + 60 * (np.hypot(x - 9, y - 8) < 6)]) + noise)
        .clip(0, 255)
        .astype(np.uint8)
    )
    photo, alpha = Image.fromarray(rgb), Image.fromarray((x * 10).astype(np.uint8))
    rgba = photo.copy()
    rgba.putalpha(alpha)
    gray = photo.convert("L")
    large = Image.fromarray(np.tile(rgb, (4, 4, 1)))
    made: list[Original] = []

    def pillow(name: str, suffix: str, image: Image.Image, kind: str, **options: Any) -> None:
        buffer = io.BytesIO()
        image.save(buffer, kind, **options)
        made.append(Original(name, suffix, buffer.getvalue()))

    def vips(name: str, suffix: str, levels: np.ndarray, kind: str, **options: object) -> None:
        image = pyvips.Image.new_from_array(np.ascontiguousarray(levels), interpretation=kind)
        made.append(Original(name, suffix, image.write_to_buffer(suffix, **options)))

    rgb16 = rgb.astype(np.uint16) * 257
    pillow("png", ".png", photo, "PNG", icc_profile=icc, exif=exif, dpi=(300, 300))
    words = PngImagePlugin.PngInfo()
    words.add_text("Title", "a photo")
    words.add_text("Comment", "of some place " * 20, zip=True)
    words.add_itxt("Author", "somebody", "en", "Author")
    pillow("png-text", ".png", gray, "PNG", pnginfo=words)
    pillow("png-plain", ".png", photo, "PNG")
    pillow("png-gray", ".png", gray, "PNG")
    pillow("png-rgba", ".png", rgba, "PNG")
    pillow("png-gray-alpha", ".png", rgba.convert("LA"), "PNG")
    pillow("png-palette", ".png", photo.quantize(20), "PNG")
    pillow("png-palette-clear", ".png", photo.quantize(20), "PNG", transparency=3)
    pillow("png-1bit", ".png", photo.convert("1"), "PNG")
    pillow("png-animated", ".png", photo, "PNG", save_all=True, append_images=[large.crop((0, 0, 24, 18))])
    vips("png-16", ".png", rgb16, "rgb16")
    vips("png-16-gray", ".png", rgb16[:, :, 0], "grey16", interlace=True)
    vips("png-interlaced", ".png", rgb, "srgb", interlace=True)
    pillow("jpeg", ".jpg", photo, "JPEG", quality=90)
    pillow("jpeg-exif", ".jpg", photo, "JPEG", exif=exif, icc_profile=icc, xmp=b"<x:xmpmeta/>", dpi=(72, 72))
    pillow("jpeg-progressive", ".jpg", large, "JPEG", progressive=True)
    pillow("jpeg-gray", ".jpg", gray, "JPEG", comment=b"of some place")
    pillow("jpeg-cmyk", ".jpg", photo.convert("CMYK"), "JPEG")
    pillow("jpeg-restarts", ".jpg", large, "JPEG", restart_marker_blocks=2)
    pillow("webp", ".webp", photo, "WEBP", quality=80)
    pillow("webp-lossless", ".webp", photo, "WEBP", lossless=True)
    pillow("webp-alpha", ".webp", rgba, "WEBP", quality=80, exif=exif, icc_profile=icc, xmp=b"<x:xmpmeta/>")
    pillow("webp-animated", ".webp", photo, "WEBP", save_all=True, append_images=[photo.rotate(180)])
    pillow("tiff", ".tif", photo, "TIFF", icc_profile=icc, dpi=(300, 300))
    pillow("tiff-lzw", ".tif", photo, "TIFF", compression="tiff_lzw")
    pillow("tiff-deflate", ".tif", rgba, "TIFF", compression="tiff_adobe_deflate")
    pillow("tiff-jpeg", ".tif", large, "TIFF", compression="jpeg")
    pillow("tiff-fax", ".tif", photo.convert("1"), "TIFF", compression="group4")
    pillow("tiff-packbits", ".tif", gray, "TIFF", compression="packbits")
    pillow("tiff-palette", ".tif", photo.quantize(20), "TIFF")
    pillow("tiff-cmyk", ".tif", photo.convert("CMYK"), "TIFF")
    pillow("tiff-pages", ".tif", photo, "TIFF", save_all=True, append_images=[gray, large])
    vips("tiff-16", ".tif", rgb16, "rgb16", compression="deflate", predictor="horizontal")
    vips("tiff-float", ".tif", (rgb / 255).astype(np.float32), "scrgb", predictor="float", compression="lzw")
    vips("tiff-tiles", ".tif", np.tile(rgb, (4, 4, 1)), "srgb", tile=True, tile_width=16, tile_height=16)
    vips("tiff-big", ".tif", rgb, "srgb", bigtiff=True)
    vips(
        "tiff-pyramid",
        ".tif",
        np.tile(rgb, (4, 4, 1)),
        "srgb",
        tile=True,
        pyramid=True,
        tile_width=16,
        tile_height=16,
    )
    vips("avif", ".avif", rgb, "srgb", compression="av1", effort=0)
    vips("avif-10", ".avif", rgb16, "rgb16", compression="av1", bitdepth=10, effort=0)
    pillow("avif-alpha", ".avif", rgba, "AVIF", speed=10, exif=exif, icc_profile=icc)
    pillow("bmp", ".bmp", photo, "BMP", dpi=(300, 300))
    pillow("bmp-gray", ".bmp", gray, "BMP")
    pillow("bmp-1bit", ".bmp", photo.convert("1"), "BMP")
    pillow("bmp-palette", ".bmp", photo.quantize(20), "BMP")
    pillow("bmp-rgba", ".bmp", rgba, "BMP")
    made.append(Original("bmp-rle", ".bmp", _rle_bmp()))
    pillow("gif", ".gif", photo, "GIF", comment=b"of some place")
    pillow("gif-clear", ".gif", photo.quantize(20), "GIF", transparency=3, interlace=True)
    pillow("gif-animated", ".gif", photo, "GIF", save_all=True, append_images=[photo.rotate(180)])
    pillow("ppm", ".ppm", photo, "PPM")
    pillow("pgm", ".pgm", gray, "PPM")
    made.append(Original("ppm-text", ".ppm", b"P3\n# text\n2 2\n255\n" + b"10 20 30  40 50 60\n" * 2))
    made.append(Original("pgm-16", ".pgm", b"P5 24 18 65535\n" + rgb16[:, :, 0].astype(">u2").tobytes()))
    made.append(Original("pbm", ".pgm", b"P4\n24 18\n" + np.packbits(rgb[:, :, 0] > 99, axis=1).tobytes()))
    made += _laden(rgb, {one.name: one.encoded for one in made})
    if find_spec("pillow_heif") is not None:
        import pillow_heif

        pillow_heif.register_heif_opener()
        pillow("heic", ".heic", photo, "HEIF", exif=exif, icc_profile=icc)
        pillow("heic-alpha", ".heic", rgba, "HEIF")
    made += _jpeg_xl(rgb, np.asarray(alpha), icc, exif.tobytes())
    part, shape = large.crop((0, 0, 24, 18)), rgba.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    frames = {"duration": [80, 0, 250], "loop": 2}
    pillow("png-frames", ".png", rgba, "PNG", save_all=True, append_images=[shape, rgba], blend=1, **frames)
    hidden = {"default_image": True, "disposal": 1}
    pillow("png-hidden", ".png", rgba, "PNG", save_all=True, append_images=[shape, rgba], **hidden)
    disposals = {"disposal": 2, "transparency": 0, "comment": b"of some place"}
    pillow(
        "gif-frames", ".gif", rgba, "GIF", save_all=True, append_images=[shape, rgba], **disposals, **frames
    )
    pillow(
        "webp-frames", ".webp", rgba, "WEBP", save_all=True, append_images=[shape, rgba], exif=exif, **frames
    )
    vips("tiff-levels", ".tif", np.asarray(part), "srgb", subifd=True, pyramid=True, tile=True, tile_width=16)
    pillow(
        "tiff-book", ".tif", gray, "TIFF", save_all=True, append_images=[photo, rgba], exif=exif, dpi=(9, 9)
    )
    return tuple(made)


def _jpeg_xl(rgb: np.ndarray, alpha: np.ndarray, icc: bytes, exif: bytes) -> Iterator[Original]:
    """JPEG XL files of the kinds that the format has: none of them where libjxl is missing."""
    if find_spec("imagecodecs") is None:
        return
    wide, rgba = rgb.astype(np.uint16) * 257, np.dstack([rgb, alpha])
    boxes = [(b"Exif", bytes(4) + exif.removeprefix(b"Exif\0\0"), False), (b"xml ", packet(""), True)]
    boxes += [(b"jumb", b"j" * 50, False)]
    moving, part = [Layer(np.roll(rgb, 3 * step, 1), 10 * step) for step in range(3)], rgba[4:12, 6:20]
    blended = [Layer(rgba, 5, (0, 0)), Layer(part, 7, (3, 2), blend=2), Layer(part, 9, (20, 15))]
    laid = [Layer(np.tile(rgb, (3, 3, 1)), place=(-3, -4)), Layer(rgb[:9], place=(5, 6))]
    progressive = {16: 1, 17: 1, 18: 1, 19: 2}
    files: dict[str, tuple[Any, Kind]] = {
        "plain": (rgb, Kind(lossless=False)),
        "lossless": (rgb, Kind()),
        "16": (wide, Kind(bits=16, icc=icc, boxes=boxes, orientation=6)),
        "lossy-16": (wide, Kind(bits=16, icc=from_code_points(7, 7), boxes=boxes, lossless=False)),
        "float": ((rgb / 255).astype(np.float32), Kind(bits=32, exponent=8)),
        "pq": (wide, Kind(bits=10, code_points=(9, 16), peak=1000.0, lossless=False)),
        "gray": (rgb[:, :, :1], Kind(code_points=(4, 4), lossless=False)),
        "alpha": (rgba, Kind(premultiplied=True, lossless=False)),
        "alpha-lossless": (rgba, Kind()),
        "inks": (rgb, Kind(icc=cmyk_profile(), extra=[(BLACK, alpha), (DEPTH, alpha)])),
        "animated": (moving, Kind(animation=(100, 2), lossless=False)),
        "blended": (blended, Kind(animation=(1000, 0), size=rgb.shape[:2])),
        "layers": (laid, Kind(size=rgb.shape[:2])),
        "steps": (np.tile(rgb, (12, 12, 1)), Kind(options=progressive, lossless=False)),
        "groups": (np.tile(rgb, (16, 13, 1)), Kind(options=progressive)),
    }
    for name, (frames, kind) in files.items():
        yield Original(f"jxl-{name}", ".jxl", encoded_jpeg_xl(frames, kind))
    yield Original("jxl-bare", ".jxl", _bare(encoded_jpeg_xl(rgb, Kind(lossless=False))))


def _bare(container: bytes) -> bytes:
    """A JPEG XL file without the boxes around it."""
    found = {container[start + 4 : start + 8]: container[start + 8 : end] for start, end in pieces(container)}
    return found[b"jxlc"]


def _laden(rgb: np.ndarray, plain: dict[str, bytes]) -> Iterator[Original]:
    """Files that carry much besides their pixels, or have rare kinds of pixels."""
    import pyvips
    import tifffile

    yield from (Original(f"{kind}-laden", f".{kind[:3]}", content) for kind, content in CASES.items())
    primaries = struct.pack(">8I", 31270, 32900, 70800, 29200, 17000, 79700, 13100, 4600)
    colours = png.chunk(b"gAMA", struct.pack(">I", 100_000)) + png.chunk(b"cHRM", primaries)
    yield Original("png-gamma", ".png", with_chunks(plain["png-plain"], colours))
    yield Original("png-pq", ".png", with_chunks(plain["png-16"], png.chunk(b"cICP", bytes((9, 16, 0, 1)))))
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, "AVIF", speed=10)
    hlg = b"colrnclx" + struct.pack(">3H", 9, 18, 9)
    yield Original(
        "avif-hlg", ".avif", re.sub(rb"colrnclx.{6}", lambda _: hlg, buffer.getvalue(), flags=re.S)
    )
    rest = packet(elements="<dc:source>of some place</dc:source>")
    note = f'xmlns:xmpNote="http://ns.adobe.com/xmp/note/" xmpNote:HasExtendedXMP="{digest(rest)}"'
    extension = jpeg.EXTENSION + digest(rest).encode() + struct.pack(">II", len(rest), 0) + rest
    main = jpeg.xmp_segments(packet(note)) or []
    extended = with_segments(plain["jpeg"], *main, jpeg.segment(0xE1, extension))
    yield Original("jpeg-extended-xmp", ".jpg", extended)
    gain = packet('hdrgm:Version="1.0" hdrgm:GainMapMax="2"')
    buffer = io.BytesIO()
    photo = Image.fromarray(rgb)
    photo.save(buffer, "MPO", save_all=True, append_images=[photo.convert("L")])
    yield Original(
        "jpeg-gain-map", ".jpg", with_segments(buffer.getvalue(), *(jpeg.xmp_segments(gain) or []))
    )
    geo = io.BytesIO(plain["tiff"])
    add_tags(geo, GEO)
    yield Original("tiff-geo", ".tif", geo.getvalue())
    wide = rgb.astype(np.uint16) * 257
    double, lzma = io.BytesIO(), io.BytesIO()
    tifffile.imwrite(double, rgb / 255, photometric="rgb", resolution=(300, 300))
    yield Original("tiff-double", ".tif", double.getvalue())
    tifffile.imwrite(lzma, rgb, photometric="rgb", compression="lzma")
    yield Original("tiff-lzma", ".tif", lzma.getvalue())
    for kind, samples in (("lab", rgb), ("lab-16", wide), ("cmyk-16", np.dstack([wide, wide[:, :, :1]]))):
        space = "cmyk" if kind.startswith("cmyk") else "labs" if kind.endswith("16") else "lab"
        image = pyvips.Image.new_from_array(samples if space != "labs" else samples.astype(np.int16))
        if space == "lab":
            image = image.copy(interpretation="srgb").colourspace("lab")
        yield Original(
            f"tiff-{kind}", ".tif", image.copy(interpretation=space).tiffsave_buffer(compression="lzw")
        )
    yield Original("ppm-16", ".ppm", b"P6 24 18 65535\n" + wide.astype(">u2").tobytes())
    head = b"P7\nWIDTH 24\nHEIGHT 18\nDEPTH 3\nMAXVAL 255\nTUPLTYPE RGB\nENDHDR\n"
    yield Original("pam", ".pam", head + rgb.tobytes())
    yield Original("pfm", ".pfm", b"PF\n24 18\n-1.0\n" + (rgb[::-1] / 255).astype("<f4").tobytes())


def _rle_bmp() -> bytes:
    """Eight pixels square, run-length encoded; Pillow reads this but writes none."""
    palette = b"".join(bytes((level, 255 - level, level // 2, 0)) for level in range(256))
    rows = b"".join(bytes((5, 20 * row, 0, 3, 1, 2, 3, 0, 0, 0)) for row in range(8)) + b"\0\1"
    header = np.array([40, 8, 8, 1 | 8 << 16, 1, len(rows), 2835, 2835, 256, 0], "<u4").tobytes()
    start = 14 + len(header) + len(palette)
    return b"BM" + np.array([start + len(rows), 0, start], "<u4").tobytes() + header + palette + rows


# --- damage -------------------------------------------------------------------------------------------------


def pieces(encoded: bytes) -> list[tuple[int, int]]:
    """Start and end of the chunks, segments or boxes of a file; of a format without them, equal parts."""
    found: list[tuple[int, int]] = []
    at, end = 0, len(encoded)

    def number(start: int, size: int, order: str) -> int:
        return int.from_bytes(encoded[start : start + size], "big" if order == "big" else "little")

    if encoded[:4] == b"\x89PNG":
        at = 8
        while at + 12 <= end:
            found.append((at, min(end, at + 12 + number(at, 4, "big"))))
            at = found[-1][1]
    elif encoded[:2] == b"\xff\xd8":
        at = 2
        while at + 4 <= end and encoded[at] == 0xFF:
            stop = end if encoded[at + 1] == 0xDA else min(end, at + 2 + number(at + 2, 2, "big"))
            found.append((at, stop))
            at = stop
    elif encoded[:4] == b"RIFF":
        at = 12
        while at + 8 <= end:
            size = number(at + 4, 4, "little")
            found.append((at, min(end, at + 8 + size + size % 2)))
            at = found[-1][1]
    elif encoded[4:8] == b"JXL ":
        while at + 8 <= end:
            stop = min(end, at + max(8, number(at, 4, "big") or end))
            found.append((at, stop))
            at = stop
    elif encoded[4:8] == b"ftyp":
        # The boxes inside "meta" are where everything is said.
        while at + 8 <= end:
            stop = min(end, at + max(8, number(at, 4, "big")))
            inside = {b"meta": 12, b"iprp": 8, b"ipco": 8}.get(encoded[at + 4 : at + 8])
            if inside is None:
                found.append((at, stop))
                at = stop
            else:
                at += inside
    elif encoded[:4] in (b"II*\0", b"MM\0*"):
        order = "little" if encoded[:2] == b"II" else "big"
        at = number(4, 4, order)
        for entry in range(number(at, 2, order)):
            found.append((at + 2 + 12 * entry, at + 14 + 12 * entry))
    if len(found) < 2:
        found = [(i * end // 8, (i + 1) * end // 8) for i in range(8)]
    return found


def sizes(encoded: bytes) -> list[tuple[int, int, str]]:
    """Where the width, the height and such are told: offset, bytes, byte order."""
    if encoded[:4] == b"\x89PNG":
        return [(16, 4, "big"), (20, 4, "big"), (24, 1, "big"), (25, 1, "big"), (28, 1, "big")]
    if encoded[:2] == b"BM":
        return [(at, 4, "little") for at in (2, 10, 14, 18, 22, 30, 34, 46)] + [(28, 2, "little")]
    if encoded[:4] == b"GIF8":
        frame = max(13, encoded.find(b"\x2c"))
        return [(at, 2, "little") for at in (6, 8, frame + 1, frame + 3, frame + 5, frame + 7)]
    if encoded[:4] == b"RIFF":
        return [(4, 4, "little"), (16, 4, "little"), (20, 4, "little"), (24, 3, "little"), (26, 2, "little")]
    if encoded[:2] == b"\xff\xd8":
        frames = [at for at, _ in pieces(encoded) if encoded[at + 1 : at + 2] in (b"\xc0", b"\xc2")]
        return [(at + 5 + 2 * i, 2, "big") for at in frames for i in range(2)] + [(4, 2, "big")]
    if encoded[:4] in (b"II*\0", b"MM\0*"):
        order = "little" if encoded[:2] == b"II" else "big"
        starts = [start for start, _ in pieces(encoded)]
        return [(at + part, 4, order) for at in starts for part in (4, 8)] + [(4, 4, order)]
    if encoded[4:8] == b"ftyp":
        extents = [at for at in (encoded.find(b"ispe"), encoded.find(b"ispe") + 4) if at >= 4]
        return [(at + 8, 4, "big") for at in extents] + [(start, 4, "big") for start, _ in pieces(encoded)]
    return [(i, 1, "big") for i in range(min(16, len(encoded)))]


Rng = np.random.Generator
Damage = Callable[[bytes, Rng], bytes]


def _span(length: int, rng: Rng, most: int = 64) -> tuple[int, int]:
    """A stretch of a few bytes; small places are as likely as large ones, for headers are short."""
    start = int(length ** rng.random()) - 1 if rng.random() < 0.5 else int(rng.integers(0, max(1, length)))
    return start, min(length, start + 1 + int(most ** rng.random()))


def _flip_bits(encoded: bytes, rng: Rng) -> bytes:
    changed = bytearray(encoded)
    for _ in range(1 + int(16 ** rng.random())):
        start, _ = _span(len(changed), rng)
        if 0 <= start < len(changed):
            changed[start] ^= 1 << int(rng.integers(0, 8))
    return bytes(changed)


def _replace_run(encoded: bytes, rng: Rng) -> bytes:
    start, stop = _span(len(encoded), rng)
    fill = (rng.bytes(stop - start), bytes(stop - start), b"\xff" * (stop - start))[int(rng.integers(0, 3))]
    return encoded[:start] + fill + encoded[stop:]


def _truncate(encoded: bytes, rng: Rng) -> bytes:
    return encoded[: _span(len(encoded), rng)[0]]


def _insert(encoded: bytes, rng: Rng) -> bytes:
    start, stop = _span(len(encoded), rng)
    return encoded[:start] + rng.bytes(stop - start) + encoded[start:]


def _append(encoded: bytes, rng: Rng) -> bytes:
    """As cameras and other programs do, and as a file of two formats does."""
    return encoded + (rng.bytes(int(rng.integers(1, 200))) if rng.random() < 0.5 else _any(rng).encoded)


def _remove_run(encoded: bytes, rng: Rng) -> bytes:
    start, stop = _span(len(encoded), rng)
    return encoded[:start] + encoded[stop:]


def _repeat_piece(encoded: bytes, rng: Rng) -> bytes:
    start, stop = _piece(encoded, rng)
    times = int(rng.integers(1, 4)) if rng.random() < 0.9 else 200
    return encoded[:stop] + encoded[start:stop] * times + encoded[stop:]


def _drop_piece(encoded: bytes, rng: Rng) -> bytes:
    start, stop = _piece(encoded, rng)
    return encoded[:start] + encoded[stop:]


def _move_piece(encoded: bytes, rng: Rng) -> bytes:
    start, stop = _piece(encoded, rng)
    rest = encoded[:start] + encoded[stop:]
    to, _ = _piece(rest, rng)
    return rest[:to] + encoded[start:stop] + rest[to:]


def _extreme_size(encoded: bytes, rng: Rng) -> bytes:
    """A width, a height, a length, a tag's value: none of it is to be believed."""
    places = sizes(encoded) or [(0, 1, "big")]
    at, size, order = places[int(rng.integers(0, len(places)))]
    value = int(rng.choice(EXTREMES)) if rng.random() < 0.7 else int(rng.integers(0, 1 << 32))
    told = (value & ((1 << (8 * size)) - 1)).to_bytes(size, "big" if order == "big" else "little")
    return encoded[:at] + told + encoded[at + size :]


def _splice(encoded: bytes, rng: Rng) -> bytes:
    """The start of this file and the end of another, often of another format."""
    other = _any(rng).encoded
    return encoded[: _span(len(encoded), rng)[0]] + other[_span(len(other), rng)[0] :]


def _graft_piece(encoded: bytes, rng: Rng) -> bytes:
    """A piece of another file among the pieces of this one."""
    other = _any(rng).encoded
    start, stop = _piece(other, rng)
    to, _ = _piece(encoded, rng)
    return encoded[:to] + other[start:stop] + encoded[to:]


def _deepen(encoded: bytes, rng: Rng) -> bytes:
    """Damage where only this format has it: packed content, entries, boxes, sizes of frames."""
    for first, change in (
        (b"\x89PNG", _damage_png),
        (b"\xff\xd8", _damage_jpeg),
        (b"RIFF", _damage_webp),
        (b"II", _damage_tiff),
        (b"MM", _damage_tiff),
        (b"GIF8", _damage_gif),
        (b"P", _damage_netpbm),
    ):
        if encoded.startswith(first):
            return change(encoded, rng)
    return _damage_boxes(encoded, rng) if encoded[4:8] == b"ftyp" else _flip_bits(encoded, rng)


def _damage_png(encoded: bytes, rng: Rng) -> bytes:
    """What a chunk holds packed is damaged, or becomes very much."""
    spans = [(start, stop) for start, stop in pieces(encoded) if encoded[start + 4 : start + 8] in _PACKED]
    if not spans:
        return _flip_bits(encoded, rng)
    start, stop = spans[int(rng.integers(0, len(spans)))]
    kind, content = encoded[start + 4 : start + 8], encoded[start + 8 : stop - 4]
    head = 0 if kind == b"IDAT" else content.find(b"\0") + 2
    try:
        plain = zlib.decompressobj().decompress(content[head:], 1 << 22)
    except zlib.error:
        plain = content
    plain = plain + bytes(1 << int(rng.integers(8, 25))) if rng.random() < 0.1 else _flip_bits(plain, rng)
    content = content[:head] + zlib.compress(plain, 1)
    chunk = len(content).to_bytes(4, "big") + kind + content
    return encoded[:start] + chunk + zlib.crc32(chunk[4:]).to_bytes(4, "big") + encoded[stop:]


_PACKED = (b"IDAT", b"iCCP", b"zTXt")


def _damage_jpeg(encoded: bytes, rng: Rng) -> bytes:
    """Another kind of frame, other sampling, more scans, or EXIF of the worst kind."""
    choice = int(rng.integers(0, 4))
    frames = [at for at, _ in pieces(encoded) if encoded[at + 1 : at + 2] in (b"\xc0", b"\xc1", b"\xc2")]
    scan = encoded.find(b"\xff\xda")
    if choice == 0 and frames:
        at = frames[0] + 1
        return encoded[:at] + bytes((0xC0 + int(rng.integers(0, 16)),)) + encoded[at + 1 :]
    if choice == 1 and frames:
        at = frames[0] + int(rng.integers(4, 19))
        return (
            encoded[:at]
            + bytes((int(rng.choice((0, 1, 2, 4, 8, 0x11, 0x22, 0x44, 0xFF))),))
            + encoded[at + 1 :]
        )
    if choice == 2 and scan > 0:
        return encoded[:-2] + encoded[scan:-2] * int(rng.integers(1, 60)) + encoded[-2:]
    block = b"Exif\0\0" + _hostile_exif(rng, 60000)
    return encoded[:2] + b"\xff\xe1" + (len(block) + 2).to_bytes(2, "big") + block + encoded[2:]


def _damage_webp(encoded: bytes, rng: Rng) -> bytes:
    """Another name for a chunk, or one more, with EXIF of the worst kind."""
    start, _ = _piece(encoded, rng)
    names = (b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF", b"ICCP", b"EXIF", b"XMP ")
    name = names[int(rng.integers(0, len(names)))]
    if rng.random() < 0.5:
        return encoded[:start] + name + encoded[start + 4 :]
    block = _hostile_exif(rng, 1 << 16)
    return encoded[:start] + name + len(block).to_bytes(4, "little") + block + encoded[start:]


def _damage_tiff(encoded: bytes, rng: Rng) -> bytes:
    """An entry gets another tag, type, count or value, or stands twice."""
    spans = [(start, stop) for start, stop in pieces(encoded) if stop - start == 12]
    if not spans or encoded[2:3] == b"+" or encoded[3:4] == b"+":
        return _flip_bits(encoded, rng)
    order = "little" if encoded[:2] == b"II" else "big"
    start, stop = spans[int(rng.integers(0, len(spans)))]
    other, end = spans[int(rng.integers(0, len(spans)))]
    part = int(rng.integers(0, 6))
    if part == 5:
        return encoded[:start] + encoded[other:end] + encoded[stop:]
    at, size = ((0, 2), (2, 2), (4, 4), (8, 4), (8, 2))[part]
    values = (_TAGS, range(20), EXTREMES, (*EXTREMES, start, 8), (*range(17), 32, 64, *_COMPRESSIONS))[part]
    value = int(rng.choice(list(values))) & ((1 << 8 * size) - 1)
    told = value.to_bytes(size, "little" if order == "little" else "big")
    return encoded[: start + at] + told + encoded[start + at + size :]


_TAGS = (
    *(
        254,
        256,
        257,
        258,
        259,
        262,
        266,
        273,
        274,
        277,
        278,
        279,
        280,
        281,
        284,
        292,
        317,
        320,
        322,
        323,
        324,
    ),
    *(325, 330, 338, 339, 347, 512, 513, 529, 530, 532, 700, 33723, 34377, 34665, 34675, 34853, 40965, 65535),
)
_COMPRESSIONS = (
    32773,
    32809,
    32908,
    32909,
    32946,
    34661,
    34676,
    34677,
    34712,
    34887,
    34892,
    34925,
    50000,
    50001,
)


def _damage_gif(encoded: bytes, rng: Rng) -> bytes:
    """The sizes, the palette or the code size of the picture or of its frame."""
    frame = max(13, encoded.find(b"\x2c", 13))
    at = min(len(encoded) - 1, int(rng.choice((6, 8, 10, 11, *range(frame, frame + 12)))))
    return (
        encoded[:at]
        + bytes((int(rng.choice((0, 1, 7, 8, 12, 0x21, 0x2C, 0x3B, 0x80, 0xF7, 0xFF))),))
        + encoded[at + 1 :]
    )


def _damage_netpbm(encoded: bytes, rng: Rng) -> bytes:
    """A header of any numbers."""
    numbers = [int(rng.choice((0, 1, 3, 18, 24, 255, 65535, 65536, 99999, 10**9))) for _ in range(3)]
    if rng.random() < 0.2:
        numbers[int(rng.integers(0, 3))] = 10 ** int(rng.integers(10, 5000))
    word = " ".join(map(str, numbers)) if max(numbers) < 10**4000 else "9" * 4500
    return (
        b"P%d\n#%s\n%s\n" % (int(rng.integers(1, 8)), b"x" * int(2000 ** rng.random()), word.encode())
        + encoded[12:]
    )


def _damage_boxes(encoded: bytes, rng: Rng) -> bytes:
    """The size, the name, or a number of a box of AVIF or HEIC."""
    changed = bytearray(encoded)
    at = encoded.find(_BOXES[int(rng.integers(0, len(_BOXES)))])
    if at < 4:
        return _flip_bits(encoded, rng)
    choice, inside = int(rng.integers(0, 4)), at + 4 + int(rng.integers(0, 24))
    if choice == 0:
        changed[at - 4 : at] = int(rng.choice(EXTREMES)).to_bytes(4, "big")
    elif choice == 1:
        changed[at : at + 4] = _BOXES[int(rng.integers(0, len(_BOXES)))]
    elif choice == 2:
        changed[inside : inside + 1] = bytes((int(rng.choice((0, 1, 2, 4, 7, 8, 15, 0x44, 0x80, 0xFF))),))
    else:
        changed[inside : inside + 4] = int(rng.choice((*EXTREMES, 4096, 60000))).to_bytes(4, "big")
    return bytes(changed)


_BOXES = (
    *(
        b"iloc",
        b"ipma",
        b"ipco",
        b"ispe",
        b"iinf",
        b"infe",
        b"iref",
        b"pitm",
        b"av1C",
        b"hvcC",
        b"colr",
        b"pixi",
    ),
    *(b"auxC", b"irot", b"imir", b"clap", b"meta", b"mdat", b"grpl", b"idat", b"iprp"),
)


def _hostile_exif(rng: Rng, most: int) -> bytes:
    """Directories of a few entries that point anywhere, or of many that point to one place."""
    order = "<>"[int(rng.integers(0, 2))]
    count = min(int(rng.choice((1, 3, 9, 200, 4096, 5000))), most // 13)
    entries = np.empty(
        count, [(name, f"{order}u{size}") for name, size in zip("tkcv", (2, 2, 4, 4), strict=True)]
    )
    entries["t"] = rng.choice(_EXIF_TAGS, count)
    if count > 9 and rng.random() < 0.7:
        entries["t"] = np.arange(0x9000, 0x9000 + count)
        entries["t"][0] = 0x8769
    entries["k"] = rng.integers(0, 14, count)
    entries["c"] = rng.choice((0, 1, 2, 100, most // 2, 0xFFFFFFFF), count)
    entries["v"] = rng.choice((0, 8, 10, 26, 300), count)
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}IH", 8, count)
    return (head + entries.tobytes() + bytes(4)).ljust(int(rng.choice((0, most // 2))), b"x")


_EXIF_TAGS = (0x112, 0x11A, 0x11B, 0x128, 0x100, 0x8769, 0x8825, 0xA005, 0x10F, 0x201, 0xA002)


def _piece(encoded: bytes, rng: Rng) -> tuple[int, int]:
    found = pieces(encoded)
    return found[int(rng.integers(0, len(found)))]


def _any(rng: Rng) -> Original:
    return originals()[int(rng.integers(0, len(originals())))]


DAMAGES: tuple[Damage, ...] = (
    *(_flip_bits, _replace_run, _truncate, _insert, _remove_run, _repeat_piece, _drop_piece, _move_piece),
    *(_extreme_size, _extreme_size, _splice, _graft_piece, _append),
    *(_deepen,) * 12,
)


def mend_checksums(encoded: bytes) -> bytes:
    """A PNG whose chunks are what their checksums say: else the decoder stops at the first of them."""
    if encoded[:4] != b"\x89PNG":
        return encoded
    changed = bytearray(encoded)
    for start, stop in pieces(encoded):
        if stop - start >= 12 and stop <= len(changed):
            changed[stop - 4 : stop] = zlib.crc32(changed[start + 4 : stop - 4]).to_bytes(4, "big")
    return bytes(changed)


@dataclass(frozen=True)
class Damaged:
    """An input: what it was, what was done to it, and the file."""

    story: str
    suffix: str
    encoded: bytes
    result: str
    """Suffix of the file that it is written to."""


def damaged(seed: int, number: int) -> Damaged:
    """The input of this number: always the same. The first are the valid files themselves."""
    rng = np.random.default_rng((seed, number))
    if number < len(originals()):
        valid = originals()[number]
        return Damaged(valid.name, valid.suffix, valid.encoded, str(rng.choice(WRITABLE)))
    original = _any(rng)
    encoded, story = original.encoded, [original.name]
    for _ in range(int(rng.choice((1, 1, 1, 2, 3)))):
        if not encoded:
            break
        damage = DAMAGES[int(rng.integers(0, len(DAMAGES)))]
        encoded = damage(encoded, rng)
        story.append(damage.__name__.strip("_"))
    if rng.random() < 0.7:
        encoded = mend_checksums(encoded)
    suffix = original.suffix
    if rng.random() < 0.1:
        suffix = _any(rng).suffix
        story.append(f"named {suffix}")
    if rng.random() < 0.005:
        encoded = b""
        story.append("emptied")
    return Damaged(" > ".join(story), suffix, encoded, str(rng.choice(WRITABLE)))


# --- trial --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Outcome:
    """What became of an input.

    Args:
        number: Of the input.
        kind: "read", "refused", or "finding".
        text: Of a finding: what happened, the same for the same cause.
        detail: Of a finding: the rest of what is known.
    """

    number: int
    kind: str
    text: str = ""
    detail: str = ""


class Mishap(Exception):  # noqa: N818  (not an error: a finding)
    """Something that must not happen has."""


def try_one(seed: int, number: int, folder: Path, upscaler: Upscaler | None) -> Outcome:
    """Put one input through everything, in this process and an empty folder; without upscaler, decode it."""
    case = damaged(seed, number)
    path = folder / f"input{case.suffix}"
    path.write_bytes(case.encoded)
    kind = "refused"
    try:
        try:
            limits = replace(LIMITS, damaged=number % 4 == 3)
            with _watched():
                picture = read(path, limits=limits)
                inventory(picture)
        except BlindSRError as error:
            _check_message(error, path)
            if number < len(originals()):
                raise Mishap("a valid file is refused") from error
        else:
            kind = "read"
            _check_reading(picture)
            if upscaler is not None:
                _check_again(picture, path, limits)
                _restore(picture, folder / f"result{case.result}", upscaler)
                _restore_all(path, folder / f"all{_KEEPERS.get(case.encoded[:2], '.png')}", upscaler)
        left = sorted(one.name for one in folder.iterdir() if one != path)
        if left:
            raise Mishap(f"files left behind: {left}")
    except Exception as error:
        # Whatever it is: that is the question.
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "blindsr" in frame.filename]
        where = f" in {Path(frames[-1].filename).name}:{frames[-1].name}" if frames else ""
        text = str(error) if isinstance(error, Mishap) else f"{type(error).__name__}{where}"
        said = error.__cause__ if isinstance(error, Mishap) and error.__cause__ else error
        return Outcome(number, "finding", text, " ".join(str(said).split())[:300])
    finally:
        for one in folder.iterdir():
            one.unlink()
    return Outcome(number, kind)


def _check_message(error: BlindSRError, path: Path) -> None:
    text = str(error)
    if str(path) not in text:
        raise Mishap("a message without the file's name") from error
    if len(text.splitlines()) != 1 or not text.isprintable():
        raise Mishap("a message of several lines or with control characters") from error


@contextmanager
def _watched() -> Iterator[None]:
    """No exception is lost in this block, no warning comes, and no more memory is taken than is allowed."""
    lost: list[str] = []
    hook, sys.unraisablehook = sys.unraisablehook, lambda told: lost.append(repr(told.exc_value))
    before = _memory()[1]
    _forget_peak()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            yield
    finally:
        sys.unraisablehook = hook
        grown = (peak() or 0) - before
        if lost:
            raise Mishap(f"an exception is lost: {lost[0][:80]}")
        if _forget_peak() and grown > GROWTH:
            raise Mishap(f"takes more than {GROWTH >> 20} MiB") from MemoryError(f"{grown >> 20} MiB")


def _forget_peak() -> bool:
    """Let the system count the peak of memory anew; False where it cannot."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def _check_reading(picture: Picture) -> None:
    """What was read is a picture."""
    planes = [picture.pixels] if picture.alpha is None else [picture.pixels, picture.alpha]
    for plane in planes:
        if plane.dtype != np.float32 or not np.isfinite(plane).all() or plane.min() < 0 or plane.max() > 1:
            raise Mishap("samples outside 0..1")
    if picture.pixels.shape[2] not in (1, 3) or picture.bit_depth not in (8, 10, 12, 16):
        raise Mishap("no kind of picture")
    if picture.alpha is not None and picture.alpha.shape != picture.pixels.shape[:2]:
        raise Mishap("alpha of another size")


def _check_again(picture: Picture, path: Path, limits: Limits) -> None:
    """A second reading gives the same."""
    again = read(path, limits=limits)
    same = [(again.pixels == picture.pixels).all(), again.icc == picture.icc, again.exif == picture.exif]
    if picture.alpha is not None:
        same.append((again.alpha == picture.alpha).all())
    if not all(same):
        raise Mishap("a second reading differs")


def _restore(picture: Picture, target: Path, upscaler: Upscaler) -> None:
    """Restored, written and read back, as far as the size allows."""
    pixels = picture.height * picture.width
    if pixels > WRITTEN:
        return
    if pixels <= RESTORED:
        picture = upscaler.upscale(picture)
    try:
        write(picture, target)
    except BlindSRError as error:
        _check_message(error, target)
        return
    again = read(target)
    if (again.height, again.width) != (picture.height, picture.width):
        raise Mishap("written in another size")
    target.unlink()


_KEEPERS = {b"RI": ".webp", b"\0\0": ".jxl", b"GI": ".gif", b"II": ".tif", b"MM": ".tif"}
"""First bytes of files of several pictures -> suffixes of what can keep them all."""


def _restore_all(path: Path, target: Path, upscaler: Upscaler) -> None:
    """All pages or frames of a file, read; and restored into one, as far as their sizes allow."""
    try:
        with _watched(), open_for(path, target, LIMITS) as series:
            if isinstance(series, Photo):
                return
            total = sum(photo.height * photo.width for _, photo in series.photos())
            count = series.count
        if total > RESTORED:
            return
        report = upscaler.upscale_file(path, target)
    except BlindSRError as error:
        if str(target) not in str(error):
            _check_message(error, path)
        return
    if report.pages * report.frames != count:
        raise Mishap("pages or frames are lost")
    target.unlink()


def serve(seed: int, memory: float, decode: bool, place: Path) -> None:
    """A worker: numbers come in on stdin, outcomes go out on stdout, one line each.

    Args:
        seed: Of the inputs.
        memory: GiB that it may take on top of what its libraries take.
        decode: Whether inputs are decoded only.
        place: Folder for its files, which may hold those of one that died.
    """
    import faulthandler
    import resource

    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a decoder prints is no answer
    faulthandler.enable()
    upscaler = None if decode else tiny_upscaler(place)
    folder = place / "input"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    originals()
    # Libraries reserve far more addresses than they use, so only what comes on top is bounded.
    reserved = _memory()[0]
    resource.setrlimit(resource.RLIMIT_AS, (reserved + int(memory * 2**30),) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for line in sys.stdin:
        outcome = try_one(seed, int(line), folder, upscaler)
        answers.write(json.dumps({**asdict(outcome), "used": _memory()[1]}) + "\n")
        answers.flush()


def _memory() -> list[int]:
    """Bytes of this process: reserved, then resident."""
    pages = Path("/proc/self/statm").read_text().split()[:2]
    return [int(count) * os.sysconf("SC_PAGE_SIZE") for count in pages]


def tiny_upscaler(folder: Path) -> Upscaler:
    """The tests' small model, x2."""
    sys.path.insert(0, str(ROOT))
    from tests.conftest import write_model

    from blindsr.upscaling.upscaler import Upscaler

    return Upscaler(write_model(folder / "tiny", scale=2), device="cpu", threads=1)


# --- watch --------------------------------------------------------------------------------------------------


class Worker:
    """A process that tries inputs, begun anew after a death or a run without end.

    Args:
        command: Of the process; a folder for its files is added to it.
        patience: Seconds an input may take.
    """

    def __init__(self, command: Sequence[str], patience: float) -> None:
        self.command = list(command)
        self.patience = patience
        self.used: list[int] = []
        self._running: subprocess.Popen[str] | None = None
        in_memory = Path("/dev/shm")  # nothing waits for a disk there
        self._place = tempfile.TemporaryDirectory(dir=in_memory if in_memory.is_dir() else None)
        self._said = tempfile.TemporaryFile("w+")  # noqa: SIM115  (it outlives this call)

    def try_one(self, number: int) -> Outcome:
        """The outcome of one input, whatever becomes of the process."""
        fresh = self._running is None
        running = self._begin()
        assert running.stdin is not None and running.stdout is not None
        try:
            running.stdin.write(f"{number}\n")
            running.stdin.flush()
        except BrokenPipeError:
            pass  # it died between two inputs: its end is told below
        ready, _, _ = select.select([running.stdout], [], [], self.patience + (START if fresh else 0))
        if not ready:
            self._stop()
            return Outcome(number, "finding", f"no end within {self.patience:g} s")
        answer = running.stdout.readline()
        if not answer:
            code = running.wait()
            self._said.seek(0)
            said = " | ".join(self._said.read().splitlines()[-12:])
            self._stop()
            cause = signal.Signals(-code).name if code < 0 else f"exit status {code}"
            return Outcome(number, "finding", f"the process died: {cause}", said)
        told = json.loads(answer)
        self.used.append(told.pop("used"))
        return Outcome(**told)

    def end(self) -> None:
        """Stop the process, if there is one, and take its files away."""
        self._stop()
        self._place.cleanup()
        self._said.close()

    def _stop(self) -> None:
        if self._running is not None:
            self._running.kill()  # what it would tidy up lies in a folder of ours
            self._running.communicate()
            self._running = None

    def _begin(self) -> subprocess.Popen[str]:
        if self._running is None:
            self._said.seek(0)
            self._said.truncate()
            self._running = subprocess.Popen(
                [*self.command, self._place.name],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._said,
                text=True,
                start_new_session=True,  # an interrupt is not theirs
            )
        return self._running


def fuzz(
    numbers: Iterable[int],
    command: Sequence[str],
    workers: int = 1,
    patience: float = 10,
    on_outcome: Callable[[Outcome], None] = lambda _: None,
) -> list[Worker]:
    """Try all inputs; returns the workers, ended."""
    waiting, lock, stopped = iter(numbers), threading.Lock(), threading.Event()

    def work(worker: Worker) -> None:
        try:
            while not stopped.is_set():
                with lock:
                    number = next(waiting, None)
                if number is None:
                    break
                outcome = worker.try_one(number)
                with lock:
                    on_outcome(outcome)
        finally:
            worker.end()

    made = [Worker(command, patience) for _ in range(workers)]
    with ThreadPoolExecutor(workers) as pool:
        try:
            list(pool.map(work, made))  # which raises what a thread raised
        finally:
            stopped.set()
    return made


def worker_command(seed: int, memory: float, decode: bool) -> list[str]:
    """The command of a worker."""
    options = ["--seed", str(seed), "--memory", str(memory), *(["--decode"] if decode else [])]
    return [sys.executable, "-m", "tests.robustness.decoding", *options, "--serve"]


def main(
    count: Annotated[int, typer.Option(help="Inputs to try.")] = 20_000,
    seed: Annotated[int, typer.Option(help="Another seed, other inputs.")] = 0,
    first: Annotated[int, typer.Option(help="Number of the first input.")] = 0,
    only: Annotated[list[int] | None, typer.Option(help="Try the inputs of these numbers alone.")] = None,
    like: Annotated[str, typer.Option(help="Those made of files whose names begin so, such as jxl.")] = "",
    workers: Annotated[int, typer.Option(help="Processes.")] = 1,
    patience: Annotated[float, typer.Option(help="Seconds an input may take.")] = 10,
    memory: Annotated[float, typer.Option(help="GiB a process may take on top of its libraries.")] = 1.5,
    decode: Annotated[bool, typer.Option("--decode", help="Decode only: a third of the time.")] = False,
    keep: Annotated[Path, typer.Option(help="Folder for the inputs of findings.")] = Path("runs/decoding"),
    serve_in: Annotated[Path | None, typer.Option("--serve", hidden=True)] = None,
) -> None:
    """Try damaged files."""
    if serve_in is not None:
        serve(seed, memory, decode, serve_in)
        return
    kinds_of_file = len(originals())
    numbers = only or range(first, first + count)
    if like:
        numbers = [number for number in numbers if damaged(seed, number).story.startswith(like)]
    kinds: Counter[str] = Counter()
    findings: dict[str, list[int]] = {}
    start = time.monotonic()

    def show(outcome: Outcome) -> None:
        kinds[outcome.kind] += 1
        if sum(kinds.values()) % 10_000 == 0:
            typer.echo(f"{sum(kinds.values())} tried, {time.monotonic() - start:.0f} s")
        if outcome.kind != "finding":
            if only:
                typer.echo(f"{outcome.number}: {outcome.kind}")
            return
        same = findings.setdefault(outcome.text, [])
        same.append(outcome.number)
        if len(same) <= 3:
            case = damaged(seed, outcome.number)
            keep.mkdir(parents=True, exist_ok=True)
            kept = keep / f"{seed}-{outcome.number}{case.suffix}"
            kept.write_bytes(case.encoded)
            typer.echo(f"FINDING {outcome.text}\n  {outcome.detail}\n  {case.story}\n  {kept}")

    made = fuzz(numbers, worker_command(seed, memory, decode), workers, patience, show)
    for text, same in findings.items():
        typer.echo(f"{len(same):6}  {text}: {' '.join(str(number) for number in same[:8])}")
    used = max((one.used for one in made), key=len)
    if used:
        typer.echo(f"resident memory of a process: {used[0] >> 20} MiB, at last {used[-1] >> 20} MiB")
    typer.echo(
        f"seed {seed}: {sum(kinds.values())} inputs of {kinds_of_file} kinds of file, {kinds['read']} read, "
        f"{kinds['refused']} refused, {kinds['finding']} findings, {time.monotonic() - start:.0f} s"
    )
    if findings:
        typer.echo(f"again: python -m tests.robustness.decoding --seed {seed} --only NUMBER")
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
