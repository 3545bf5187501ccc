"""Whether what was sent can be taken: each photo looked at by its header, and the disk asked for room."""

from __future__ import annotations

import re
import shutil
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blindsr.errors import InputError, MissingExtraError
from blindsr.models.card import Model
from blindsr.server.fields import output_size, result_pixels
from blindsr.server.names import shown_name
from blindsr.server.problems import ProblemError, full
from blindsr.server.store import PhotoRecord
from blindsr.system.memory import show_bytes

if TYPE_CHECKING:
    from blindsr.picture.limits import Limits
    from blindsr.server.settings import Settings
    from blindsr.server.uploads import Form, ReceivedFile

MOST_ENLARGED = 16
"""Pixels of a result, in parts of the largest photo's: what x4 makes of that."""

RESULT_BYTES = 3
"""A pixel of a result, on the disk: more than compressed ones take."""

SPARE_DISK = 256 << 20
"""Bytes of the disk that are left free."""

_measuring = threading.Lock()


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


def limits_of(settings: Settings) -> Limits:
    """What a photo may take."""
    from blindsr.picture.limits import Limits

    memory = settings.restoring_memory
    return Limits(settings.max_pixels, memory.samples, memory.codec)


def measure(file: ReceivedFile, limits: Limits) -> tuple[int, int]:
    """Width and height of a photo that was sent.

    Raises:
        ProblemError: As `measure_photos`.
    """
    from blindsr.picture.limits import TooLargeError
    from blindsr.picture.measuring import measure_photo

    if not file.size:
        raise ProblemError(422, f"{file.name}: the file is empty")
    try:
        with _measuring:  # some headers take memory, and requests are many
            return measure_photo(file.path, limits)
    except (InputError, MissingExtraError) as error:
        text = str(error).replace(str(file.path), file.name)
        raise ProblemError(413 if isinstance(error, TooLargeError) else 415, for_clients(text)) from error


def take_mask(form: Form, card: Model, place: Path) -> None:
    """Take the mask of a form, which is for one photo.

    Args:
        form: What was sent.
        card: Of the model that is asked for.
        place: Where the mask is to lie.

    Raises:
        ProblemError: There is more than one mask, or photo; the model has no texture (422); the mask is no
            picture (415), or too large (413).
    """
    from blindsr.picture.limits import Limits
    from blindsr.upscaling.masking import MOST_PIXELS, TextureMask

    (mask, *more), photos = form.of("mask"), form.of("files")
    if more or len(photos) != 1:
        raise ProblemError(422, "mask: it is for one photo; send one mask with one photo")
    if card.texture is None:
        raise ProblemError(
            422, f"mask: model {card.name} has no texture; leave it out, or take another model"
        )
    measure(mask, Limits(MOST_PIXELS, codec=16 * MOST_PIXELS))
    try:
        with _measuring:
            TextureMask.read(mask.path)  # whole: a job should not wait for its turn to fail by its mask
    except InputError as error:
        raise ProblemError(415, for_clients(str(error).replace(str(mask.path), mask.name))) from error
    mask.path.rename(place)


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

    width, height = measure(file, limits_of(settings))
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
