"""Animations: their frames as whole pictures, one at a time, and when each is shown."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Collection, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import IO

from blindsr.picture import apng
from blindsr.picture.decoding import (
    check_image,
    describe,
    is_opaque,
)
from blindsr.picture.described import Description
from blindsr.picture.jpeg_xl import photos as jpeg_xl
from blindsr.picture.limits import MOST_PICTURES, Limits, damaged_file
from blindsr.picture.loaders import (
    UndecodableError,
    field,
    frame_height,
    opened,
    opening_bytes,
    pixel_bytes,
)
from blindsr.picture.metadata import gif, webp
from blindsr.picture.metadata.frames import count_frames
from blindsr.picture.metadata.report import Item
from blindsr.picture.metadata.survey import Survey, survey
from blindsr.picture.photo import Photo
from blindsr.picture.samples import Samples

_USUAL = Fraction(1, 10)
"""Seconds that a frame is shown where nothing is told."""

_CANVASES = 4
"""How many times the memory of the canvas composing takes."""


@dataclass(frozen=True)
class Timing:
    """When the frames of an animation are shown.

    Args:
        durations: Seconds that each frame is shown, in order.
        plays: How many times all are; 0 for ever.
        lossless: Whether every frame is stored without loss.
    """

    durations: tuple[Fraction, ...]
    plays: int = 0
    lossless: bool = True


_Frame = tuple[Description, int, Samples, bool]
"""What the file's header says, a frame's number, its samples, and whether they are gray."""


class Animation:
    """The frames of an animation, as whole pictures of one size, decoded one at a time.

    All of it is decoded once when it is made: so what is damaged is known before any work is done, and which
    frames are the same. Close it, or use it as a context manager.

    Args:
        path: What messages call it.
        file: The file.
        kind: "gif", "webp", "png" or "jxl".
        limits: What decoding may take.

    Raises:
        InputError: It is damaged, too large, or has too many frames.

    Attributes:
        open_files: What is closed with it.
        like: The first frame with all that the file carries; its samples are closed.
        timing: When the frames are shown.
        same_as: For each frame the number of the first one that has the same samples.
    """

    what = "frames"

    def __init__(self, path: Path, file: IO[bytes], kind: str, limits: Limits) -> None:
        self._path, self._file, self._kind, self._limits = path, file, kind, limits
        self.open_files = ExitStack()
        self._fail_on = "error"
        self.like: Photo
        self.timing: Timing
        self._told: Timing
        self.same_as: tuple[int, ...]
        limits.check_count(path, count_frames(file, kind, MOST_PICTURES + 1), 0, self.what)
        limits.check_held(path, opening_bytes(file, kind, limits.held), "metadata")
        try:
            self._scan()
        except UndecodableError as error:
            if not limits.damaged:
                raise damaged_file(path, str(error)) from error
            self._fail_on = "none"
            if kind == "webp" and (frames := webp.whole_frames(file)) is not None:
                self._file = io.BytesIO(frames)
            try:
                self._scan()
            except UndecodableError as again:
                raise damaged_file(path, str(again)) from again
            text = f"damaged ({error}); what could be read of it was"
            metadata = replace(self.like.metadata, warnings=(*self.like.metadata.warnings, text))
            self.like = replace(self.like, metadata=metadata)

    @property
    def width(self) -> int:
        """Columns of each frame."""
        return self.like.width

    @property
    def height(self) -> int:
        """Rows of each frame."""
        return self.like.height

    @property
    def count(self) -> int:
        """How many frames there are."""
        return len(self.same_as)

    def photos(self, wanted: Collection[int] | None = None) -> Iterator[tuple[int, Photo]]:
        """Frames with their numbers from 0; each is closed when the next one is asked for.

        Args:
            wanted: Numbers of those that are needed; None for all.

        Raises:
            InputError: The file has changed since it was opened.
        """
        try:
            for _, number, samples, _ in self._frames(wanted):
                with replace(self.like, samples=samples) as photo:
                    yield number, photo
        except UndecodableError as error:
            raise damaged_file(self._path, str(error)) from error

    def close(self) -> None:
        """Let go of the file."""
        self.open_files.close()

    def __enter__(self) -> Animation:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _scan(self) -> None:
        """Go through all frames: what they have in common, and which are the same."""
        first: dict[bytes, int] = {}
        same_as: list[int] = []
        gray = opaque = True
        like: Photo | None = None
        for described, number, samples, one_gray in self._frames(None):
            with closing(samples):
                like = like or described.photo(samples)
                gray = gray and one_gray
                opaque = opaque and is_opaque(replace(like, samples=samples))
                same_as.append(first.setdefault(_digest(samples), number))
        if like is None:
            raise UndecodableError("no frame in it")
        self.like = replace(like, gray=gray, alpha_band=None if opaque else like.alpha_band)
        self.same_as = tuple(same_as)
        self.timing = replace(self._told, durations=self._told.durations[: len(same_as)])

    def _frames(self, wanted: Collection[int] | None) -> Iterator[_Frame]:
        """Number and samples of each frame, to be closed, and whether it is gray.

        Of a damaged file those before the first that cannot be read.
        """
        own = {"png": self._frames_of_png, "jxl": self._frames_of_jpeg_xl}
        begun = False
        try:
            for frame in own.get(self._kind, self._frames_by_libvips)(wanted):
                begun = True
                yield frame
        except UndecodableError:
            if self._fail_on != "none" or not begun:
                raise

    def _frames_by_libvips(self, wanted: Collection[int] | None) -> Iterator[_Frame]:
        """Frames of a GIF or WebP file, which libvips composes."""
        if self._kind == "gif" and self._fail_on == "error" and gif.is_cut_short(self._file):
            raise UndecodableError("it ends within a frame")  # which libvips does not mind
        with opened(self._file, self._kind, fail_on=self._fail_on, n=-1) as image:
            height = frame_height(image)
            count = image.height // height
            check_image(self._path, image, self._kind, self._file, self._limits)
            self._limits.check_count(self._path, count, image.width * image.height, self.what)
            described = describe(image, self._kind, self._path, None, self._survey())
            delays = [max(0, int(delay)) for delay in field(image, "delay", [])]
            durations = [Fraction(delay, 1000) for delay in delays[:count]]
            durations += [_USUAL] * (count - len(durations))
            lossless = self._kind == "gif" or webp.is_lossless(self._file)
            self._told = Timing(tuple(durations), max(0, field(image, "loop", 0)), lossless)
            for number in range(count):
                if wanted is None or number in wanted:
                    yield described, number, *described.fetch(self._limits, number * height, height)

    def _frames_of_png(self, wanted: Collection[int] | None) -> Iterator[_Frame]:
        """Frames of a PNG file."""
        limits, path = self._limits, self._path
        told = apng.layout(self._file, damaged=self._fail_on == "none")
        with opened(self._file, "png", fail_on=self._fail_on) as image:
            check_image(path, image, "png", self._file, limits)
            described = describe(image, "png", path, None, self._survey(told.hidden))
            bands, pixel = int(image.bands), pixel_bytes(image)
        area = told.width * told.height
        limits.check_count(path, len(told.frames), area * len(told.frames), self.what)
        limits.check_whole(path, area * (pixel + pixel // bands) * _CANVASES)
        limits.check_held(path, 2 * max(one.size for one in told.frames), "frames")
        durations = tuple(one.duration for one in told.frames)
        self._told = Timing(durations, told.plays)
        bands += bands in (1, 3) and told.clear
        for number, canvas in enumerate(apng.composed(self._file, told, bands, self._fail_on)):
            if wanted is None or number in wanted:
                height, width, _ = canvas.shape
                samples = Samples(
                    *(height, width, bands, canvas.dtype),
                    *(limits.samples, limits.folder, described.orientation),
                )
                samples.put(0, 0, canvas)
                yield described, number, samples, bands < 3

    def _frames_of_jpeg_xl(self, wanted: Collection[int] | None) -> Iterator[_Frame]:
        """Frames of a JPEG XL file, which libjxl composes."""
        damaged = self._fail_on == "none"
        with jpeg_xl.opened(self._path, self._file, self._limits, damaged) as reader:
            described = jpeg_xl.describe(reader, self._path, self._survey())
            self._told = Timing(reader.durations, reader.header.plays, reader.header.lossless)
            for number, levels in enumerate(reader.frames(damaged)):
                if wanted is None or number in wanted:
                    yield described, number, described.store(levels, self._limits), reader.header.gray

    def _survey(self, hidden: bool = False) -> Survey:
        """What the file carries besides its frames; and besides a picture that is none of them."""
        found = survey(self._file, self._kind)
        found.others = [item for item in found.others if item.kind != "frames"]
        if hidden:
            found.others.append(Item("pictures", "picture for programs that show no animation"))
        return found


def _digest(samples: Samples) -> bytes:
    """What tells that two frames are the same."""
    digest = hashlib.sha256()
    for _, levels in samples.chunks():
        digest.update(levels.tobytes())
    return digest.digest()
