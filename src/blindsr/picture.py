"""A picture with all that a photo carries: pixels, alpha, ICC profile, EXIF, XMP, resolution, bit depth."""

from __future__ import annotations

import io
import struct
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blindsr import exif as exif_block
from blindsr.errors import InputError, MissingExtraError
from blindsr.files import atomic_path, walk_files

MAX_PIXELS = 1 << 27
"""Largest picture that is decoded, in pixels: a small file can claim a size that would fill any memory."""

READABLE = (
    *(".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff"),
    *(".avif", ".heic", ".heif", ".gif", ".bmp", ".ppm", ".pgm"),
)
"""Suffixes looked for in folders; a file named directly is judged by its content."""

_LOADERS = ("png", "jpeg", "webp", "tiff", "heif", "gif", "ppm")


@dataclass(frozen=True)
class Format:
    """What a file format can hold, and how it is written.

    Args:
        suffixes: How its files' names end; the first is the usual one.
        saver: The libvips operation that encodes it; none for what Pillow writes.
        options: Of the saver.
        depths: Bits a sample that it can hold, ascending.
        alpha: Whether it holds alpha.
        gray: Whether it holds gray as one channel.
        profile: Whether it holds an ICC profile (and EXIF and XMP).
        lossy: Whether it takes a quality, 1 to 100.
        density: Whether it has a place of its own for the resolution; else an EXIF block tells it.
    """

    suffixes: tuple[str, ...]
    saver: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    depths: tuple[int, ...] = (8,)
    alpha: bool = True
    gray: bool = True
    profile: bool = True
    lossy: bool = False
    density: bool = False


# PNG: "up" is the quickest filter that still finds the smoothness of an enlarged photo; level 2 costs half of
# what level 6 does and gives files a fifth larger. AVIF: efforts above 0 take five times as long for files a
# third smaller; the network would wait for the encoder.
FORMATS: dict[str, Format] = {
    "png": Format(
        (".png",), "pngsave_buffer", {"compression": 2, "filter": "up"}, depths=(8, 16), density=True
    ),
    "jpeg": Format(
        (".jpg", ".jpeg"), "jpegsave_buffer", {"Q": 95, "subsample_mode": "off"}, alpha=False, lossy=True
    ),
    "webp": Format((".webp",), "webpsave_buffer", {"Q": 95, "effort": 2}, gray=False, lossy=True),
    "tiff": Format(
        (".tif", ".tiff"),
        "tiffsave_buffer",
        {"compression": "lzw", "predictor": "horizontal"},
        depths=(8, 16),
        density=True,
    ),
    "avif": Format(
        (".avif",),
        "heifsave_buffer",
        {"compression": "av1", "Q": 90, "effort": 0, "subsample_mode": "off"},
        depths=(8, 10, 12),
        gray=False,
        lossy=True,
    ),
    "bmp": Format((".bmp",), alpha=False, profile=False, density=True),
}
"""Formats that can be written, by the name that a user gives."""

WRITABLE = tuple(suffix for format_ in FORMATS.values() for suffix in format_.suffixes)
"""Suffixes that can be written."""


@dataclass(frozen=True, eq=False)
class Picture:
    """Pixels and what belongs to them.

    Args:
        pixels: (H, W, 3) RGB or (H, W, 1) gray, float32 in [0, 1], in the colour space of `icc`.
        alpha: Opacity, (H, W) float32 in [0, 1], not multiplied into the pixels; None when opaque.
        bit_depth: 8, 10, 12 or 16: the precision of the file it came from, and of the file it is written to
            where that can hold it.
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
    """The picture files in a folder and below it, sorted by their path; what is hidden is left out.

    Raises:
        InputError: The folder is not there, it or one below it cannot be read, or there is no picture.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder")
    try:
        found = [file for file in walk_files(folder) if file.suffix.lower() in READABLE and file.is_file()]
    except OSError as error:
        raise InputError(f"{error.filename}: this folder cannot be read ({error.strerror})") from error
    if not found:
        raise InputError(f"{folder}: no photos in this folder ({', '.join(READABLE)})")
    return found


def quantise(pixels: NDArray[np.float32], bit_depth: int) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """[0, 1] -> whole levels of so many bits: clipped, halves rounded up."""
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

    Gray stays gray and the bit depth what it is (both as the file's header says); a palette becomes RGB; CMYK
    becomes sRGB through its profile. Floating-point samples are taken as they stand, 1 being white. Of a file
    with several pages the first is read; HEIC needs the extra [heic].

    Raises:
        InputError: The file is missing, unreadable, damaged, animated, too large or no picture; the message
            names it.
        MissingExtraError: A HEIC file, and pillow-heif is not installed.
    """
    import pyvips

    path = Path(path)
    try:
        encoded = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    animation = InputError(f"{path}: an animation; only still pictures are read, so save the frame you want")
    if _animated(encoded):
        raise animation
    if encoded[:2] == b"BM":
        return _read_bmp(path, encoded)
    if encoded[4:8] == b"ftyp" and any(brand in encoded[8:48] for brand in _HEVC_BRANDS):
        return _read_heic(path, encoded)
    try:
        # From memory: libvips reads options out of names, and cannot open every name the system can.
        image = pyvips.Image.new_from_buffer(encoded, "", access="sequential", fail_on="error")
        loader = image.get("vips-loader")
        if not loader.startswith(_LOADERS):
            raise InputError(
                f"{path}: not a photo format this program reads ({', '.join(_LOADERS)}, bmp, heic)"
            )
        if (
            loader.startswith(("gif", "webp"))
            and "n-pages" in image.get_fields()
            and image.get("n-pages") > 1
        ):
            raise animation
        _check_size(path, image.width, image.height)
        return _decode(image, path)
    except pyvips.Error as error:
        raise InputError(f"{path}: not a readable picture ({_reason(error)})") from error


def write(picture: Picture, path: str | Path, quality: int | None = None) -> None:
    """Write a picture in the format its suffix names, with its profile, EXIF, XMP and resolution.

    The file appears complete or not at all. PNG and TIFF hold 8 and 16 bit, AVIF 8, 10 and 12, the others 8;
    JPEG and BMP have no alpha, so the picture is laid on white. BMP has no profile, so the colours become
    sRGB; it holds neither EXIF nor XMP, and TIFF files are written without EXIF. The EXIF block tells the
    size that is written.

    Args:
        picture: What to write.
        path: The file; its suffix is one of `WRITABLE`.
        quality: 1 to 100, for JPEG and WebP (else 95) and AVIF (else 90). JPEG and AVIF are written with full
            colour resolution.

    Raises:
        InputError: Unknown suffix, a quality that the format does not take, a folder that is not there or not
            writable, or a picture the format cannot hold; the message names the file.
    """
    import pyvips

    path = Path(path)
    format_ = next((one for one in FORMATS.values() if path.suffix.lower() in one.suffixes), None)
    if format_ is None:
        raise InputError(f"{path}: cannot write this format; use {', '.join(WRITABLE)}")
    options = dict(format_.options)
    if quality is not None:
        if not format_.lossy:
            raise InputError(f"{path}: {path.suffix} files lose nothing, so they take no quality")
        if not 1 <= quality <= 100:
            raise InputError(f"quality {quality}: give 1 to 100")
        options["Q"] = quality
    depth = next((bits for bits in format_.depths if bits >= picture.bit_depth), format_.depths[-1])
    if format_.saver == "heifsave_buffer":
        options["bitdepth"] = depth
    try:
        image, kept = _encode(picture, format_, depth)
        if format_.saver:
            encoded: bytes = getattr(image, format_.saver)(keep=kept, **options)
        else:
            encoded = _bmp(image, picture.dpi)
    except pyvips.Error as error:
        raise InputError(
            f"{path}: a {picture.width}x{picture.height} picture cannot be written ({_reason(error)})"
        ) from error
    try:
        with atomic_path(path) as temporary:
            temporary.write_bytes(encoded)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror})") from error


def _check_size(path: Path, width: int, height: int) -> None:
    """Refuse what would fill the memory, before it is decoded."""
    if width * height > MAX_PIXELS:
        raise InputError(f"{path}: {width}x{height} is more than the {MAX_PIXELS // 2**20} Mpixel allowed")


def _animated(encoded: bytes) -> bool:
    """Whether this is an animated PNG or AVIF; libvips tells of the others."""
    if encoded[4:12] == b"ftypavis":
        return True
    control = encoded.find(b"acTL", 0, max(0, encoded.find(b"IDAT"))) if encoded[:4] == b"\x89PNG" else -1
    return control >= 0 and int.from_bytes(encoded[control + 4 : control + 8], "big") > 1


_HEVC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx")


def _read_heic(path: Path, encoded: bytes) -> Picture:
    """HEIC by pillow-heif: libvips comes without the patented decoder."""
    try:
        import pillow_heif
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"{path}: reading HEIC", "heic", "pillow-heif") from error
    try:
        heif = pillow_heif.open_heif(io.BytesIO(encoded), convert_hdr_to_8bit=False, hdr_to_16bit=True)
        _check_size(path, *heif.size)
        levels = np.asarray(heif)
    except (ValueError, EOFError, SyntaxError, RuntimeError, OSError) as error:
        raise InputError(f"{path}: not a readable picture ({_reason(error)})") from error
    depth = min(heif.info.get("bit_depth", 8), 16) if levels.dtype == np.uint16 else 8
    pixels, alpha = _split(levels, _white(levels.dtype, depth))
    exif = heif.info.get("exif")
    exif = exif_block.upright(exif) if exif else None  # the decoder has turned the pixels already
    return Picture(
        pixels=pixels,
        alpha=alpha,
        bit_depth=depth,
        icc=heif.info.get("icc_profile") or None,
        exif=exif,
        xmp=heif.info.get("xmp") or None,
        dpi=None if exif is None else exif_block.resolution(exif),
    )


def _read_bmp(path: Path, encoded: bytes) -> Picture:
    """BMP by Pillow: libvips reads none."""
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the limit is ours
            opened = Image.open(io.BytesIO(encoded), formats=["BMP"])
        with opened as image:
            _check_size(path, *image.size)
            if image.mode not in ("L", "RGB", "RGBA"):
                image.load()
                gray = image.mode == "1"
                levels = np.asarray(image.convert("L" if gray else "RGB"))
            else:
                levels = np.asarray(image)
            dpi = image.info.get("dpi")
    except UnidentifiedImageError as error:  # its text names no file but an object in memory
        raise InputError(f"{path}: not a readable picture (damaged BMP header)") from error
    # Pillow raises what its parsers meet; SyntaxError and struct.error are among them.
    except (OSError, ValueError, SyntaxError, struct.error, Image.DecompressionBombError) as error:
        raise InputError(f"{path}: not a readable picture ({_reason(error)})") from error
    pixels, alpha = _split(levels, 255)
    return Picture(pixels, alpha, dpi=dpi if dpi and min(dpi) > 0 else None)


def _bmp(image: Any, dpi: tuple[float, float] | None) -> bytes:  # noqa: ANN401
    """Encode as BMP."""
    from PIL import Image

    levels = image.numpy().reshape(image.height, image.width, image.bands)
    encoded = io.BytesIO()
    # Without a resolution Pillow would invent one; zeros say that it is not known.
    Image.fromarray(levels[:, :, 0] if image.bands == 1 else levels).save(encoded, "BMP", dpi=dpi or (0, 0))
    return encoded.getvalue()


def _split(levels: NDArray[Any], white: float) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """Samples, `white` being 1 -> pixels and alpha."""
    levels = levels.reshape(*levels.shape[:2], -1)
    values: NDArray[np.float32] = np.divide(levels, white, dtype=np.float32)
    # Bands after the colours are alpha first, then whatever a layered TIFF adds, which is left out.
    colours = 3 if values.shape[2] >= 3 else 1
    pixels = np.ascontiguousarray(values[:, :, :colours])
    return pixels, np.ascontiguousarray(values[:, :, colours]) if values.shape[2] > colours else None


def _white(dtype: np.dtype[Any], depth: int) -> float:
    """The largest sample: fewer bits than the type has are its upper ones."""
    bits = 8 * dtype.itemsize
    return float(((1 << min(depth, bits)) - 1) << max(0, bits - depth))


def _decode(image: Any, path: Path) -> Picture:  # noqa: ANN401  (pyvips has no types)
    """A libvips image -> pixels and what belongs to them."""
    fields = set(image.get_fields())
    loader = image.get("vips-loader")
    exif, icc, xmp = (
        image.get(name) if name in fields else None for name in ("exif-data", "icc-profile-data", "xmp-data")
    )
    exif = None if exif is None else exif_block.upright(exif)
    if loader.startswith(("webp", "heif")):
        dpi = None if exif is None else exif_block.resolution(exif)
    else:
        # When a file says nothing, libvips says 72 pixels per inch for JPEG, else 1 per mm (and writes it).
        if loader.startswith("jpeg"):
            known = "resolution-unit" in fields or (image.xres, image.yres) != (72 / 25.4, 72 / 25.4)
        else:
            known = max(abs(image.xres - 1), abs(image.yres - 1)) > 1e-3
        dpi = (image.xres * 25.4, image.yres * 25.4) if known else None
    image = image.autorot()
    if image.interpretation == "cmyk":
        image, icc = image.icc_transform("srgb", embedded=True, input_profile="cmyk"), None
    if image.interpretation not in _AS_THEY_STAND:
        image = image.colourspace("srgb" if image.format == "uchar" else "rgb16")
    # The shape is said again, for a single sample comes as a number.
    levels = image.numpy().reshape(image.height, image.width, image.bands)
    if levels.dtype in (np.uint8, np.uint16, np.uint32):
        depth = min(8 * levels.dtype.itemsize, 16)
        if loader.startswith("heif") and depth == 16:
            depth = image.get("bits-per-sample")
        pixels, alpha = _split(
            levels, _white(levels.dtype, 8 * levels.dtype.itemsize if depth == 16 else depth)
        )
    elif levels.dtype in (np.float32, np.float64):
        if not (np.isfinite(levels).all() and levels.min() > -0.5 and levels.max() < 1.5):
            raise InputError(
                f"{path}: its samples leave 0..1, 1 being white; scale them (or tone-map it) first"
            )
        depth = 16
        pixels, alpha = _split(levels.clip(0, 1), 1)
    else:
        raise InputError(f"{path}: samples of type {levels.dtype}; save it as 8 or 16 bit")
    # These formats, as libvips reads them, have no gray of their own.
    colourless = loader.startswith(("webp", "heif", "gif")) and icc is None and pixels.shape[2] == 3
    # WebP's decoder gives gray that is a level off in some pixels.
    if colourless and np.abs(pixels[:, :, 1:] - pixels[:, :, :1]).max() < 1.5 / 255:
        pixels = pixels[:, :, 1:2].copy()
    return Picture(pixels=pixels, alpha=alpha, bit_depth=depth, icc=icc, exif=exif, xmp=xmp, dpi=dpi)


_AS_THEY_STAND = ("srgb", "rgb16", "rgb", "scrgb", "b-w", "grey16", "multiband")


def _encode(picture: Picture, format_: Format, depth: int) -> tuple[Any, str]:
    """Pixels and what belongs to them -> a libvips image, and what its saver may write beside the pixels."""
    import pyvips

    pixels, alpha = picture.pixels, picture.alpha
    if alpha is not None:
        if format_.alpha:
            pixels = np.concatenate([pixels, alpha[:, :, None]], axis=2)
        else:
            pixels = pixels * alpha[:, :, None] + (1 - alpha[:, :, None])
    levels: NDArray[Any] = np.ascontiguousarray(quantise(pixels, depth))
    sixteen = depth > 8
    if sixteen:
        levels <<= 16 - depth  # libvips wants fewer bits as the upper ones
    height, width, bands = levels.shape
    image = pyvips.Image.new_from_memory(levels, width, height, bands, "ushort" if sixteen else "uchar")
    dpi = picture.dpi or (25.4, 25.4)
    interpretation = (("srgb", "b-w"), ("rgb16", "grey16"))[sixteen][picture.gray]
    image = image.copy(interpretation=interpretation, xres=dpi[0] / 25.4, yres=dpi[1] / 25.4)
    icc, exif, xmp = picture.icc, picture.exif, picture.xmp
    if exif is not None:
        exif = exif_block.with_size(exif, height, width)
    elif picture.dpi is not None and not format_.density:
        exif = exif_block.of_resolution(picture.dpi)
    if icc is not None:
        image.set_type(pyvips.GValue.blob_type, "icc-profile-data", icc)
        if not format_.profile or (picture.gray and not format_.gray):
            # No place for this profile: the colours take the one that is assumed where there is none.
            image = image.icc_transform("srgb", embedded=True, depth=16 if sixteen else 8)
            icc = None
            if picture.gray and format_.gray:
                image = image[0]
    for name, value in (("exif-data", exif), ("xmp-data", xmp)):
        if value is not None:
            image.set_type(pyvips.GValue.blob_type, name, value)
    # Left alone, libvips makes up an EXIF block where none was.
    kept = {"icc": icc, "exif": exif, "xmp": xmp}
    return image, ":".join(name for name, value in kept.items() if value is not None) or "none"


def _reason(error: Exception) -> str:
    """What libvips says, on one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else "no reason given")[:200]
