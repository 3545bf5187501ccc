"""TIFF files of many pages, on their way: a page at a time is in memory."""

from __future__ import annotations

import shutil
import struct
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from blindsr.errors import InputError
from blindsr.picture.encoding import BIG_TIFF, PictureWriter
from blindsr.picture.metadata.report import Item, Report
from blindsr.picture.tiff import Tree, add_tags
from blindsr.picture.tiff_pages import PagedFile
from blindsr.system.files import atomic_path

_IS_PAGE: Tree = {254: (4, 1, struct.pack("<I", 2))}
"""The entry that says that a picture is one page of many."""


def needs_big_places(sides: Sequence[tuple[int, int]], bit_depth: int) -> bool:
    """Whether a TIFF file needs 64-bit places for pages of so many rows and columns, whatever they hold."""
    bands = 4
    return sum(height * width for height, width in sides) * bands << (bit_depth > 8) > BIG_TIFF


class PagesWriter:
    """A TIFF file of many pages on its way: they are added one by one, then it is saved.

    Close it, or use it as a context manager.

    Args:
        path: The file.
        folder: Where temporary files are made; None for the system's folder for them.

    Raises:
        InputError: There is no room for temporary files.
    """

    def __init__(self, path: str | Path, folder: Path | None) -> None:
        self.path, self._folder = Path(path), folder
        self.height = self.width = 0
        self._reports: dict[int, Report] = {}
        self._left_out: dict[int, str] = {}
        try:
            self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  (closed by `close`)
        except OSError as error:
            raise self._failure(error) from error
        self._paged = PagedFile(self._file)

    def add(self, page: PictureWriter, number: int) -> None:
        """Take a page, whose pixels are all placed; it stays the caller's to close.

        Args:
            page: The page.
            number: Its number in the photo's file, from 1.

        Raises:
            InputError: It cannot be written.
        """
        try:
            with tempfile.TemporaryFile(dir=self._folder) as file:
                page.save_into(file)
                add_tags(file, _IS_PAGE)
                self._paged.append(file)
        except OSError as error:
            raise self._failure(error) from error
        if not self._reports:
            self.height, self.width = page.height, page.width
        self._reports[number] = page.report

    def leave_out(self, pages: Mapping[int, str]) -> None:
        """Say of pages, by their numbers in the photo's file, why they are not there."""
        self._left_out |= pages

    @property
    def report(self) -> Report:
        """What becomes of what the pages carry; of what not all of them carry, which do."""
        return together(self._reports, self._left_out)

    def save(self) -> None:
        """Put the file in its place, complete or not at all.

        Raises:
            InputError: It cannot be written.
        """
        try:
            with atomic_path(self.path) as temporary, temporary.open("rb+") as file:
                self._file.seek(0)
                shutil.copyfileobj(self._file, file, 1 << 20)
        except OSError as error:
            raise self._failure(error) from error

    def close(self) -> None:
        """Give the file on disk back."""
        self._file.close()

    def __enter__(self) -> PagesWriter:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _failure(self, error: OSError) -> InputError:
        return InputError(f"{self.path}: cannot be written ({error.strerror or error})")


def together(reports: Mapping[int, Report], left_out: Mapping[int, str]) -> Report:
    """What became of what all pages carried, each thing once.

    Args:
        reports: Of the pages of the result, by their numbers in the photo's file.
        left_out: The other pages, and why.
    """
    kept, changed, dropped = (
        _each_once({number: getattr(report, name) for number, report in reports.items()})
        for name in ("kept", "changed", "dropped")
    )
    told = {number: [f"left out ({why})"] for number, why in left_out.items()}
    told |= {number: report.warnings for number, report in reports.items()}
    warnings = [f"page {number}: {text}" for number in sorted(told) for text in told[number]]
    return Report(kept, changed, dropped, warnings, pages=len(reports))


def _each_once(pages: Mapping[int, Sequence[Item]]) -> list[Item]:
    """The things of all pages; behind those that only some have, how many, or which one."""
    counts: Counter[str] = Counter()
    first: dict[str, tuple[int, Item]] = {}
    for number, items in pages.items():
        counts.update({item.text for item in items})
        for item in items:
            first.setdefault(item.text, (number, item))
    named = []
    for text, (number, item) in first.items():
        if counts[text] < len(pages):
            where = f"page {number}" if counts[text] == 1 else f"{counts[text]} of {len(pages)} pages"
            item = replace(item, text=f"{text} ({where})")
        named.append(item)
    return named
