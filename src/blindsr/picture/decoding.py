"""From files to photos: any common format, as its header says it is, upright."""

from __future__ import annotations

import io
import os
import re
import stat
import struct
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from blindsr import exif as exif_block
from blindsr.errors import InputError, MissingExtraError
from blindsr.memory import show_bytes
from blindsr.picture.photo import Photo, Picture
from blindsr.picture.samples import Samples
from blindsr.tiff import read_exif

MAX_PIXELS = 1 << 27
"""Largest picture that is decoded unless the caller says otherwise, in pixels: a small file can claim a size
that would fill any disk."""

UNKNOWN_RESOLUTION = 2.834
"""Pixels per mm that stand for an unknown resolution: 72 per inch, as EXIF 2.32 designates for that case, cut
to whole ones per metre as in libvips, so that they can be told from those that a file really has."""

_LOADERS = ("png", "jpeg", "webp", "tiff", "heif", "gif")

_WHOLE = {"webp": 12, "heif": 12, "gif": 8, "interlaced": 12, "jpeg-multiscan": 12}
"""Loaders, and kinds of files, that need the whole picture at once: bytes a pixel that they take."""

_WHOLE_OTHER = 24
"""The same of Pillow and pillow-heif."""

_ROWS = 128
"""Rows that are decoded at once."""


@dataclass(frozen=True)
class Limits:
    """What decoding and encoding may take.

    Args:
        pixels: Largest picture that is decoded, pixels.
        samples: Bytes that a picture's samples may take in memory, else they go to disk; None for any number.
        codec: Bytes that a decoder or encoder may take that needs the whole picture; None for any number.
        folder: Where temporary files are made; None for the system's folder for them.
    """

    pixels: int = MAX_PIXELS
    samples: int | None = None
    codec: int | None = None
    folder: Path | None = None

    def check_size(self, path: Path, width: int, height: int) -> None:
        """Refuse what is larger than was allowed, before it is decoded.

        Raises:
            InputError: It is.
        """
        if width * height > self.pixels:
            raise InputError(
                f"{path}: {width}x{height} is more than the {self.pixels / 1e6:.4g} million pixels allowed; "
                "allow more with --max-pixels"
            )

    def check_codec(self, path: Path, pixels: int, bytes_a_pixel: int) -> None:
        """Refuse what a codec would need too much memory for.

        Raises:
            InputError: It would.
        """
        if self.codec is not None and pixels * bytes_a_pixel > self.codec:
            raise InputError(
                f"{path}: this format needs the whole picture in memory, about "
                f"{show_bytes(pixels * bytes_a_pixel)} of it, and {show_bytes(self.codec)} are allowed; "
                "use PNG or TIFF, or allow more with --memory"
            )


def read(path: str | Path, limits: Limits | None = None) -> Picture:
    """Read a picture of any common format into memory; see `open_photo`.

    Raises:
        InputError: As `open_photo`.
        MissingExtraError: As `open_photo`.
    """
    with open_photo(path, limits) as photo:
        return photo.picture()


def open_photo(path: str | Path, limits: Limits | None = None) -> Photo:
    """Decode a photo of any common format, upright: the EXIF orientation is applied once and reset.

    Gray stays gray and the bit depth what it is (both as the file's header says); a palette becomes RGB; CMYK
    becomes sRGB through its profile. Floating-point samples are taken as they stand, 1 being white. Of a file
    with several pages the first is read; HEIC needs the extra [heic].

    Args:
        path: The file; its suffix does not matter.
        limits: What it may take; None for no bound on memory.

    Raises:
        InputError: The file is missing, unreadable, damaged, animated, too large or no picture; the message
            names it.
        MissingExtraError: A HEIC file, and pillow-heif is not installed.
    """
    path, limits = Path(path), limits or Limits()
    try:
        if "\0" in str(path):
            raise InputError(f"{str(path)!r}: no file can have this name")
        if not stat.S_ISREG(path.stat().st_mode) and not path.is_dir():  # to open a pipe would wait for ever
            raise InputError(f"{path}: not a file; give a photo")
        with path.open("rb") as file:
            return _decode_file(path, file, limits)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error


def reason(error: Exception) -> str:
    """What a library says, on one line."""
    lines = [line.strip() for line in str(error).splitlines()]
    # Without what names only a function of the library, and numbers of errors.
    telling = [line for line in lines if re.search("[a-z]{2}", line) and not line.startswith("unable to ")]
    return (telling[-1] if telling else "no reason given")[:200]


def _damaged(path: Path, why: str) -> InputError:
    """The error of a file that no decoder could read to its end."""
    return InputError(
        f"{path}: not a readable picture ({why}); it is damaged or incomplete, "
        "so copy it again from where it came from"
    )


def _no_photo(path: Path) -> InputError:
    """The error of a file of an unknown kind."""
    return InputError(
        f"{path}: not a photo format this program reads ({', '.join(_LOADERS)}, bmp, ppm, heic), "
        "or its beginning is damaged"
    )


def _decode_file(path: Path, file: IO[bytes], limits: Limits) -> Photo:
    """Choose the decoder by the file's first bytes."""
    import pyvips

    head = file.read(64)
    if not head:
        raise InputError(f"{path}: the file is empty; copy it again from where it came from")
    animation = InputError(f"{path}: an animation; only still pictures are read, so save the frame you want")
    if _animated(head, file):
        raise animation
    file.seek(0)
    if head[:2] in _PILLOW:
        return _decode_by_pillow(path, file, _PILLOW[head[:2]], limits)
    if head[4:8] == b"ftyp" and any(brand in head[8:48] for brand in _HEVC_BRANDS):
        return _decode_heic(path, file, limits)
    exif = read_exif(file)  # of a TIFF file
    os.lseek(file.fileno(), 0, os.SEEK_SET)
    try:
        # By the descriptor: libvips reads options out of names, and cannot open every name the system can.
        source = pyvips.Source.new_from_descriptor(file.fileno())
        image = pyvips.Image.new_from_source(source, "", access="sequential", fail_on="error")
        loader = image.get("vips-loader")
        if not loader.startswith(_LOADERS):
            raise _no_photo(path)
        if loader.startswith(("gif", "webp")) and _field(image, "n-pages", 1) > 1:
            raise animation
        limits.check_size(path, image.width, image.height)
        for kind, cost in _WHOLE.items():
            if loader.startswith(kind) or _field(image, kind):
                limits.check_codec(path, image.width * image.height, cost)
        return _decode(image, path, exif, limits)
    except pyvips.Error as error:
        if "not in a known format" in str(error):
            raise _no_photo(path) from error
        raise _damaged(path, reason(error)) from error


def _animated(head: bytes, file: IO[bytes]) -> bool:
    """Whether this is an animated PNG or AVIF; libvips tells of the others."""
    if head[4:12] == b"ftypavis":
        return True
    if head[:8] != b"\x89PNG\r\n\x1a\n":
        return False
    place = 8
    while True:  # the animation's control chunk comes before the pixels
        file.seek(place)
        chunk = file.read(12)
        length, kind = chunk[:4], chunk[4:8]
        if len(chunk) < 12 or kind in (b"IDAT", b"IEND"):
            return False
        if kind == b"acTL":
            return int.from_bytes(chunk[8:12], "big") > 1
        place += 12 + int.from_bytes(length, "big")


_HEVC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx")
_PILLOW = {b"BM": "BMP", **{f"P{i}".encode(): "PPM" for i in range(1, 7)}}
"""First bytes -> formats that are read by Pillow: libvips reads no BMP, and its wheels no PPM."""


def _decode_heic(path: Path, file: IO[bytes], limits: Limits) -> Photo:
    """HEIC by pillow-heif: libvips comes without the patented decoder."""
    try:
        import pillow_heif
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"{path}: reading HEIC", "heic", "pillow-heif") from error
    try:
        heif = pillow_heif.open_heif(io.BytesIO(file.read()), convert_hdr_to_8bit=False, hdr_to_16bit=True)
        limits.check_size(path, *heif.size)
        limits.check_codec(path, heif.size[0] * heif.size[1], _WHOLE_OTHER)
        levels = np.asarray(heif)
    except (ValueError, EOFError, SyntaxError, RuntimeError, OSError, IndexError) as error:
        raise _damaged(path, reason(error)) from error
    depth = min(heif.info.get("bit_depth", 8), 16) if levels.dtype == np.uint16 else 8
    exif = heif.info.get("exif")
    exif = exif_block.upright(exif) if exif else None  # the decoder has turned the pixels already
    return _photo(
        _store(levels, limits),
        _white(levels.dtype, depth),
        bit_depth=depth,
        icc=heif.info.get("icc_profile") or None,
        exif=exif,
        xmp=heif.info.get("xmp") or None,
        dpi=None if exif is None else exif_block.resolution(exif),
    )


def _decode_by_pillow(path: Path, file: IO[bytes], name: str, limits: Limits) -> Photo:
    """BMP and PPM."""
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the limit is ours
            opened = Image.open(file, formats=[name])
        with opened as image:
            limits.check_size(path, *image.size)
            limits.check_codec(path, image.width * image.height, _WHOLE_OTHER)
            white = 65535.0 if image.mode.startswith("I") else 255.0
            if image.mode not in ("L", "RGB", "RGBA", "I", "I;16"):
                image.load()
                gray = image.mode == "1"
                levels = np.asarray(image.convert("L" if gray else "RGB"))
            else:
                levels = np.asarray(image)
            dpi = image.info.get("dpi")
    except UnidentifiedImageError as error:  # its text names no file but an object in memory
        raise _damaged(path, f"damaged {name} header") from error
    # Pillow raises what its parsers meet; SyntaxError and struct.error are among them.
    except (OSError, ValueError, SyntaxError, struct.error, Image.DecompressionBombError) as error:
        raise _damaged(path, reason(error)) from error
    if levels.dtype == np.int32:
        levels = levels.clip(0, 65535).astype(np.uint16)
    return _photo(
        _store(levels, limits),
        white,
        bit_depth=16 if white > 255 else 8,
        dpi=dpi if dpi and min(dpi) > 0 else None,
    )


def _store(levels: NDArray[Any], limits: Limits) -> Samples:
    """Samples that were decoded whole."""
    levels = levels.reshape(*levels.shape[:2], -1)
    height, width, bands = levels.shape
    samples = Samples(height, width, bands, levels.dtype, limits.samples, limits.folder)
    samples.put(0, 0, levels)
    return samples


def _photo(samples: Samples, white: float, gray: bool = False, **belongings: Any) -> Photo:  # noqa: ANN401
    """Bands are the colours, then alpha, then whatever a layered TIFF adds, which is left out."""
    colours = 3 if samples.bands >= 3 else 1
    return Photo(
        samples, gray or colours == 1, colours if samples.bands > colours else None, white, **belongings
    )


def _white(dtype: np.dtype[Any], depth: int) -> float:
    """The largest sample: fewer bits than the type has are its upper ones."""
    bits = 8 * dtype.itemsize
    return float(((1 << min(depth, bits)) - 1) << max(0, bits - depth))


def _decode(image: Any, path: Path, exif: bytes | None, limits: Limits) -> Photo:  # noqa: ANN401  (pyvips has no types)
    """A libvips image, with the EXIF block that libvips does not read -> samples and what belongs to them."""
    loader = image.get("vips-loader")
    icc, xmp = _field(image, "icc-profile-data"), _field(image, "xmp-data")
    exif = _field(image, "exif-data", exif)
    exif = None if exif is None else exif_block.upright(exif)
    if loader.startswith(("webp", "heif")):
        dpi = None if exif is None else exif_block.resolution(exif)
    else:
        # When a file says nothing, libvips says 72 pixels per inch for JPEG, else one of these.
        made_up = any(max(abs(image.xres - r), abs(image.yres - r)) < 2e-4 for r in (1.0, UNKNOWN_RESOLUTION))
        silent_jpeg = _field(image, "resolution-unit") is None and image.xres == image.yres == 72 / 25.4
        known = not made_up and not silent_jpeg
        dpi = (image.xres * 25.4, image.yres * 25.4) if known else None
    orientation = _field(image, "orientation", 1)
    if orientation >= 5 and dpi is not None:
        dpi = dpi[::-1]
    if image.interpretation == "cmyk":
        image, icc = image.icc_transform("srgb", embedded=True, input_profile="cmyk"), None
    if image.interpretation not in _AS_THEY_STAND:
        image = image.colourspace("srgb" if image.format == "uchar" else "rgb16")
    if image.format not in _TYPES:
        raise InputError(f"{path}: samples of type {image.format}; save it as 8 or 16 bit")
    dtype = np.dtype(_TYPES[image.format])
    if dtype.kind == "f":
        depth, white = 16, 1.0
    else:
        depth = min(8 * dtype.itemsize, 16)
        if loader.startswith("heif") and depth == 16:
            depth = image.get("bits-per-sample")
        white = _white(dtype, 8 * dtype.itemsize if depth == 16 else depth)
    # These formats, as libvips reads them, have no gray of their own.
    gray = loader.startswith(("webp", "heif", "gif")) and icc is None and image.bands >= 3
    samples = Samples(
        image.height, image.width, image.bands, dtype, limits.samples, limits.folder, orientation
    )

    def check(levels: NDArray[Any]) -> None:
        nonlocal gray
        if dtype.kind == "f" and not (
            np.isfinite(levels).all() and levels.min() > -0.5 and levels.max() < 1.5
        ):
            raise InputError(
                f"{path}: its samples leave 0..1, 1 being white; scale them (or tone-map it) first"
            )
        if gray:  # WebP's decoder gives gray that is a level off in some pixels
            colours = levels[:, :, :3].astype(np.float32)
            gray = bool(np.abs(colours[:, :, 1:] - colours[:, :, :1]).max() < 1.5 / 255 * white)

    try:
        _fetch(image, samples, check)
        if gray:
            return Photo(
                samples, True, 3 if samples.bands > 3 else None, white,
                bit_depth=depth, icc=icc, exif=exif, xmp=xmp, dpi=dpi,
            )  # fmt: skip
        return _photo(samples, white, bit_depth=depth, icc=icc, exif=exif, xmp=xmp, dpi=dpi)
    except BaseException:
        samples.close()
        raise


def _field(image: Any, name: str, default: Any = None) -> Any:  # noqa: ANN401
    """What libvips knows by that name. Asked for one by one: a file's own names of fields may be no UTF-8."""
    return image.get(name) if image.get_typeof(name) else default


def _fetch(image: Any, samples: Samples, check: Callable[[NDArray[Any]], None]) -> None:  # noqa: ANN401
    """Decode from top to bottom into the samples."""
    import pyvips

    region = pyvips.Region.new(image)
    for top in range(0, image.height, _ROWS):
        rows = min(_ROWS, image.height - top)
        levels = np.frombuffer(region.fetch(0, top, image.width, rows), samples.dtype)
        levels = levels.reshape(rows, image.width, image.bands)
        check(levels)
        samples.put(top, 0, levels)


_AS_THEY_STAND = ("srgb", "rgb16", "rgb", "scrgb", "b-w", "grey16", "multiband")
_TYPES = {"uchar": "u1", "ushort": "u2", "uint": "u4", "float": "f4", "double": "f8"}
"""Libvips's names of sample types that are read -> NumPy's."""
