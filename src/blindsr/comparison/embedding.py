"""Pictures made fit for a page: sRGB, 8 bit, bounded in size, without anything but their pixels."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from blindsr.errors import InputError
from blindsr.picture import MAX_PIXELS, Limits, Picture, quantise
from blindsr.picture.decoding import check_image
from blindsr.picture.encoded import path_of
from blindsr.picture.inputs import Photograph, as_picture
from blindsr.picture.loaders import UndecodableError, field, kind_of, opened, opening_bytes

SHOWN_PIXELS = 1 << 22
"""Largest copy of a side that is embedded; a larger one is shrunk to this, with crops at its true size."""

_STREAMED = 1 << 24  # pixels from which on a file is never decoded as a whole
_STREAMS = ("png", "jpeg", "webp", "tiff", "heif")
_LARGEST = Limits(MAX_PIXELS << 6)  # a result of the largest photo
_LOSSLESS = 1 << 20  # pixels up to which nothing is lost
_CROP = 640  # side of a crop, pixels of the after side
_CROPS = 3
_MARGIN = 2  # pixels of the before side around a crop, so that smooth scaling sees its neighbours
_THUMBNAIL = 112


@dataclass(frozen=True)
class Embedded:
    """An encoded picture.

    Args:
        encoded: PNG, JPEG or WebP without metadata.
        kind: Its subtype of "image/".
        width: Columns of pixels.
        height: Rows of pixels.
    """

    encoded: bytes
    kind: str
    width: int
    height: int

    @property
    def uri(self) -> str:
        """The picture as the source of an <img>."""
        return f"data:image/{self.kind};base64,{base64.b64encode(self.encoded).decode('ascii')}"


class Side:
    """One side of a comparison: its name, its true size, and as much of its pixels as is asked for.

    Args:
        image: As in `blindsr.read`.

    Raises:
        InputError: It cannot be read.
    """

    def __init__(self, image: Photograph | NDArray[Any]) -> None:
        self._path = path_of(image)
        self.name = "" if self._path is None else self._path.name
        self.notes: list[str] = []
        header = None if self._path is None else _streamable(self._path)
        if header is None:
            picture = as_picture(image)
            self._path = None
            self._image = _of_picture(picture)
            header = _Header(picture.width, picture.height, picture.bit_depth, 1, picture.icc is not None)
        self._turned = header.orientation > 1
        self.width, self.height = header.width, header.height
        if header.orientation > 4:
            self.width, self.height = self.height, self.width
        if header.depth > 8:
            self.notes.append(f"{header.depth} bit, shown as 8")
        if header.profile:
            self.notes.append("colours converted to sRGB")

    def whole(self, width: int, height: int) -> Any:  # noqa: ANN401  (pyvips has no types)
        """All of it at a size not above its own, a libvips image of 8-bit sRGB or gray."""
        with self._opened("sequential") as image:
            if self._path is not None or (width, height) != (self.width, self.height):
                # It turns the pixels as well. libvips' thumbnails made from the file itself are quicker, but
                # take a file that is cut off for a whole one.
                image = image.thumbnail_image(width, height=height, size="force")
            return _on_screen(image).copy_memory()

    def region(self, left: int, top: int, width: int, height: int) -> Any:  # noqa: ANN401
        """A part of it, pixel by pixel, a libvips image of 8-bit sRGB or gray."""
        # Turned pixels are not in the order of the file.
        with self._opened("random" if self._turned else "sequential") as image:
            upright = image if self._path is None else image.autorot()
            return _on_screen(upright.extract_area(left, top, width, height)).copy_memory()

    @contextmanager
    def _opened(self, access: str) -> Iterator[Any]:
        """Its pixels as libvips has them; what cannot be decoded is an error that names it."""
        import pyvips

        try:
            if self._path is None:
                yield self._image
            else:
                with _opened(self._path, access) as (image, _, _):
                    yield image
        except (UndecodableError, pyvips.Error, OSError) as error:
            why = " ".join(str(error).split())[:200]
            raise InputError(f"{self._path or 'picture'}: cannot be shown ({why})") from error


@dataclass(frozen=True)
class _Header:
    """What a file says of itself, before its pixels: size as stored, bits, EXIF orientation, a profile."""

    width: int
    height: int
    depth: int
    orientation: int
    profile: bool


@dataclass(frozen=True)
class View:
    """The two sides of one place, to be laid on each other.

    Args:
        title: What is seen.
        before: The before side; may reach beyond the place.
        after: The after side; it fills the place exactly.
        box: Left, top, width and height of `before`, in parts of the place.
        shrink: Size of `after` to the true one, 1 where it is pixel by pixel.
        transparent: Whether a side has transparent pixels.
    """

    title: str
    before: Embedded
    after: Embedded
    box: tuple[float, float, float, float]
    shrink: float
    transparent: bool


def views_of(before: Side, after: Side, shown_pixels: int = SHOWN_PIXELS) -> list[View]:
    """The whole of a comparison and, if that had to be shrunk, places with much detail at their true size.

    Raises:
        InputError: The sides do not have the same proportions, or cannot be read.
    """
    # Each side of the result is rounded to whole pixels, so the proportions agree to a pixel only.
    skew = abs(after.width * before.height - after.height * before.width)
    if skew > before.width + before.height:
        raise InputError(
            f"before ({before.width}x{before.height}) and after ({after.width}x{after.height}) have "
            "different proportions; give the two sides of one photo"
        )
    sizes = [_within(side.width, side.height, shown_pixels) for side in (before, after)]
    wholes = [side.whole(*size) for side, size in zip((before, after), sizes, strict=True)]
    shrink = sizes[1][0] / after.width
    transparent = any(whole.hasalpha() for whole in wholes)
    # A copy that was shrunk is there for the overview; its details follow.
    embedded = [embed(whole, 95 if shrink == 1 else 90) for whole in wholes]
    views = [View("whole photo", embedded[0], embedded[1], (0, 0, 1, 1), shrink, transparent)]
    if sizes[1] != (after.width, after.height):
        views += _crops(before, after, wholes[1])
    return views


def thumbnail_of(embedded: Embedded) -> Embedded:
    """A small copy."""
    import pyvips

    size = _THUMBNAIL
    image = pyvips.Image.thumbnail_buffer(embedded.encoded, size, height=size, size="down")
    if image.hasalpha():
        image = image.flatten(background=255)
    return _encoded(image, "jpegsave_buffer", "jpeg", Q=80)


def embed(image: Any, quality: int = 95) -> Embedded:  # noqa: ANN401
    """Encode a libvips image of 8-bit sRGB or gray.

    Small ones lose nothing. For the others, on restored photos: JPEG at 95 with full colour resolution takes
    0.30 bytes a pixel at 47.5 dB; WebP at 95, which halves the colour resolution, 0.16 at 43.6 dB. Lossless
    WebP takes 0.78, and eighty times as long. Only WebP has alpha.
    """
    if image.width * image.height <= _LOSSLESS:
        return _encoded(image, "pngsave_buffer", "png", compression=6, filter="up")
    if image.hasalpha():
        return _encoded(image, "webpsave_buffer", "webp", Q=quality, effort=2, smart_subsample=True)
    return _encoded(image, "jpegsave_buffer", "jpeg", Q=quality, subsample_mode="off")


def _encoded(image: Any, saver: str, kind: str, **options: object) -> Embedded:  # noqa: ANN401
    """Without metadata: where and when a photo was taken is nothing for a page that gets about."""
    return Embedded(getattr(image, saver)(keep="none", **options), kind, image.width, image.height)


def _within(width: int, height: int, pixels: int) -> tuple[int, int]:
    """The largest size of these proportions with so many pixels at most."""
    factor = min(1.0, math.sqrt(pixels / (width * height)))
    return max(1, round(width * factor)), max(1, round(height * factor))


def _crops(before: Side, after: Side, whole: Any) -> list[View]:  # noqa: ANN401
    """The places with most detail, pixel by pixel; `whole` is the after side, shrunk."""
    across, down = after.width / before.width, after.height / before.height
    width, height = min(_CROP, after.width), min(_CROP, after.height)
    views = []
    for number, (x, y) in enumerate(_places(whole, width / after.width, height / after.height), 1):
        left = min(round(x * after.width), after.width - width)
        top = min(round(y * after.height), after.height - height)
        first_x, end_x = _around(left, left + width, across, before.width)
        first_y, end_y = _around(top, top + height, down, before.height)
        around = before.region(first_x, first_y, end_x - first_x, end_y - first_y)
        crop = after.region(left, top, width, height)
        box = (
            (first_x * across - left) / width,
            (first_y * down - top) / height,
            (end_x - first_x) * across / width,
            (end_y - first_y) * down / height,
        )
        transparent = around.hasalpha() or crop.hasalpha()
        views.append(View(f"detail {number}", embed(around), embed(crop), box, 1, transparent))
    return views


def _around(start: int, end: int, scale: float, length: int) -> tuple[int, int]:
    """The stretch of the before side that start..end of the after side comes from, with a margin."""
    return max(0, int(start / scale) - _MARGIN), min(length, math.ceil(end / scale) + _MARGIN)


def _places(whole: Any, width: float, height: float) -> list[tuple[float, float]]:  # noqa: ANN401
    """Corners of the windows with most contrast, apart from each other, in parts of the picture."""
    gray = (whole.flatten(background=128) if whole.hasalpha() else whole).colourspace("b-w")
    # Cells of half a window's side, in whole numbers that cover the picture.
    columns, rows = max(2, round(2 / width)), max(2, round(2 / height))
    energy = (gray.sobel().cast("float") ** 2).numpy().reshape(gray.height, gray.width)
    cells = _block_sums(energy, rows, columns)
    windows = cells[1:, 1:] + cells[1:, :-1] + cells[:-1, 1:] + cells[:-1, :-1]
    places: list[tuple[float, float]] = []
    while len(places) < _CROPS and windows.max() > 0:
        row, column = np.unravel_index(int(windows.argmax()), windows.shape)
        places.append((float(column / columns), float(row / rows)))
        windows[max(0, row - 1) : row + 2, max(0, column - 1) : column + 2] = 0
    return places


def _block_sums(values: NDArray[Any], rows: int, columns: int) -> NDArray[Any]:
    """(H, W) -> (rows, columns): sums over blocks as equal as they can be."""
    starts = [
        np.arange(count) * length // count
        for count, length in zip((rows, columns), values.shape, strict=True)
    ]
    sums: NDArray[Any] = np.add.reduceat(np.add.reduceat(values, starts[0], axis=0), starts[1], axis=1)
    return sums


def _of_picture(picture: Picture) -> Any:  # noqa: ANN401
    """A libvips image with the picture's profile, 8 bit."""
    import pyvips

    bands = picture.pixels if picture.alpha is None else np.dstack([picture.pixels, picture.alpha])
    levels = np.ascontiguousarray(quantise(bands, 8))
    image = pyvips.Image.new_from_memory(levels, picture.width, picture.height, levels.shape[2], "uchar")
    image = image.copy(interpretation="b-w" if picture.gray else "srgb")
    if picture.icc is not None:
        image.set_type(pyvips.GValue.blob_type, "icc-profile-data", picture.icc)
    return image


def _on_screen(image: Any) -> Any:  # noqa: ANN401
    """8-bit sRGB or gray: the colours as every browser shows them, whatever it makes of profiles."""
    import pyvips

    if _profile(image) is not None:
        try:
            image = image.icc_transform("srgb", embedded=True, depth=8)
        except pyvips.Error:  # a damaged profile: browsers leave it aside too
            image = image.copy()
            image.remove("icc-profile-data")
    kind, colours = ("b-w", 1) if image.bands < 3 else ("srgb", 3)
    image = image.colourspace(kind).cast("uchar")
    # Bands after the colours are alpha first, then whatever a layered TIFF adds.
    return image.extract_band(0, n=min(image.bands, colours + 1)).copy(interpretation=kind)


def _profile(image: Any) -> bytes | None:  # noqa: ANN401
    """The ICC profile, if there is one."""
    profile: bytes | None = field(image, "icc-profile-data")
    return profile


def _streamable(path: Path) -> _Header | None:
    """The header of a file too large to be decoded as a whole; None for any other, which `read` judges.

    Raises:
        InputError: It would take too much memory to decode.
    """
    try:
        with _opened(path, "sequential") as (image, kind, file):
            # Above the upper bound it is no result of a photo that could be read, so it is refused as too
            # large by `read`.
            if image.format not in ("uchar", "ushort") or not (
                _STREAMED < image.width * image.height <= _LARGEST.pixels
            ):
                return None
            check_image(path, image, kind, file, _LARGEST)
            return _Header(
                image.width,
                image.height,
                8 if image.format == "uchar" else 16,
                field(image, "orientation", 1),
                _profile(image) is not None,
            )
    except (UndecodableError, OSError):
        return None


@contextmanager
def _opened(path: Path, access: str) -> Iterator[tuple[Any, str, IO[bytes]]]:
    """A file of a kind that can be streamed, its kind, and libvips's image of it, nothing decoded yet."""
    with path.open("rb") as file:
        kind = kind_of(file.read(64))
        if kind not in _STREAMS or opening_bytes(file, kind, _LARGEST.held) > _LARGEST.held:
            raise UndecodableError("no kind of file that is decoded in parts")
        with opened(file, kind, access) as image:
            yield image, kind, file
