"""The file formats: what each can hold, how it is written, and what its decoder and encoder take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from blindsr.errors import InputError

READABLE = (
    *(".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".avif", ".heic", ".heif", ".jxl", ".gif", ".bmp"),
    *(".jfif", ".jpe", ".mpo", ".hif", ".dib", ".apng", ".ppm", ".pgm", ".pbm", ".pnm", ".pam", ".pfm"),
)
"""Suffixes looked for in folders; a file named directly is judged by its content."""

PICTURES = frozenset(
    (
        *READABLE,
        *(
            ".jp2",
            ".j2k",
            ".jpx",
            ".jls",
            ".psd",
            ".psb",
            ".xcf",
            ".svg",
            ".svgz",
            ".ico",
            ".icns",
            ".pcx",
        ),
        *(
            ".exr",
            ".hdr",
            ".tga",
            ".dds",
            ".qoi",
            ".fits",
            ".pdf",
            ".eps",
            ".ai",
            ".jxr",
            ".wdp",
            ".bpg",
        ),
        *(
            ".dng",
            ".cr2",
            ".cr3",
            ".nef",
            ".nrw",
            ".arw",
            ".sr2",
            ".raf",
            ".orf",
            ".rw2",
            ".pef",
            ".srw",
            ".3fr",
        ),
    )
)
"""Suffixes that name pictures, whether they are read and written here or not: none of them names a folder."""


@dataclass(frozen=True)
class Format:
    """What a file format can hold, and how it is written.

    Args:
        name: As a user gives it.
        suffixes: How its files' names end; the first is the usual one.
        saver: The libvips operation that encodes it; none for what Pillow or libjxl writes.
        options: Of the saver.
        depths: Bits a sample that it can hold, ascending.
        alpha: Whether it holds alpha.
        gray: Whether it holds gray as one channel.
        profile: Whether it holds an ICC profile (and EXIF and XMP).
        lossy: Whether it takes a quality, 1 to 100.
        density: Whether it has a place of its own for the resolution; else an EXIF block tells it.
        side: Longest side that it can hold, pixels.
        encoder: Bytes a pixel that its encoder takes, where that needs the whole picture at once; 0 where it
            writes row by row.
        several: What a file of it may have more than one of: "pages", "frames", or neither.
    """

    name: str
    suffixes: tuple[str, ...]
    saver: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    depths: tuple[int, ...] = (8,)
    alpha: bool = True
    gray: bool = True
    profile: bool = True
    lossy: bool = False
    density: bool = False
    side: int = (1 << 31) - 1
    encoder: int = 0
    several: str = ""


# PNG: "up" is the quickest filter that still finds the smoothness of an enlarged photo; level 2 costs half of
# what level 6 does and gives files a fifth larger. AVIF: efforts above 0 take five times as long for files a
# third smaller; the network would wait for the encoder. GIF: effort 7 takes four times as long for files 8 %
# smaller.
FORMATS: dict[str, Format] = {
    "png": Format(
        "png",
        (".png", ".apng"),
        "pngsave_target",
        {"compression": 2, "filter": "up"},
        depths=(8, 16),
        density=True,
        several="frames",
    ),
    "jpeg": Format(
        "jpeg",
        (".jpg", ".jpeg", ".jpe", ".jfif"),
        "jpegsave_target",
        {"Q": 95, "subsample_mode": "off"},
        alpha=False,
        lossy=True,
        density=True,
        side=65500,
    ),
    "webp": Format(
        "webp",
        (".webp",),
        "webpsave_target",
        {"Q": 95, "effort": 2},
        gray=False,
        lossy=True,
        side=16383,
        encoder=16,
        several="frames",
    ),
    "tiff": Format(
        "tiff",
        (".tif", ".tiff"),
        "tiffsave_target",
        {"compression": "lzw", "predictor": "horizontal"},
        depths=(8, 16),
        density=True,
        several="pages",
    ),
    "avif": Format(
        "avif",
        (".avif",),
        "heifsave_target",
        {"compression": "av1", "Q": 90, "effort": 0, "subsample_mode": "off"},
        depths=(8, 10, 12),
        gray=False,
        lossy=True,
        side=65536,
        encoder=32,
    ),
    "jxl": Format(
        "jxl",
        (".jxl",),
        options={"Q": 95},
        depths=(8, 10, 12, 16),
        lossy=True,
        side=1 << 30,
        encoder=40,
        several="frames",
    ),
    "bmp": Format("bmp", (".bmp", ".dib"), alpha=False, profile=False, density=True, encoder=12),
    "gif": Format(
        "gif",
        (".gif",),
        "gifsave_target",
        {"effort": 4},
        gray=False,
        profile=False,
        side=65535,
        encoder=12,
        several="frames",
    ),
}
"""Formats that can be written, by the name that a user gives."""

WRITABLE = tuple(suffix for format_ in FORMATS.values() for suffix in format_.suffixes)
"""Suffixes that can be written."""


def format_of(path: Path) -> Format:
    """The format that a file's suffix names.

    Raises:
        InputError: It names none that can be written.
    """
    for format_ in FORMATS.values():
        if path.suffix.lower() in format_.suffixes:
            return format_
    raise InputError(f"{path}: cannot write this format; use {', '.join(WRITABLE)}")
