"""Files of several pictures: pages of a TIFF, frames of an animation, given to what can keep them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, TypeAlias, cast

from blindsr.errors import InputError
from blindsr.picture.animation import Animation
from blindsr.picture.decoding import decode_file, kind_of_file, source_file
from blindsr.picture.encoded import Encoded
from blindsr.picture.formats import format_of
from blindsr.picture.limits import MOST_PICTURES, Limits
from blindsr.picture.metadata.frames import count_frames
from blindsr.picture.photo import Photo
from blindsr.picture.tiff_pages import OnePage, Page, directories

_FRAMES = ("gif", "webp", "png", "jxl")
"""Kinds of files whose frames are read."""


class Pages:
    """The pages of a TIFF file, each a photo of its own, decoded one at a time.

    Close it, or use it as a context manager.

    Args:
        path: What messages call it.
        file: The file.
        pages: Where its pages are.
        limits: What decoding may take; of the whole file and of each page. Where it is enough what can be
            read of a damaged file, pages that cannot be read at all are left out.

    Raises:
        InputError: The first page is damaged, one is too large, or there are too many.

    Attributes:
        open_files: What is closed with it.
        pages: Those that are not too large.
        numbers: Their numbers in the file, from 1.
        left_out: Which pages could not be read so far, and why.
    """

    what = "pages"

    def __init__(self, path: Path, file: IO[bytes], pages: Sequence[Page], limits: Limits) -> None:
        self._path, self._file, self._limits = path, file, limits
        self.open_files = ExitStack()
        self.left_out: dict[int, str] = {}
        fitting = [number for number, page in enumerate(pages, 1) if self._fits(number, page)]
        self.numbers, self.pages = fitting, [pages[number - 1] for number in fitting]
        area = sum(one.width * one.height for one in self.pages)
        limits.check_count(path, len(pages), area, self.what)
        self._first: Photo | None
        self._at, first = self._first_readable()
        self._first, self.height, self.width = first, first.height, first.width
        self.bit_depth = first.bit_depth

    @property
    def count(self) -> int:
        """How many pages there are to be read."""
        return len(self.pages)

    def photos(self) -> Iterator[tuple[int, Photo]]:
        """The pages with their places in `pages`; each is closed when the next one is asked for.

        Raises:
            InputError: A page is damaged; the message names file and page.
        """
        for place in range(self._at, self.count):
            first = place == self._at and self._first is not None
            photo = self._first if first else self._readable(place)
            self._first = None if first else self._first
            if photo is not None:
                with photo:
                    yield place, photo

    def close(self) -> None:
        """Let go of the file, and of a page that nobody asked for."""
        if self._first is not None:
            self._first.close()
        self.open_files.close()

    def __enter__(self) -> Pages:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _name(self, number: int) -> Path:
        """What messages call a page."""
        return Path(f"{self._path}, page {number}")

    def _fits(self, number: int, page: Page) -> bool:
        """Whether a page is not too large."""
        try:
            self._limits.check_size(self._name(number), page.width, page.height)
        except InputError as error:
            self._leave_out(number, error)
            return False
        return True

    def _first_readable(self) -> tuple[int, Photo]:
        """Where the first page is that can be read, and that page."""
        for place in range(self.count):
            photo = self._readable(place)
            if photo is not None:
                return place, photo
        why = next(iter(self.left_out.values()))
        raise InputError(
            f"{self._path}: none of its pages can be read ({why}); copy it again from where it came from"
        )

    def _readable(self, place: int) -> Photo | None:
        """A page; None of one that is left out."""
        number = self.numbers[place]
        try:
            return self._decode(number, self.pages[place])
        except InputError as error:
            self._leave_out(number, error)
            return None

    def _leave_out(self, number: int, error: InputError) -> None:
        """Do without a page.

        Raises:
            InputError: Every page is needed.
        """
        if not self._limits.damaged:
            raise error
        self.left_out[number] = str(error).removeprefix(f"{self._name(number)}: ").partition(";")[0]

    def _decode(self, number: int, page: Page) -> Photo:
        name = self._name(number)
        try:
            return decode_file(name, cast(IO[bytes], OnePage(self._file, page)), self._limits)
        except OSError as error:
            raise InputError(f"{name}: cannot be read ({error.strerror or error})") from error


Opened: TypeAlias = "Photo | Pages | Animation"
"""A file as it is opened for a target: all its pictures where that has a place for them, else the first."""


def open_for(source: Encoded, target: str | Path, limits: Limits) -> Opened:
    """Open a photo's file for a result: with all of its pages or frames where the target can hold them.

    Args:
        source: As in `open_photo`.
        target: The file that it is opened for; its suffix names the format.
        limits: What it may take.

    Returns:
        A photo where there is one picture, or the target holds one.

    Raises:
        InputError: As `open_photo`, or there are more pages or frames than are allowed.
        MissingExtraError: As `open_photo`.
    """
    with ExitStack() as files:
        path, file = files.enter_context(source_file(source, limits))
        kind, several = kind_of_file(path, file), format_of(Path(target)).several
        series: Pages | Animation
        if kind == "tiff" and several == "pages":
            found = list(directories(file, MOST_PICTURES + 1))
            pages = [one for one in found if one.kind == "page"]
            if len(pages) < 2:
                return decode_file(path, file, limits)
            limits.check_count(path, len(found), 0, "pages")
            series = Pages(path, file, pages, limits)
        elif kind in _FRAMES and several == "frames" and count_frames(file, kind, 2) > 1:
            series = Animation(path, file, kind, limits)
        else:
            return decode_file(path, file, limits)
        series.open_files = files.pop_all()
        return series
