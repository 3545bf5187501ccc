"""Whether what was sent can be taken: each photo looked at by its header, and the disk asked for room."""

from __future__ import annotations

import re
import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from blindsr.errors import InputError, MissingExtraError
from blindsr.models.card import Model
from blindsr.server.fields import output_size, result_pixels
from blindsr.server.names import shown_name
from blindsr.server.problems import ProblemError, full
from blindsr.server.store import PhotoRecord
from blindsr.system.memory import show_bytes

if TYPE_CHECKING:
    from blindsr.picture.decoding import Limits
    from blindsr.server.settings import Settings
    from blindsr.server.uploads import ReceivedFile

Found = TypeVar("Found")

MOST_ENLARGED = 16
"""Pixels of a result, in parts of the largest photo's: what x4 makes of that."""

RESULT_BYTES = 3
"""A pixel of a result, on the disk: more than compressed ones take."""

SPARE_DISK = 256 << 20
"""Bytes of the disk that are left free."""

MOST_MASK = 1 << 24
"""Pixels of a mask, which is held in memory beside what is restored."""

_looking = threading.Lock()


def check_disk(folder: Path, needed: int) -> None:
    """Refuse what the disk has no room for.

    Args:
        folder: On the disk.
        needed: Bytes.

    Raises:
        ProblemError: It has not (429).
    """
    free = max(0, shutil.disk_usage(folder).free - SPARE_DISK)
    if free < needed:
        raise full(
            f"the server's disk is full: {show_bytes(needed)} are needed, {show_bytes(free)} are free; "
            "delete jobs that you have fetched, or try again later",
            300,
        )


def measure_photos(
    files: Sequence[ReceivedFile], settings: Settings, options: Mapping[str, Any], card: Model
) -> list[PhotoRecord]:
    """What each photo is and its result will be.

    Raises:
        ProblemError: One is no photo that is read here (415), too large (413), or cannot become what is asked
            for (422). It names the photo.
    """
    if not files:
        raise ProblemError(422, "files: no photo was sent; send one or several in the field files")
    return [_record(n, file, settings, options, card) for n, file in enumerate(files)]


def measure(file: ReceivedFile, settings: Settings) -> tuple[int, int]:
    """Width and height of a photo that was sent.

    Raises:
        ProblemError: As `measure_photos`.
    """
    from blindsr.picture.measuring import measure_photo

    return _looked_at(file, settings, settings.max_pixels, measure_photo)


def check_mask(file: ReceivedFile, settings: Settings) -> None:
    """Read a mask once to its end, so that no photo waits for one that cannot be used.

    Raises:
        ProblemError: It is no picture (415), empty (422), or larger than a brush needs (413).
    """
    from blindsr.upscaling.masking import TextureMask

    _looked_at(file, settings, MOST_MASK, TextureMask.read)


def _looked_at(
    file: ReceivedFile, settings: Settings, pixels: int, look: Callable[[Path, Limits], Found]
) -> Found:
    """What is seen in a file that was sent, within so many pixels; what is wrong with it is a problem."""
    from blindsr.picture.decoding import Limits, TooLargeError

    if not file.size:
        raise ProblemError(422, f"{file.name}: the file is empty")
    memory = settings.restoring_memory
    limits = Limits(pixels, memory.samples, memory.codec, file.path.parent)
    try:
        with _looking:  # some headers take memory, and requests are many
            return look(file.path, limits)
    except (InputError, MissingExtraError) as error:
        text = str(error).replace(str(file.path), file.name)
        raise ProblemError(413 if isinstance(error, TooLargeError) else 415, for_clients(text)) from error


def for_clients(text: str) -> str:
    """An error without the advice that only the owner of the server can take: whatever names an option.

    Example:
        >>> for_clients("a.png: too large; allow more with --max-pixels")
        'a.png: too large'
    """
    first, *clauses = re.split(r"(?=; |, or )", text)
    return first + "".join(clause for clause in clauses if not re.search(r"\s--?[a-z]", clause))


def _record(
    n: int, file: ReceivedFile, settings: Settings, options: Mapping[str, Any], card: Model
) -> PhotoRecord:
    from blindsr.batch.recognition import suffix_of_content
    from blindsr.picture.formats import format_of

    width, height = measure(file, settings)
    pixels = result_pixels(options, card, width, height)
    if pixels > MOST_ENLARGED * settings.max_pixels:
        most = MOST_ENLARGED * settings.max_pixels / 1e6
        raise ProblemError(
            422,
            f"{file.name}: its result would have more than {most:.4g} million pixels; ask for a smaller one",
        )
    with file.path.open("rb") as opened:
        head = opened.read(64)
    suffix = suffix_of_content(Path(file.name), head, options.get("format")).lower()
    if options.get("quality") is not None and not format_of(Path(f"a{suffix}")).lossy:
        raise ProblemError(
            422,
            f"{file.name}: {suffix} files lose nothing, so they take no quality; leave it out",
        )
    stem = file.name.rpartition(".")[0] or file.name
    return PhotoRecord(
        n, file.name, width * height, pixels, shown_name(f"{stem}_{label_of(options, card)}{suffix}")
    )


def label_of(options: Mapping[str, Any], card: Model) -> str:
    """The size that was asked for, as the results' names have it."""
    size = output_size(options)
    return f"x{card.scale}" if size is None else size.label
