"""Which decoder reads which file, by its first bytes alone, and what libvips will hold while it does.

Libvips would ask every loader that it was built with, and some parse the whole file to answer: an SVG of a
few megabytes takes gigabytes there. So the loader is named by us, and those not in the table never run.
"""

from __future__ import annotations

import logging
import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import IO, Any

from blindsr.picture.metadata.jpeg import segments
from blindsr.picture.tiff import Blocks, claimed_bytes
from blindsr.system.untrusted import one_line

LOADERS = {
    "png": "pngload_source",
    "jpeg": "jpegload_source",  # also of what holds more behind the photo: Ultra HDR, MPO
    "webp": "webpload_source",
    "tiff": "tiffload_source",
    "heif": "heifload_source",
    "gif": "gifload_source",
}
"""Kinds of files that libvips reads -> its operation."""

_BEGINNINGS = {
    b"\x89PNG\r\n\x1a\n": "png",
    b"\xff\xd8": "jpeg",
    **dict.fromkeys((b"GIF87a", b"GIF89a"), "gif"),
    **dict.fromkeys((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), "tiff"),
    b"BM": "bmp",
    **dict.fromkeys((b"\xff\x0a", b"\0\0\0\x0cJXL "), "jxl"),
    **{b"P%d" % i: "ppm" for i in range(1, 8)},
    **dict.fromkeys((b"PF", b"Pf"), "ppm"),
}
"""First bytes -> kinds; libvips reads no BMP, and its wheels no PPM and no JPEG XL."""

_OTHERS = {
    **dict.fromkeys((b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51"), "JPEG 2000"),
    **{
        b"8BPS": "Photoshop",
        b"%PDF": "PDF",
        b"\x76\x2f\x31\x01": "OpenEXR",
        b"gimp xcf": "GIMP",
        b"qoif": "QOI",
    },
    **{b"#?RADIANCE": "Radiance", b"DDS ": "DDS", b"FUJIFILM": "Fujifilm raw", b"IIRO": "Olympus raw"},
    **{b"IIU\0": "Panasonic raw", b"SIMPLE  =": "FITS", b"\x1aE\xdf\xa3": "Matroska or WebM"},
}
"""First bytes of pictures that are not read here -> what they are."""

_HEVC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx")
_HEIF_BRANDS = (b"avif", b"avis", b"mif1", b"msf1")

ROWS_HELD = 512
"""Rows that libvips keeps of a picture that it decodes from top to bottom."""

_WHOLE = {"webp": 12, "heif": 12, "gif": 8}
_WHOLE_FIELDS = {"interlaced": 12, "jpeg-multiscan": 12}
"""Kinds, and libvips's names of kinds within them, that need the whole picture: bytes a pixel."""

_SEGMENT = 1024
"""Bytes that each segment of a JPEG file counts on top: a million of empty ones takes its time, too."""

_SAMPLE_BYTES = {
    **{"uchar": 1, "char": 1, "ushort": 2, "short": 2, "uint": 4, "int": 4, "float": 4},
    **{"double": 8, "complex": 8, "dpcomplex": 16},
}


class UndecodableError(Exception):
    """A decoder gave up; its text is one line that says why."""


def kind_of(head: bytes) -> str | None:
    """The kind of a file: a name in `LOADERS`, or "bmp", "ppm", "heic" or "jxl"; None of what is no photo.

    Args:
        head: Its first bytes, 64 or more where it has so many.
    """
    if head[4:8] == b"ftyp":
        if any(brand in head[8:48] for brand in _HEVC_BRANDS):
            return "heic"
        return "heif" if head[8:12] in _HEIF_BRANDS else None
    if head[:4] == b"RIFF":
        return "webp" if head[8:12] == b"WEBP" else None
    return next((kind for first, kind in _BEGINNINGS.items() if head.startswith(first)), None)


def other_kind(head: bytes) -> str | None:
    """What a file is that is not read here, where its first bytes tell."""
    if head[4:8] == b"ftyp":
        return "Canon raw" if head[8:11] == b"crx" else "a film or another kind of ISO media"
    return next((name for first, name in _OTHERS.items() if head.startswith(first)), None)


@contextmanager
def opened(
    file: IO[bytes],
    kind: str,
    access: str = "sequential",
    fail_on: str = "error",
    **options: Any,  # noqa: ANN401
) -> Iterator[Any]:
    """A file as a libvips image: its header is read, its pixels as they are asked for, within this block.

    Libvips maps the files that it opens into memory, and the process dies when one is cut short meanwhile. So
    it gets the bytes as they are read here; of what it has no loader for that goes on from there, it keeps a
    copy.

    Args:
        file: The file; where it stands does not matter.
        kind: A name in `LOADERS`.
        access: "sequential" for rows from top to bottom, or "random".
        fail_on: What ends the reading: "error", "warning", or "none".
        options: Of this kind's operation.

    Raises:
        UndecodableError: It is damaged, or the block raised an error of libvips.
        OSError: It could not be read.
    """
    pyvips = _libvips()
    failures: list[OSError] = []

    def read(count: int) -> bytes | None:
        try:
            return file.read(count)
        except OSError as error:  # no exception passes through libvips
            failures.append(error)
            return None

    def seek(place: int, whence: int) -> int:
        try:
            return file.seek(place, whence)
        except (OSError, OverflowError, ValueError):  # a place that no file has, out of a damaged one
            return -1

    _patience.left = MOST_WARNINGS
    file.seek(0)
    source = pyvips.SourceCustom()  # the image does not keep it, this frame does
    source.on_read(read)
    source.on_seek(seek)
    try:
        yield getattr(pyvips.Image, LOADERS[kind])(source, access=access, fail_on=fail_on, **options)
    except pyvips.Error as error:
        if failures:
            raise failures[0] from error
        raise UndecodableError(reason(error)) from error
    except UnicodeDecodeError as error:  # libvips quotes the file, and pyvips takes it for text
        pyvips.vips_lib.vips_error_clear()
        raise UndecodableError("what it says of itself is no text") from error


MOST_WARNINGS = 20
"""Warnings of libvips that are passed on, from one file to the next: to log them takes longer than a row."""


@dataclass
class _Patience:
    """How many warnings are still passed on."""

    left: int = MOST_WARNINGS


_patience = _Patience()


@cache
def _libvips() -> Any:  # noqa: ANN401
    """Pyvips, whose log now takes what is no text.

    Libvips warns in the words of the file. Pyvips passes that to its logger, and where it is no UTF-8 a
    traceback of its own goes to the terminal instead. For others who use pyvips here nothing else changes.
    """
    import pyvips

    if pyvips.API_mode:

        @pyvips.ffi.def_extern(name="_log_handler_callback")  # type: ignore[untyped-decorator]
        def log(domain: Any, level: int, message: Any, _: Any) -> None:  # noqa: ANN401
            # Of a damaged file there may be something to say of each of a million rows.
            if not _patience.left:
                return
            _patience.left -= 1
            text = pyvips.ffi.string(message)
            if text.startswith(b"error in tile"):  # of a damaged file, once for some rows each
                return
            said = [word.decode("utf-8", "replace") for word in (pyvips.ffi.string(domain), text)]
            known = pyvips.GLogLevelFlags.LEVEL_TO_LOGGER
            pyvips.logger.log(known.get(level, logging.WARNING), ": ".join(said))

    return pyvips


def field(image: Any, name: str, default: Any = None) -> Any:  # noqa: ANN401
    """What libvips knows by that name. Asked for one by one: a file's own names of fields may be no UTF-8."""
    return image.get(name) if image.get_typeof(name) else default


def pixel_bytes(image: Any) -> int:  # noqa: ANN401  (pyvips has no types)
    """Bytes of a pixel of a libvips image, all its bands."""
    return int(image.bands) * _SAMPLE_BYTES[image.format]


def frame_height(image: Any) -> int:  # noqa: ANN401
    """Rows of a libvips image, of one that holds frames below each other those of one."""
    return int(field(image, "page-height", image.height))


def whole_bytes(image: Any, kind: str, file: IO[bytes]) -> int:  # noqa: ANN401
    """Bytes that a decoder takes which needs the whole picture, and keeps the file; 0 of any other."""
    costs = [_WHOLE.get(kind, 0), *(cost for name, cost in _WHOLE_FIELDS.items() if field(image, name))]
    size = _size(file) if kind in _WHOLE else 0
    return int(image.width) * frame_height(image) * max(costs) + size


def held_bytes(image: Any, kind: str, file: IO[bytes]) -> int:  # noqa: ANN401
    """Bytes that a decoder holds at once which goes from top to bottom: rows, and what a file is made of."""
    row = int(image.width) * pixel_bytes(image)
    held = row * min(int(image.height), ROWS_HELD)
    if kind == "tiff":
        blocks = Blocks.of(file)
        held += 0 if blocks is None else blocks.held(image.width, image.height, pixel_bytes(image))
    return held


def opening_bytes(file: IO[bytes], kind: str, most: int) -> int:
    """Bytes that a decoder takes before it has told the size of the picture.

    Args:
        file: The file; where it stands does not matter.
        kind: Of the file.
        most: It is enough to know that they are more than this.
    """
    if kind == "jpeg":
        return _segments(file, most)
    if kind == "tiff":
        return claimed_bytes(file, most)
    return _size(file) if kind in ("heic", "jxl") or kind in _WHOLE else 0


def _segments(file: IO[bytes], most: int) -> int:
    """Bytes of the segments of a JPEG file before its pixels: its decoder keeps them."""
    kept = 0
    for one in segments(file):
        if kept > most or one.marker in (0xD9, 0xDA):
            break
        kept += one.size + 2 + _SEGMENT
    return kept


def _size(file: IO[bytes]) -> int:
    """Bytes of a file."""
    return file.seek(0, os.SEEK_END)


def reason(error: Exception) -> str:
    """What a library says, on one line."""
    lines = [line.strip() for line in str(error).splitlines()]
    # Without what names only a function of the library, and numbers of errors.
    telling = [line for line in lines if re.search("[a-z]{2}", line) and not line.startswith("unable to ")]
    return one_line((telling[-1] if telling else "no reason given")[:200])


@contextmanager
def without_warnings() -> Iterator[None]:
    """Pillow warns of damage while it goes on; what is wrong with a photo is told once, by us."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
