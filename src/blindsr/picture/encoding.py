"""From pictures to files: any format, complete or not at all, with all that belongs to the picture."""

from __future__ import annotations

import io
import os
from errno import EDQUOT, EFBIG, ENOSPC
from fractions import Fraction
from itertools import accumulate, pairwise
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from blindsr.errors import InputError, MissingExtraError
from blindsr.picture import apng
from blindsr.picture.animation import Timing
from blindsr.picture.decoding import UNKNOWN_RESOLUTION
from blindsr.picture.formats import format_of
from blindsr.picture.jpeg_xl import writing as jpeg_xl
from blindsr.picture.limits import Limits
from blindsr.picture.loaders import reason
from blindsr.picture.metadata import webp
from blindsr.picture.metadata.carrying import load
from blindsr.picture.metadata.report import Report
from blindsr.picture.photo import Photo, Picture
from blindsr.picture.samples import Samples
from blindsr.system.files import atomic_path

BIG_TIFF = 3 << 30
"""Bytes of samples from which a TIFF file gets 64-bit places: with 32 bits it must stay below 4 GiB."""

_MOST_ROWS = 100_000_000
"""Rows of all frames together: libvips's own limit of a side."""

_MOST_PLAYS = 65535
"""Times that an animation is played where it is counted."""

_SHORTEST = 11
"""Milliseconds of a frame that WebP's encoder, as libvips calls it, takes as they are."""

_OF_SYSTEM = ("system error: ", "unix error: ")  # libvips before 8.14 says unix


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


_TO_YCC = np.array([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]])
"""Brightness and two differences of colours, as JFIF has them."""

_TO_YCC32, _TO_RGB32 = (matrix.T.astype(np.float32) for matrix in (_TO_YCC, np.linalg.inv(_TO_YCC)))


def rounded_once(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """RGB whose rounding to 8 bit a JPEG encoder does not round a second time, when it makes YCbCr of it.

    There are about four colours of 8 bit for each YCbCr: one is taken that becomes the YCbCr nearest to the
    pixel. What has 8 bit already stays as it is, but for colours that are the same YCbCr.

    Args:
        pixels: (h, w, 3), RGB in [0, 1].
    """
    made = np.empty_like(pixels)
    rows = 1 + (1 << 18) // max(1, pixels[:1].size)
    for first in range(0, len(pixels), rows):
        band = np.clip(pixels[first : first + rows], 0, 1) @ (255 * _TO_YCC32)
        made[first : first + rows] = np.rint(band, out=band) @ (_TO_RGB32 / 255)
    return made


def write_picture(picture: Picture, path: str | Path, quality: int | None = None) -> None:
    """Write a picture to a file; see `blindsr.write`."""
    with PictureWriter(path, picture, picture.height, picture.width, quality) as writer:
        writer.place(0, 0, picture.pixels, picture.alpha)
        writer.save()


class PictureWriter:
    """A picture on its way to a file: its pixels come box by box, in any order; then it is saved.

    Frames of an animation lie below each other, as if they were one picture.

    What does not fit the memory that the limits allow waits on disk, as levels of the file's own depth. Close
    it, or use it as a context manager. Threads may place boxes at once; one of them saves when all are there.

    Args:
        path: As in `blindsr.write`.
        like: The picture or photo whose kind (gray, alpha, depth) and belongings the file is to have.
        height: Rows of the result.
        width: Columns of the result.
        quality: As in `blindsr.write`.
        limits: What it may take; None for no bound on memory.
        timing: When the frames of an animation are shown; None for a still picture.
        big: Whether a TIFF file gets 64-bit places, however small it is.

    Raises:
        InputError: As `blindsr.write`, before any pixel is asked for.
        MissingExtraError: As `blindsr.write`.
    """

    def __init__(
        self,
        path: str | Path,
        like: Picture | Photo,
        height: int,
        width: int,
        quality: int | None = None,
        limits: Limits | None = None,
        *,
        timing: Timing | None = None,
        big: bool = False,
    ) -> None:
        self.path, self._like, self._quality, limits = Path(path), like, quality, limits or Limits()
        self.height, self.width = height, width
        self._timing, self._big = timing, big
        self._rows = height * (1 if timing is None else len(timing.durations))
        self._format = format_of(self.path)
        self._options = self._check(limits)
        self._load = load(like, self._format, height, width, self._options.get("Q") == jpeg_xl.LOSSLESS)
        if timing is not None:
            self._load.report.frames = len(timing.durations)
        depths = self._format.depths
        self._depth = next((bits for bits in depths if bits >= like.bit_depth), depths[-1])
        bands = (1 if like.gray else 3) + (like.has_alpha and self._format.alpha)
        dtype = np.dtype(np.uint8 if self._depth == 8 else np.uint16)
        try:
            self._samples = Samples(self._rows, width, bands, dtype, limits.samples, limits.folder)
        except (OSError, MemoryError) as error:
            raise self._failure(error) from error

    def place(
        self, top: int, left: int, pixels: NDArray[np.float32], alpha: NDArray[np.float32] | None
    ) -> None:
        """Take a box of pixels.

        Args:
            top: Row of its first pixel; of an animation with the rows of all frames before.
            left: Column of its first pixel.
            pixels: (h, w, 3 or 1); what leaves [0, 1] is clipped.
            alpha: (h, w), if the picture has alpha.

        Raises:
            InputError: The disk is full.
        """
        if alpha is not None:
            if self._format.alpha:
                pixels = np.concatenate([pixels, alpha[:, :, None]], axis=2)
            else:
                pixels = pixels.clip(0, 1) * alpha[:, :, None] + (1 - alpha[:, :, None])
        # Where levels of 8 bit are coarse; of other photos nobody would see it, and it takes its time.
        if self._format.name == "jpeg" and self._like.bit_depth > 8 and pixels.shape[2] == 3:
            pixels = rounded_once(pixels)
        levels: NDArray[Any] = quantise(pixels, self._depth)
        if self._depth > 8 and self._format.saver:
            levels <<= 16 - self._depth  # libvips wants fewer bits as the upper ones
        try:
            self._samples.put(top, left, levels)
        except OSError as error:
            raise self._failure(error) from error

    def repeat(self, earlier: int, frame: int) -> None:
        """Let a frame of an animation be what an earlier one is that has been placed.

        Args:
            earlier: Number of that, from 0.
            frame: Number of this.

        Raises:
            InputError: The disk is full.
        """
        try:
            self._samples.repeat(earlier * self.height, frame * self.height, self.height)
        except OSError as error:
            raise self._failure(error) from error

    @property
    def report(self) -> Report:
        """What becomes of what the photo carries."""
        return self._load.report

    def save(self) -> None:
        """Encode the picture; the file appears complete or not at all.

        Raises:
            InputError: It cannot be written; the message names the file.
            ValueError: Some of its pixels were never placed; nothing is written.
        """
        try:
            with atomic_path(self.path) as temporary, temporary.open("rb+") as file:
                self._encode(file)
        except OSError as error:
            raise self._failure(error) from error

    def save_into(self, file: IO[bytes]) -> None:
        """As `save`, into an empty file of the caller's that is open for reading and writing."""
        try:
            self._encode(file)
        except OSError as error:
            raise self._failure(error) from error

    def _encode(self, file: IO[bytes]) -> None:
        if self._format.name == "jxl":
            self._encode_jpeg_xl(file)
        else:
            self._encode_by_libvips(file)

    def _encode_jpeg_xl(self, file: IO[bytes]) -> None:
        self._samples.check_complete()
        all_columns = slice(0, self.width)
        tops = range(0, self._rows, self.height)
        frames = (self._samples.window(slice(top, top + self.height), all_columns) for top in tops)
        shown = None if self._timing is None else self._timing.durations
        plays = 0 if self._timing is None else self._timing.plays
        carried = self._load
        told = jpeg_xl.Belongings(
            carried.icc, carried.code_points or jpeg_xl.SRGB, carried.peak, carried.exif, carried.xmp
        )
        try:
            jpeg_xl.write(file, frames, self._depth, self._options["Q"], told, shown, plays)
        except ValueError as error:
            raise self._failure(error) from error

    def _encode_by_libvips(self, file: IO[bytes]) -> None:
        import pyvips

        try:
            image, kept = self._image()
            if not self._format.saver:
                _save_bmp(image, self._like.dpi, file)
                return
            if self._timing is not None and self._format.name == "png":
                image = image.crop(0, 0, self.width, self.height)
            # By the descriptor: libvips reads options out of names.
            target = pyvips.Target.new_to_descriptor(file.fileno())
            getattr(image, self._format.saver)(target, keep=kept, **self._options)
            self._load.put(file)
            self._put_frames(file)
        except pyvips.Error as error:
            fault = _system_error(error)
            raise (fault if isinstance(fault, OSError) else self._failure(fault)) from error

    def _put_frames(self, file: IO[bytes]) -> None:
        """What of an animation its saver has not written."""
        if self._timing is None:
            return
        if self._format.name == "webp":
            webp.set_durations(file, *self._delays())
        elif self._format.name == "png":
            tops = range(0, self._rows, self.height)
            all_columns = slice(0, self.width)
            frames = (self._samples.window(slice(top, top + self.height), all_columns) for top in tops)
            parts = apng.changed_parts(frames, self._interpretation, self._options)
            apng.add_frames(file, parts, self._timing.durations, self._timing.plays)

    def _delays(self) -> tuple[list[int], list[int]]:
        """Milliseconds for each frame: as its saver is told, and as they are to be.

        The sum stays, however short they are: what one is rounded by the next one makes up for.
        """
        assert self._timing is not None
        unit = Fraction(1, 100 if self._format.name == "gif" else 1000)
        ends = [round(end / unit) for end in accumulate(self._timing.durations)]
        wanted = [int((end - start) * unit * 1000) for start, end in pairwise((0, *ends))]
        return [max(_SHORTEST, one) for one in wanted] if self._format.name == "webp" else wanted, wanted

    def close(self) -> None:
        """Give the memory, or the file on disk, back."""
        self._samples.close()

    def __enter__(self) -> PictureWriter:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _check(self, limits: Limits) -> dict[str, Any]:
        """The saver's options; an impossible picture is refused."""
        options = dict(self._format.options)
        if self._quality is not None:
            if not self._format.lossy:
                raise InputError(
                    f"{self.path}: {self.path.suffix} files lose nothing, so they take no quality"
                )
            if not 1 <= self._quality <= 100:
                raise InputError(f"quality {self._quality}: give 1 to 100")
            options["Q"] = self._quality
        elif self._timing is not None and self._timing.lossless and self._format.name == "webp":
            options |= {
                "lossless": True,
                "effort": 0,
            }  # more takes ten times as long for files a tenth smaller
        elif self._timing is not None and self._timing.lossless and self._format.name == "jxl":
            options["Q"] = jpeg_xl.LOSSLESS
        if self._format.name == "jxl" and not jpeg_xl.is_at_hand():
            raise MissingExtraError(f"{self.path}: JPEG XL", "jxl", "imagecodecs")
        if self._rows > _MOST_ROWS:
            raise InputError(
                f"{self.path}: {self._rows // self.height} frames of {self.height} rows are more than the "
                f"{_MOST_ROWS} rows that can be written; cut it into several files, or ask for less"
            )
        if max(self.height, self.width) > self._format.side:
            raise InputError(
                f"{self.path}: a {self.width}x{self.height} picture cannot be written: {self.path.suffix} "
                f"files hold at most {self._format.side} pixels a side; use PNG or TIFF, or ask for less"
            )
        limits.check_whole(self.path, self.height * self.width * self._format.encoder)
        return options

    @property
    def _interpretation(self) -> str:
        """What libvips calls these colours."""
        return (("srgb", "b-w"), ("rgb16", "grey16"))[self._depth > 8][self._like.gray]

    def _image(self) -> tuple[Any, str]:
        """The samples and their belongings as a libvips image, and which of these its saver writes."""
        import pyvips

        self._samples.check_complete()
        like, format_, sixteen = self._like, self._format, self._depth > 8
        levels = self._samples.in_memory
        if levels is not None:
            kind = "ushort" if sixteen else "uchar"
            image = pyvips.Image.new_from_memory(levels, self.width, self._rows, self._samples.bands, kind)
        else:
            file = self._samples.as_tiff
            assert file is not None
            source = pyvips.Source.new_from_descriptor(file.fileno())
            image = pyvips.Image.tiffload_source(source, access="sequential")
        resolution = [side / 25.4 for side in like.dpi or ()] or [UNKNOWN_RESOLUTION] * 2
        image = image.copy(interpretation=self._interpretation, xres=resolution[0], yres=resolution[1])
        # What the temporary file says of itself is no part of the picture.
        for name in ("resolution-unit", "orientation", "n-pages", "image-description", "bits-per-sample"):
            if image.get_typeof(name):
                image.remove(name)
        if format_.saver == "heifsave_target":
            self._options["bitdepth"] = self._depth
        if self._options.get("compression") == "lzw":
            size = self.height * self.width * self._samples.bands << sixteen
            self._options["bigtiff"] = self._big or size > BIG_TIFF
        kept = self._load.by_libvips
        if kept["icc"] is not None:
            image.set_type(pyvips.GValue.blob_type, "icc-profile-data", kept["icc"])
            if not format_.profile or (like.gray and not format_.gray):
                # No place for this profile: the colours take the one that is assumed where there is none.
                image = image.icc_transform("srgb", embedded=True, depth=16 if sixteen else 8)
                kept["icc"] = None
                if like.gray and format_.gray:
                    image = image[0]
        if self._timing is not None:
            image.set_type(pyvips.GValue.gint_type, "page-height", self.height)
            image.set_type(pyvips.GValue.gint_type, "loop", min(self._timing.plays, _MOST_PLAYS))
            image.set_type(pyvips.GValue.array_int_type, "delay", self._delays()[0])
        for name in ("exif", "xmp"):
            if kept[name] is not None:
                image.set_type(pyvips.GValue.blob_type, f"{name}-data", kept[name])
        # Left alone, libvips makes up an EXIF block where none was.
        return image, ":".join(name for name, value in kept.items() if value is not None) or "none"

    def _failure(self, error: Exception) -> InputError:
        """What went wrong, as one line."""
        if isinstance(error, OSError):
            return InputError(f"{self.path}: cannot be written ({error.strerror or error})")
        return InputError(
            f"{self.path}: a {self.width}x{self.height} picture cannot be written ({reason(error)})"
        )


def _system_error(error: Exception) -> Exception:
    """The error itself; for one that libvips has of the system, and tells in words, the system's own."""
    lines = str(error).splitlines()
    told = [line.partition(": ")[2] for line in lines if line.startswith(_OF_SYSTEM)]
    for number in (ENOSPC, EDQUOT, EFBIG):
        if os.strerror(number) in told:
            system = OSError(number, os.strerror(number))
            system.__cause__ = error
            return system
    return error


def _save_bmp(image: Any, dpi: tuple[float, float] | None, file: IO[bytes]) -> None:  # noqa: ANN401
    """Encode as BMP, by Pillow."""
    from PIL import Image

    levels = image.numpy().reshape(image.height, image.width, image.bands)
    encoded = io.BytesIO()  # straight to a file, Pillow would not see that a full disk took only a part
    # Without a resolution Pillow would invent one; zeros say that it is not known.
    Image.fromarray(levels[:, :, 0] if image.bands == 1 else levels).save(encoded, "BMP", dpi=dpi or (0, 0))
    file.write(encoded.getbuffer())
