"""A picture with all that a photo carries: pixels, alpha, ICC profile, EXIF, XMP, resolution, bit depth."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blindsr.errors import InputError
from blindsr.files import atomic_path

MAX_PIXELS = 1 << 27
"""Largest picture that is decoded, in pixels: a small file can claim a size that would fill any memory."""

READABLE = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".avif", ".gif", ".ppm", ".pgm")
"""Suffixes looked for in folders; a file named directly is judged by its content."""

_LOADERS = ("png", "jpeg", "webp", "tiff", "heif", "gif", "ppm")

# "up" is the quickest filter that still finds the smoothness of an enlarged photo; level 2 costs half of what
# level 6 does and gives files a fifth larger.
_SAVERS: dict[str, tuple[str, dict[str, Any]]] = {
    ".png": ("pngsave_buffer", {"compression": 2, "filter": "up"}),
    ".jpg": ("jpegsave_buffer", {"Q": 95, "subsample_mode": "off"}),
    ".jpeg": ("jpegsave_buffer", {"Q": 95, "subsample_mode": "off"}),
    ".webp": ("webpsave_buffer", {"Q": 95, "effort": 2}),
    ".tif": ("tiffsave_buffer", {"compression": "lzw", "predictor": "horizontal"}),
    ".tiff": ("tiffsave_buffer", {"compression": "lzw", "predictor": "horizontal"}),
}
_SIXTEEN_BIT = (".png", ".tif", ".tiff")
_NO_ALPHA = (".jpg", ".jpeg")
WRITABLE = tuple(_SAVERS)
"""Suffixes that can be written."""


@dataclass(frozen=True, eq=False)
class Picture:
    """Pixels and what belongs to them.

    Args:
        pixels: (H, W, 3) RGB or (H, W, 1) gray, float32 in [0, 1], in the colour space of `icc`.
        alpha: Opacity, (H, W) float32 in [0, 1], not multiplied into the pixels; None when opaque.
        bit_depth: 8 or 16: the precision of the file it came from, and of the file it is written to.
        icc: ICC profile; None means sRGB.
        exif: EXIF block (a TIFF structure, without JPEG's "Exif" prefix); its orientation is always 1.
        xmp: XMP packet.
        dpi: Horizontal and vertical resolution, pixels per inch.
    """

    pixels: NDArray[np.float32]
    alpha: NDArray[np.float32] | None = None
    bit_depth: int = 8
    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    dpi: tuple[float, float] | None = None

    @property
    def height(self) -> int:
        """Rows of pixels."""
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        """Columns of pixels."""
        return int(self.pixels.shape[1])

    @property
    def gray(self) -> bool:
        """Whether there is one channel instead of three."""
        return int(self.pixels.shape[2]) == 1


def find_pictures(folder: Path) -> list[Path]:
    """The picture files in a folder and below it, sorted by their path; hidden ones are left out.

    Raises:
        InputError: The folder is not there, or holds no picture.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder")
    found = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in READABLE and not path.name.startswith(".") and path.is_file()
    )
    if not found:
        raise InputError(f"{folder}: no photos in this folder ({', '.join(READABLE)})")
    return found


def quantise(pixels: NDArray[np.float32], bit_depth: int) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """[0, 1] -> whole levels of 8 or 16 bit: clipped, halves rounded up."""
    top = (1 << bit_depth) - 1
    levels: NDArray[Any] = np.empty(pixels.shape, np.uint8 if bit_depth == 8 else np.uint16)
    # In bands of rows: the copies between stay in the processor's cache instead of doubling a large picture.
    rows = 1 + (1 << 18) // max(1, pixels[:1].size)
    for first in range(0, len(pixels), rows):
        band = np.clip(pixels[first : first + rows], 0, 1, dtype=np.float32)
        band *= top
        band += 0.5
        levels[first : first + rows] = band  # positive, so the conversion's truncation is a floor
    return levels


def read(path: str | Path) -> Picture:
    """Read a picture of any common format, upright: the EXIF orientation is applied once and reset.

    Gray stays gray and 16 bit stays 16 bit (both as the file's header says); a palette becomes RGB; CMYK
    becomes sRGB through its profile. Of a file with several pages or frames the first is read.

    Raises:
        InputError: The file is missing, unreadable, damaged, too large or no picture; the message names it.
    """
    import pyvips

    path = Path(path)
    try:
        encoded = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    try:
        # From memory: libvips reads options out of names, and cannot open every name the system can.
        image = pyvips.Image.new_from_buffer(encoded, "", access="sequential", fail_on="error")
        if not image.get("vips-loader").startswith(_LOADERS):
            raise InputError(f"{path}: not a photo format this program reads ({', '.join(_LOADERS)})")
        if image.width * image.height > MAX_PIXELS:
            raise InputError(
                f"{path}: {image.width}x{image.height} is more than the {MAX_PIXELS // 2**20} Mpixel allowed"
            )
        return _decode(image)
    except pyvips.Error as error:
        raise InputError(f"{path}: not a readable picture ({_reason(error)})") from error


def write(picture: Picture, path: str | Path) -> None:
    """Write a picture in the format its suffix names, with its profile, EXIF, XMP and resolution.

    The file appears complete or not at all. PNG and TIFF keep 16 bit, the others hold 8; JPEG has no alpha,
    so the picture is laid on white. JPEG is written with quality 95 and full colour resolution.

    Raises:
        InputError: Unknown suffix, a folder that is not there or not writable, or a picture the format cannot
            hold; the message names the file.
    """
    import pyvips

    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in _SAVERS:
        raise InputError(f"{path}: cannot write this format; use {', '.join(WRITABLE)}")
    saver, options = _SAVERS[suffix]
    try:
        encoded: bytes = getattr(_encode(picture, suffix), saver)(keep=_kept(picture), **options)
    except pyvips.Error as error:
        raise InputError(
            f"{path}: a {picture.width}x{picture.height} picture cannot be written ({_reason(error)})"
        ) from error
    try:
        with atomic_path(path) as temporary:
            temporary.write_bytes(encoded)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror})") from error


def _decode(image: Any) -> Picture:  # noqa: ANN401  (pyvips has no types)
    """A libvips image -> pixels and what belongs to them."""
    fields = set(image.get_fields())
    # A resolution of exactly 1 pixel per mm is what libvips says when the file says nothing.
    known = "resolution-unit" in fields or (image.xres, image.yres) != (1.0, 1.0)
    dpi = (image.xres * 25.4, image.yres * 25.4) if known else None
    exif, icc, xmp = (
        image.get(name) if name in fields else None for name in ("exif-data", "icc-profile-data", "xmp-data")
    )
    image = image.autorot()
    if image.interpretation == "cmyk":
        image, icc = image.icc_transform("srgb", embedded=True, input_profile="cmyk"), None
    gray = image.interpretation in ("b-w", "grey16")
    sixteen = image.format == "ushort"
    if image.format not in ("uchar", "ushort"):  # float and 32-bit files
        image, sixteen = image.colourspace("grey16" if gray else "rgb16"), True
    elif image.interpretation not in ("srgb", "rgb16", "rgb", "b-w", "grey16", "multiband"):
        image = image.colourspace("rgb16" if sixteen else "srgb")
    levels = image.numpy()
    levels = levels.reshape(*levels.shape[:2], -1)
    values: NDArray[np.float32] = np.divide(levels, 65535 if sixteen else 255, dtype=np.float32)
    # Bands after the colours are alpha first, then whatever a layered TIFF adds, which is left out.
    colours = 3 if values.shape[2] >= 3 else 1
    pixels = np.ascontiguousarray(values[:, :, :colours])
    alpha = np.ascontiguousarray(values[:, :, colours]) if values.shape[2] > colours else None
    return Picture(
        pixels=pixels,
        alpha=alpha,
        bit_depth=16 if sixteen else 8,
        icc=icc,
        exif=None if exif is None else _upright(exif),
        xmp=xmp,
        dpi=dpi,
    )


def _encode(picture: Picture, suffix: str) -> Any:  # noqa: ANN401
    """Pixels and what belongs to them -> a libvips image, ready for a saver."""
    import pyvips

    pixels, alpha = picture.pixels, picture.alpha
    if alpha is not None:
        if suffix in _NO_ALPHA:
            pixels = pixels * alpha[:, :, None] + (1 - alpha[:, :, None])
        else:
            pixels = np.concatenate([pixels, alpha[:, :, None]], axis=2)
    bit_depth = picture.bit_depth if suffix in _SIXTEEN_BIT else 8
    levels = np.ascontiguousarray(quantise(pixels, bit_depth))
    height, width, bands = levels.shape
    format_ = {8: "uchar", 16: "ushort"}[bit_depth]
    image = pyvips.Image.new_from_memory(levels, width, height, bands, format_)
    xres, yres = (value / 25.4 for value in picture.dpi or (25.4, 25.4))
    interpretation = {8: ("srgb", "b-w"), 16: ("rgb16", "grey16")}[bit_depth][picture.gray]
    image = image.copy(interpretation=interpretation, xres=xres, yres=yres)
    for name, value in (
        ("icc-profile-data", picture.icc),
        ("exif-data", picture.exif),
        ("xmp-data", picture.xmp),
    ):
        if value is not None:
            image.set_type(pyvips.GValue.blob_type, name, value)
    return image


def _kept(picture: Picture) -> str:
    """What a saver may write beside the pixels; left alone, libvips makes up an EXIF block where none was."""
    kept = {"icc": picture.icc, "exif": picture.exif, "xmp": picture.xmp}
    return ":".join(name for name, value in kept.items() if value is not None) or "none"


def _upright(exif: bytes) -> bytes:
    """The EXIF block without JPEG's prefix and with its orientation, if it has one, set to 1."""
    exif = exif.removeprefix(b"Exif\0\0")
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4])
    if order is None:
        return exif
    try:
        (directory,) = struct.unpack_from(f"{order}I", exif, 4)
        (count,) = struct.unpack_from(f"{order}H", exif, directory)
        for entry in range(directory + 2, directory + 2 + 12 * count, 12):
            (tag,) = struct.unpack_from(f"{order}H", exif, entry)
            if tag == 0x0112:
                patched = bytearray(exif)
                struct.pack_into(f"{order}HIHH", patched, entry + 2, 3, 1, 1, 0)  # SHORT, one value, 1
                return bytes(patched)
    except struct.error:  # a directory that points beyond its block holds no orientation
        pass
    return exif


def _reason(error: Exception) -> str:
    """What libvips says, on one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else "no reason given")[:200]
