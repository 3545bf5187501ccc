"""Which files of a folder are photos, what their content is, and what the others are."""

from __future__ import annotations

import io
import os
import stat
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from blindsr.picture.formats import FORMATS, PICTURES, READABLE, WRITABLE
from blindsr.picture.loaders import kind_of
from blindsr.picture.metadata.frames import count_frames

_HEAD = 64
"""Bytes that tell the kind of a file."""

_RESULTS = {"heif": "avif", **{kind: kind for kind in ("jpeg", "png", "webp", "tiff", "jxl", "bmp")}}
"""Kinds of photos -> formats of their results; the others become PNG, and animated GIF files WebP."""

_SHOWN = 6  # suffixes on a line


def is_photo(path: Path) -> bool:
    """Whether a file that a folder holds is a photo: by its suffix, and without one by its first bytes."""
    return path.suffix.lower() in READABLE or (not path.suffix and kind_of(_head(path)) is not None)


def suffix_of_content(path: Path, content: bytes | None, format_: str | None = None) -> str:
    """As `result_suffix`, of a photo whose content may be at hand."""
    if format_ is None:
        kind = kind_of(_head(path) if content is None else content[:_HEAD])
        format_ = _RESULTS.get(kind, "png") if kind is not None else None
        if kind == "gif" and _is_animated(path, content):
            format_ = "webp"
    suffixes = WRITABLE if format_ is None else FORMATS[format_].suffixes
    return path.suffix if path.suffix.lower() in suffixes else suffixes[0]


def _is_animated(path: Path, content: bytes | None) -> bool:
    """Whether a GIF file has more than one frame."""
    if content is not None:
        return count_frames(io.BytesIO(content), "gif", 2) > 1
    try:
        with path.open("rb") as file:
            return count_frames(file, "gif", 2) > 1
    except OSError:  # it was there a moment ago
        return False


def result_suffix(path: Path, format_: str | None = None) -> str:
    """How the name of a photo's result ends: as the photo's does, if that is what the result is.

    Args:
        path: The photo; its content counts, not its name.
        format_: A name in `FORMATS`; None for the photo's own format.
    """
    return suffix_of_content(path, None, format_)


def describe(others: Mapping[str, int]) -> str:
    """The files that were left out, on one line: how many there are, of which kinds, and why.

    Args:
        others: Suffixes, "" for none, and how many files have them.
    """
    total = sum(others.values())
    pictures = {suffix: count for suffix, count in others.items() if suffix in PICTURES}
    rest = {suffix: count for suffix, count in others.items() if suffix not in PICTURES}
    parts = [
        f"{_counted(kinds)} ({why})"
        for kinds, why in (
            (pictures, "pictures of kinds that are not read"),
            (rest, "no pictures by their names"),
        )
        if kinds
    ]
    return f"{total} other file{'s' * (total > 1)} left out: {', '.join(parts)}"


def _counted(kinds: Mapping[str, int]) -> str:
    """ "3 .txt, 2 .xmp", the most frequent first."""
    ordered = Counter(kinds).most_common()
    shown = [f"{count} {suffix or 'without a suffix'}" for suffix, count in ordered[:_SHOWN]]
    more = sum(count for _, count in ordered[_SHOWN:])
    return ", ".join([*shown, *([f"{more} more"] if more else [])])


def _head(path: Path) -> bytes:
    """A file's first bytes; none of what is no file, or cannot be read."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # to open a pipe would wait for ever
            return b""
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        try:
            return os.read(descriptor, _HEAD)
        finally:
            os.close(descriptor)
    except (OSError, ValueError):  # ValueError: a name that no file can have
        return b""
