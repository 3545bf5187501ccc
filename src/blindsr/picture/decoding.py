"""From files to photos: any common format, as its header says it is, upright."""

from __future__ import annotations

import io
import re
import stat
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from blindsr.errors import InputError, MissingExtraError
from blindsr.picture import cut_webp, netpbm, unusual_tiff, wide_jpeg
from blindsr.picture import exif as exif_block
from blindsr.picture.described import (
    CMYK,
    Description,
    check_range,
    from_cmyk,
    name_channels,
    photo_of,
    stored,
    turned_by,
    white_of,
)
from blindsr.picture.encoded import Encoded, content_of, path_of
from blindsr.picture.jpeg_xl import photos as jpeg_xl
from blindsr.picture.limits import Limits, damaged_file
from blindsr.picture.loaders import (
    LOADERS,
    UndecodableError,
    field,
    frame_height,
    held_bytes,
    kind_of,
    opened,
    opening_bytes,
    other_kind,
    pixel_bytes,
    reason,
    whole_bytes,
    without_warnings,
)
from blindsr.picture.metadata import webp
from blindsr.picture.metadata.geometry import Change
from blindsr.picture.metadata.reading import belongings, orientation_of
from blindsr.picture.metadata.survey import Survey, survey
from blindsr.picture.photo import Photo
from blindsr.picture.samples import Samples
from blindsr.picture.tiff import read_exif, size_told, told_blocks
from blindsr.system.untrusted import one_line

UNKNOWN_RESOLUTION = 2.834
"""Pixels per mm that stand for an unknown resolution: 72 per inch, as EXIF 2.32 designates for that case, cut
to whole ones per metre as in libvips, so that they can be told from those that a file really has."""

_PILLOW_BYTES = 24
"""Bytes a pixel that Pillow and pillow-heif take."""

_PPM_HEADER = 1 << 16
"""Bytes of a PPM file in which its size is told; programs write a line of comment."""

_MOST_BANDS = 5
"""Bands of CMYK and alpha; what a layered TIFF adds is left out."""

_ROWS = 64
"""Rows that are decoded at once."""

_PIECE = 1 << 21
"""Bytes of them, where rows are long."""


def open_photo(source: Encoded, limits: Limits | None = None) -> Photo:
    """Decode a photo of any common format, upright: the EXIF orientation is applied once and reset.

    Gray stays gray and the bit depth what it is (both as the file's header says); a palette becomes RGB; CMYK
    becomes sRGB through its profile. Floating-point samples are taken as they stand, 1 being white. Of a file
    with several pages or frames the first is read; HEIC needs the extra [heic], JPEG XL [jxl].

    Args:
        source: The file, whose suffix does not matter; or its content, as in `Encoded`.
        limits: What it may take; None for no bound on memory.

    Raises:
        InputError: The file is missing, unreadable, damaged, too large or no picture; the message names it.
        MissingExtraError: A HEIC or JPEG XL file, and what reads it is not installed.
    """
    limits = limits or Limits()
    with source_file(source, limits) as (path, file):
        return decode_file(path, file, limits)


@contextmanager
def source_file(source: Encoded, limits: Limits) -> Iterator[tuple[Path, IO[bytes]]]:
    """A photo's file, opened for as long as the block lasts, and what messages call it.

    Raises:
        InputError: It is missing, unreadable or no file; or reading it fails within the block.
    """
    path = path_of(source)
    if path is None:
        name, content = content_of(source, limits.held)
        yield name, io.BytesIO(content)
        return
    try:
        if "\0" in str(path):
            raise InputError(f"{str(path)!r}: no file can have this name")
        if not stat.S_ISREG(path.stat().st_mode) and not path.is_dir():  # to open a pipe would wait for ever
            raise InputError(f"{path}: not a file; give a photo")
        with path.open("rb") as file:
            yield path, file
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error


def _unsupported(path: Path, why: str) -> InputError:
    """The error of a sound file that nobody here decodes."""
    return InputError(
        f"{path}: a kind of file that this program does not read ({one_line(why)}); "
        "save it as PNG, JPEG or TIFF with the program that made it"
    )


def _no_photo(path: Path, head: bytes) -> InputError:
    """The error of a file of an unknown kind."""
    other = other_kind(head)
    if other is not None:
        return _unsupported(path, other)
    return InputError(
        f"{path}: not a photo format this program reads ({', '.join(LOADERS)}, bmp, ppm, heic, jxl), "
        "or its beginning is damaged"
    )


def kind_of_file(path: Path, file: IO[bytes]) -> str:
    """The kind of a file, as in `loaders`.

    Raises:
        InputError: It is of none that is read here, or empty.
    """
    file.seek(0)
    head = file.read(64)
    if not head:
        raise InputError(f"{path}: the file is empty; copy it again from where it came from")
    kind = kind_of(head)
    if kind is None:
        raise _no_photo(path, head)
    return kind


def decode_file(path: Path, file: IO[bytes], limits: Limits) -> Photo:
    """Decode the first picture of a file, as `open_photo` does.

    Args:
        path: What messages call it.
        file: The file, which stays open.
        limits: What it may take.

    Raises:
        InputError: As `open_photo`.
        MissingExtraError: As `open_photo`.
    """
    kind = kind_of_file(path, file)
    if kind == "ppm" and (photo := _decode_netpbm(path, file, limits)) is not None:
        return photo
    if kind in ("bmp", "ppm"):
        return _decode_by_pillow(path, file, kind, limits)
    limits.check_held(path, opening_bytes(file, kind, limits.held), "metadata")
    if kind == "heic":
        return _decode_heic(path, file, limits)
    if kind == "jxl":
        return jpeg_xl.decode(path, file, limits)
    found = survey(file, kind)
    try:
        return _decode_by_libvips(path, file, kind, found, limits)
    except UndecodableError as error:
        return _second_try(path, file, kind, found, limits, error)


def _decode_by_libvips(
    path: Path, file: IO[bytes], kind: str, found: Survey, limits: Limits, fail_on: str = "error"
) -> Photo:
    """What libvips makes of a file."""
    exif = read_exif(file, path) if kind == "tiff" else None
    with opened(file, kind, fail_on=fail_on) as image:
        check_image(path, image, kind, file, limits)
        return _decode(image, kind, path, exif, found, limits)


def _second_try(
    path: Path, file: IO[bytes], kind: str, found: Survey, limits: Limits, error: UndecodableError
) -> Photo:
    """A file that was not read to its end: without its mark of the end, of a rare kind, or damaged."""
    why = str(error)
    if kind == "jpeg" and _NO_END.search(why):
        found.warnings.append("the mark of its end is missing; all of its pixels are there")
        with suppress(UndecodableError):
            return _decode_by_libvips(path, _with_end(file, limits), kind, found, limits, fail_on="warning")
        found.warnings.pop()
    if kind == "tiff" and (_UNSUPPORTED.search(why) or _RARE.search(why)):
        return _decode_unusual(path, file, found, limits, why)
    if kind == "jpeg" and _TWELVE_BITS.search(why):
        return _decode_wide_jpeg(path, file, found, limits, why)
    if _UNSUPPORTED.search(why):
        raise _unsupported(path, why) from error
    if limits.damaged:
        found.warnings.append(f"damaged ({why}); what could be read of it was")
        with suppress(UndecodableError):
            return _decode_by_libvips(path, file, kind, found, limits, fail_on="none")
        if kind == "webp":
            return _decode_cut_webp(path, file, found, limits, why)
    raise damaged_file(path, why) from error


_NO_END = re.compile("premature end")
_UNSUPPORTED = re.compile("not configured|not implemented|[Uu]nsupported|nknown compression", re.ASCII)
"""What decoders say of sound files that they do not know."""

_TWELVE_BITS = re.compile("data precision 12")
_RARE = re.compile("samples out of range|bad labq format")
"""What libvips says of double precision, and of CIELAB in 8 bit."""


def _with_end(file: IO[bytes], limits: Limits) -> IO[bytes]:
    """A JPEG file with the mark of its end, instead of zeros or half of that mark."""
    file.seek(0)
    content = file.read(limits.held)
    return io.BytesIO(content.rstrip(b"\0").removesuffix(b"\xff") + b"\xff\xd9")


def _taken_whole(path: Path, told: tuple[int, int] | None, limits: Limits, why: str) -> tuple[int, int]:
    """The size that a file tells, where there is room for all of its pixels at once."""
    if told is None:
        raise damaged_file(path, why)
    limits.check_size(path, *told)
    limits.check_whole(path, told[0] * told[1] * _PILLOW_BYTES)
    return told


def _decode_wide_jpeg(path: Path, file: IO[bytes], found: Survey, limits: Limits, why: str) -> Photo:
    """A JPEG file of 12 bit."""
    size = _taken_whole(path, wide_jpeg.size_told(file), limits, why)
    try:
        levels = wide_jpeg.decoded(file, size)
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"{path}: reading JPEG of 12 bit", "jpeg12", "imagecodecs") from error
    except ValueError as error:
        raise damaged_file(path, reason(error)) from error
    blocks = wide_jpeg.blocks(file, found.xmp)
    turned = orientation_of(blocks["exif"], blocks["xmp"])
    turn = turned_by(size[1], size[0], turned, turned=False)
    own = belongings(found, blocks, turn, path, gray=levels.ndim == 2)
    dpi = exif_block.resolution(own.exif)
    samples = stored(levels, limits, turned)
    return photo_of(samples, wide_jpeg.WHITE, bit_depth=12, **vars(own), dpi=found.dpi or dpi)


def _decode_cut_webp(path: Path, file: IO[bytes], found: Survey, limits: Limits, why: str) -> Photo:
    """The rows of a WebP file that are there; of an animation the first frame, if that is."""
    frames = webp.whole_frames(file)
    try:
        if frames is not None:
            return _decode_by_libvips(path, io.BytesIO(frames), "webp", found, limits)
        told = webp.layout(file)
        size = _taken_whole(path, None if told is None else told[:2], limits, why)
        file.seek(0)
        levels = cut_webp.decoded(file.read(), size, alpha=told is not None and told[2])
    except (ValueError, UndecodableError) as error:
        raise damaged_file(path, f"{why}; {error}") from error
    blocks = webp.blocks(file)
    turned = orientation_of(blocks["exif"], blocks["xmp"])
    own = belongings(found, blocks, turned_by(size[1], size[0], turned, turned=False), path)
    dpi = exif_block.resolution(own.exif)
    return photo_of(stored(levels, limits, turned), 255.0, bit_depth=8, **vars(own), dpi=dpi)


def _decode_unusual(path: Path, file: IO[bytes], found: Survey, limits: Limits, why: str) -> Photo:
    """A TIFF file that libvips does not decode."""
    size = _taken_whole(path, size_told(file), limits, why)
    try:
        conversion, levels = unusual_tiff.decoded(file, size)
    except ModuleNotFoundError as error:
        needed = error.name or "tifffile"
        raise MissingExtraError(f"{path}: reading this TIFF file ({why})", "tiff", needed) from error
    except _PILLOW_ERRORS as error:
        raise _unsupported(path, f"{why}; {reason(error)}") from error
    if levels.shape[:2] != size[::-1] or levels.size == 0:
        raise damaged_file(path, f"{why}; it holds other pixels than it says")
    if levels.dtype.kind == "f":
        check_range(path, levels)
        levels = levels.astype(np.float32)
    elif levels.dtype.kind != "u" or levels.dtype.itemsize > 4:
        raise _unsupported(path, f"samples of type {levels.dtype}")
    blocks = told_blocks(file, read_exif(file, path))
    if conversion:
        blocks["icc"], found.icc = None, False
    turned = orientation_of(blocks["exif"], blocks["xmp"])
    height, width = levels.shape[:2]
    own = belongings(
        found, blocks, turned_by(height, width, turned, turned=False), path, gray=levels.ndim == 2, moved=True
    )
    metadata = own.metadata
    if conversion:
        metadata = replace(metadata, changed=(*metadata.changed, ("", conversion)))
    return photo_of(
        stored(levels, limits, turned),
        1.0 if levels.dtype.kind == "f" else white_of(levels.dtype, 8 * levels.dtype.itemsize),
        bit_depth=8 if levels.dtype == np.uint8 else 16,
        **vars(replace(own, metadata=metadata)),
        dpi=found.dpi,
    )


def _decode_netpbm(path: Path, file: IO[bytes], limits: Limits) -> Photo | None:
    """What of PPM files and their kin Pillow does not read in full; None of what it does."""
    try:
        told = netpbm.layout(file)
        if told is None:
            return None
        limits.check_size(path, told.width, told.height)
        limits.check_whole(path, told.width * told.height * _PILLOW_BYTES)
        levels = netpbm.samples(file, told)
    except netpbm.DamagedError as error:
        raise damaged_file(path, str(error)) from error
    if levels.dtype.kind == "f":
        check_range(path, levels)
    none = {"icc": None, "exif": None, "xmp": None}
    own = belongings(survey(file, "ppm"), none, Change.upright(told.height, told.width, 1), path)
    white = 1.0 if levels.dtype.kind == "f" else white_of(levels.dtype, 8 * levels.dtype.itemsize)
    depth = 8 if levels.dtype == np.uint8 else 16
    return photo_of(stored(levels, limits), white, bit_depth=depth, metadata=own.metadata)


def check_image(path: Path, image: Any, kind: str, file: IO[bytes], limits: Limits) -> None:  # noqa: ANN401
    """Refuse what would take more than was allowed, when its header is read and nothing is decoded.

    Args:
        path: The file, for the message.
        image: As `loaders.opened` gives it.
        kind: Of the file.
        file: The file.
        limits: What decoding may take.

    Raises:
        InputError: It would take more.
    """
    limits.check_size(path, image.width, frame_height(image), pixel_bytes(image))
    whole = whole_bytes(image, kind, file)
    if whole:
        limits.check_whole(path, whole)
    else:
        limits.check_held(path, held_bytes(image, kind, file))


def _decode_heic(path: Path, file: IO[bytes], limits: Limits) -> Photo:
    """HEIC by pillow-heif: libvips comes without the patented decoder."""
    try:
        import pillow_heif
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"{path}: reading HEIC", "heic", "pillow-heif") from error
    try:
        file.seek(0)
        heif = pillow_heif.open_heif(io.BytesIO(file.read()), convert_hdr_to_8bit=False, hdr_to_16bit=True)
        limits.check_size(path, *heif.size)
        limits.check_whole(path, heif.size[0] * heif.size[1] * _PILLOW_BYTES)
        levels = np.asarray(heif)
    except (ValueError, EOFError, SyntaxError, RuntimeError, OSError, IndexError) as error:
        raise damaged_file(path, reason(error)) from error
    depth = min(heif.info.get("bit_depth", 8), 16) if levels.dtype == np.uint16 else 8
    exif = (heif.info.get("exif") or b"").removeprefix(b"Exif\0\0") or None
    blocks = {"icc": heif.info.get("icc_profile") or None, "exif": exif, "xmp": heif.info.get("xmp") or None}
    # The decoder has turned the pixels already; what is told of places in them it has not.
    turned = heif.info.get("original_orientation") or 1
    turn = turned_by(levels.shape[0], levels.shape[1], turned, turned=True)
    own = belongings(survey(file, "heic"), blocks, turn, path)
    return photo_of(
        stored(levels, limits),
        white_of(levels.dtype, depth),
        bit_depth=depth,
        icc=own.icc,
        exif=own.exif,
        xmp=own.xmp,
        dpi=exif_block.resolution(own.exif),
        metadata=own.metadata,
    )


def opened_by_pillow(path: Path, file: IO[bytes], kind: str) -> Any:  # noqa: ANN401  (a plugin's own type)
    """A BMP or PPM file whose header is read."""
    from PIL import BmpImagePlugin, PpmImagePlugin

    # By its plugin: `Image.open` has a limit of its own, which is the same for all who use Pillow here.
    plugin = {"bmp": BmpImagePlugin.BmpImageFile, "ppm": PpmImagePlugin.PpmImageFile}[kind]
    header = damaged_file(path, f"damaged {kind.upper()} header")
    if kind == "ppm" and not _has_sizes(file):
        raise header
    file.seek(0)
    try:
        with without_warnings():
            return plugin(file)
    except _PILLOW_ERRORS as error:
        raise header from error


def _decode_by_pillow(path: Path, file: IO[bytes], kind: str, limits: Limits) -> Photo:
    """BMP and PPM."""
    image = opened_by_pillow(path, file, kind)
    try:
        with image, without_warnings():
            limits.check_size(path, *image.size)
            limits.check_whole(path, image.width * image.height * _PILLOW_BYTES)
            white = 65535.0 if image.mode.startswith("I") else 255.0
            if image.mode not in ("L", "RGB", "RGBA", "I", "I;16"):
                image.load()
                gray = image.mode == "1"
                levels = np.asarray(image.convert("L" if gray else "RGB"))
            else:
                levels = np.asarray(image)
            dpi = image.info.get("dpi")
    except _PILLOW_ERRORS as error:
        raise damaged_file(path, reason(error)) from error
    if levels.dtype == np.int32:
        levels = levels.clip(0, 65535).astype(np.uint16)
    height, width = levels.shape[:2]
    found = survey(file, kind)
    blocks = {"icc": found.profile, "exif": None, "xmp": None}
    own = belongings(found, blocks, Change.upright(height, width, 1), path, gray=levels.ndim == 2)
    return photo_of(
        stored(levels, limits),
        white,
        bit_depth=16 if white > 255 else 8,
        dpi=dpi if dpi and min(dpi) > 0 else None,
        icc=own.icc,
        metadata=own.metadata,
    )


def _has_sizes(file: IO[bytes]) -> bool:
    """Whether a PPM file begins with its numbers: Pillow looks through comments byte by byte for ever."""
    file.seek(0)
    head = file.read(_PPM_HEADER)
    numbers = re.sub(rb"#[^\r\n]*", b"", head[2:]).split()
    return len(head) < _PPM_HEADER or len(numbers) >= (2 if head[1:2] in b"14" else 3)


_PILLOW_ERRORS = (OSError, ValueError, SyntaxError, EOFError, IndexError, struct.error)
"""What Pillow's parsers meet they raise."""


def _decode(
    image: Any,  # noqa: ANN401
    kind: str,
    path: Path,
    exif: bytes | None,
    found: Survey,
    limits: Limits,
) -> Photo:
    """A libvips image, with what libvips does not read -> samples and what belongs to them.

    Args:
        image: As `opened` gives it.
        kind: Of the file.
        path: The file, for messages.
        exif: The EXIF block of a TIFF file.
        found: What the file's own pieces are.
        limits: What decoding may take.
    """
    plan = describe(image, kind, path, exif, found)
    samples, gray = plan.fetch(limits)
    photo = replace(plan.photo(samples), gray=gray)
    # Programs reserve a clear colour in GIF files that none of the pixels has.
    return replace(photo, alpha_band=None) if kind == "gif" and is_opaque(photo) else photo


def is_opaque(photo: Photo) -> bool:
    """Whether no pixel is transparent."""
    band = photo.alpha_band
    return band is None or all(
        bool((levels[:, :, band] == photo.white).all()) for _, levels in photo.samples.chunks()
    )


@dataclass(frozen=True)
class VipsDescription(Description):
    """A libvips image.

    Args:
        image: The image, in gray or RGB, with alpha or without.
        orientation: As EXIF tells it of what is stored.
        may_be_gray: Whether gray looks like RGB here: only the samples tell.
    """

    image: Any
    orientation: int
    may_be_gray: bool

    def fetch(self, limits: Limits, top: int = 0, rows: int | None = None) -> tuple[Samples, bool]:
        """Decode so many rows from `top` on, None for all: their samples, and whether they are gray.

        Raises:
            InputError: Floating point that means other than 1 by white, or signed samples below 0.
        """
        height, bands = self.image.height if rows is None else rows, self.image.bands
        gray = self.may_be_gray
        samples = Samples(
            height, self.image.width, bands, self.dtype, limits.samples, limits.folder, self.orientation
        )

        def check(levels: NDArray[Any]) -> None:
            nonlocal gray
            if self.dtype.kind == "f":
                check_range(self.path, levels)
            if self.dtype.kind == "i" and levels.min() < 0:
                raise InputError(
                    f"{self.path}: some of its samples are below 0; scale them to 0..{self.white:.0f}"
                )
            gray = gray and _looks_gray(levels, self.white)

        try:
            _fetch(self.image, samples, top, height, check)
        except BaseException:
            samples.close()
            raise
        return samples, gray or bands < 3


def _looks_gray(levels: NDArray[Any], white: float) -> bool:
    """Whether three colours are one: WebP's decoder gives gray that is a level off in some pixels."""
    colours = levels[:, :, :3].astype(np.float32)
    return bool(np.abs(colours[:, :, 1:] - colours[:, :, :1]).max() < 1.5 / 255 * white)


def describe(
    image: Any,  # noqa: ANN401
    kind: str,
    path: Path,
    exif: bytes | None,
    found: Survey,
) -> VipsDescription:
    """What a libvips image is, with what belongs to it; arguments as of `_decode`.

    Of one that holds frames below each other it is that of each.
    """
    exif = field(image, "exif-data", exif or found.exif)
    xmp = field(image, "xmp-data", found.xmp)
    blocks = {"icc": field(image, "icc-profile-data"), "exif": exif, "xmp": xmp}
    orientation = field(image, "orientation", 1 if kind == "heif" else orientation_of(exif, xmp))
    # Of these the decoder has turned the pixels already; what is told of places in them it has not.
    turned = (exif_block.orientation(exif) or 1) if kind == "heif" else orientation
    turn = turned_by(frame_height(image), image.width, turned, turned=kind == "heif")
    cut = _without_more(image)
    more = image.bands - cut.bands
    conversion, image = _as_rgb(cut)
    if conversion:
        blocks["icc"], found.icc, found.signalling = None, False, None
    own = belongings(found, blocks, turn, path, gray=image.bands < 3, moved=kind == "tiff")
    dpi = exif_block.resolution(own.exif)
    if found.dpi is not None:
        told = found.dpi[::-1] if orientation >= 5 else found.dpi
        # JFIF tells whole numbers, EXIF the same with fractions.
        dpi = dpi if dpi is not None and np.abs(np.subtract(dpi, told)).max() <= 0.5 else told
    metadata = own.metadata
    if conversion:
        metadata = replace(metadata, changed=(*metadata.changed, ("", conversion)))
    metadata = name_channels(metadata, image.bands + more - 4)
    if image.format not in _TYPES:
        raise InputError(f"{path}: samples of type {image.format}; save it as 8 or 16 bit")
    dtype = np.dtype(_TYPES[image.format])
    if dtype.kind == "f":
        depth, white = 16, 1.0
    elif dtype.kind == "i":  # their half below 0 means nothing
        depth, white = min(8 * dtype.itemsize, 16), float(np.iinfo(dtype).max)
    else:
        depth = min(8 * dtype.itemsize, 16)
        if kind == "heif" and depth == 16:
            depth = image.get("bits-per-sample")
        white = white_of(dtype, 8 * dtype.itemsize if depth == 16 else depth)
    # These formats, as libvips reads them, have no gray of their own.
    may_be_gray = kind in ("webp", "heif", "gif") and own.icc is None and image.bands >= 3
    return VipsDescription(
        path, dtype, white, depth, own.icc, own.exif, own.xmp, dpi, metadata,
        image, orientation, may_be_gray,
    )  # fmt: skip


def _without_more(image: Any) -> Any:  # noqa: ANN401
    """A libvips image without the bands that nobody knows, before their colours are taken for some."""
    most = _MOST_BANDS + (image.interpretation == "cmyk")
    if image.bands <= most:
        return image
    return image.extract_band(0, n=most).copy(interpretation=image.interpretation)


def _as_rgb(image: Any) -> tuple[str, Any]:  # noqa: ANN401
    """A libvips image in gray or RGB; what was done for it, empty where nothing was."""
    sixteen = image.format != "uchar"
    if image.interpretation == "cmyk":
        return CMYK, from_cmyk(image)
    if image.interpretation not in _AS_THEY_STAND:
        name = "LAB" if image.interpretation in ("lab", "labq", "labs") else str(image.interpretation).upper()
        wanted = "rgb16" if sixteen else "srgb"
        return f"{name} (the colours are sRGB now)", image.colourspace(wanted)
    return "", image


def _fetch(
    image: Any,  # noqa: ANN401
    samples: Samples,
    first: int,
    height: int,
    check: Callable[[NDArray[Any]], None],
) -> None:
    """Decode so many rows from the row `first` on, from top to bottom, into the samples."""
    import pyvips

    region = pyvips.Region.new(image)
    step = max(1, min(_ROWS, _PIECE // (image.width * pixel_bytes(image))))
    for top in range(0, height, step):
        rows = min(step, height - top)
        levels = np.frombuffer(region.fetch(0, first + top, image.width, rows), samples.dtype)
        levels = levels.reshape(rows, image.width, image.bands)
        check(levels)
        samples.put(top, 0, levels)


_AS_THEY_STAND = ("srgb", "rgb16", "rgb", "scrgb", "b-w", "grey16", "multiband")
_TYPES = {
    **{"uchar": "u1", "ushort": "u2", "uint": "u4", "float": "f4", "double": "f8"},
    **{"char": "i1", "short": "i2", "int": "i4"},
}
"""Libvips's names of sample types that are read -> NumPy's."""
