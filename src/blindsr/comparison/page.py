"""Before and after of many photos on one page, which grows as they are finished."""

from __future__ import annotations

import logging
import os
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TextIO
from urllib.parse import quote

from blindsr.comparison.embedding import SHOWN_PIXELS, thumbnail_of
from blindsr.comparison.slider import compare, head, shown, source, tail
from blindsr.errors import BlindSRError, InputError
from blindsr.system.files import atomic_path

_log = logging.getLogger(__name__)

SHOWN_PHOTOS = 60
"""Photos that a page holds; a page of more than this would be slow to open."""


class ComparisonPage:
    """Writes one HTML file with a comparison for each photo of a run; a context manager.

    Each photo is written when it is added, so the memory does not grow with their number. The file appears at
    the end of the block, complete; if the block raises, it does not appear. One thread at a time may use it.

    Args:
        path: The HTML file.
        shown_photos: Photos that are shown; those after are listed with links to their files.
        shown_pixels: As in `compare`.

    Example:
        >>> blindsr.upscale("photo.jpg").save("photo_x4.jpg")
        >>> with blindsr.ComparisonPage("page.html") as page:
        ...     page.add("photo.jpg", "photo_x4.jpg")
        >>> page
        <ComparisonPage 'page.html', 1 photo>
    """

    def __init__(
        self, path: str | Path, *, shown_photos: int = SHOWN_PHOTOS, shown_pixels: int = SHOWN_PIXELS
    ) -> None:
        self.path = Path(path)
        self.shown_photos = shown_photos
        self.shown_pixels = shown_pixels
        self._count = 0
        self._linked: list[str] = []
        self._left_out: list[str] = []
        self._script = source("slider.js") + source("page.js")
        self._open: ExitStack
        self._file: TextIO

    def __repr__(self) -> str:
        return f"<ComparisonPage {str(self.path)!r}, {self._count} photo{'s' * (self._count != 1)}>"

    def __enter__(self) -> ComparisonPage:
        """Begin the page; its folder is made if need be.

        Raises:
            InputError: The file cannot be written.
        """
        with ExitStack() as stack:
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                temporary = stack.enter_context(atomic_path(self.path))
                self._file = stack.enter_context(temporary.open("w", encoding="utf-8", newline="\n"))
            except OSError as error:
                raise InputError(f"{self.path}: cannot be written ({error.strerror})") from error
            self._write(
                head("Before and after", ["slider.css"], self._script)
                + '<h1>Before and after</h1>\n<nav aria-label="Photos"><ol class="strip">\n'
            )
            self._open = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Finish the page, or take it away if the block raised."""
        try:
            if kind is None:
                self._write(self._end())
        except BaseException as error:
            self._open.__exit__(type(error), error, error.__traceback__)
            raise
        try:
            self._open.__exit__(kind, value, trace)
        except OSError as error:
            raise InputError(f"{self.path}: cannot be written ({error.strerror})") from error

    def add(self, source: str | Path, target: str | Path) -> None:
        """Add a photo and its restoration; one that cannot be shown is noted on the page instead.

        Args:
            source: File of the photo.
            target: File of the restored photo.

        Raises:
            InputError: The page cannot be written.
        """
        source, target = Path(source), Path(target)
        if self._count >= self.shown_photos:
            self._linked.append(f"<li>{self._link(source)} → {self._link(target)}</li>\n")
            return
        try:
            comparison = compare(source, target, shown_pixels=self.shown_pixels)
            thumbnail = thumbnail_of(comparison.views[0].after)
        except BlindSRError as error:
            _log.warning("not on the page: %s", error)
            self.leave_out(source, str(error).replace(str(target), target.name))
            return
        self._count += 1
        self._write(
            f'<li><button type="button"><img alt="" loading="lazy" src="{thumbnail.uri}">'
            f"<bdi>{shown(source.name)}</bdi></button><template>{comparison.figure()}</template></li>\n"
        )

    def leave_out(self, source: str | Path, reason: str) -> None:
        """Note a photo that is not shown, and why."""
        source = Path(source)
        # A page gets about: where the photos lay on this machine is not for its readers.
        reason = reason.replace(str(source), source.name).removeprefix(f"{source.name}: ")
        self._left_out.append(f"<li><bdi>{shown(source.name)}</bdi>: {shown(reason)}</li>\n")

    def _link(self, path: Path) -> str:
        """A link relative to the page; the bare name where there is no way from one to the other."""
        name = f"<bdi>{shown(path.name)}</bdi>"
        try:
            way = os.path.relpath(path.resolve(), self.path.parent.resolve()).replace(os.sep, "/")
            return f'<a href="./{quote(os.fsencode(way))}">{name}</a>'
        except ValueError:  # another drive
            return name

    def _write(self, text: str) -> None:
        try:
            self._file.write(text)
            self._file.flush()
        except OSError as error:
            raise InputError(f"{self.path}: cannot be written ({error.strerror})") from error

    def _end(self) -> str:
        """What follows the photos."""
        parts = [
            '</ol></nav>\n<div class="steps"><button type="button" data-step="-1">previous</button>'
            '<button type="button" data-step="1">next</button> <span class="count" role="status"></span>'
            "<p>Keys: N and P for the next and the previous photo, Tab to the divider, arrows to move it.</p>"
            '</div>\n<main class="photo"></main>\n<noscript>This page needs scripts.</noscript>\n'
            if self._count
            else "</ol></nav>\n<main><p>No photo to show.</p></main>\n"
        ]
        for title, items in (
            (f"Not shown here: only {self.shown_photos} photos are", self._linked),
            ("Left out", self._left_out),
        ):
            if items:
                parts.append(
                    f'<section class="others"><h2>{title}</h2><ul>\n{"".join(items)}</ul></section>\n'
                )
        return "".join(parts) + tail(self._script)
