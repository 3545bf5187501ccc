"""A photo from stdin, and a result to stdout: "-" in the place of a file's name."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING

from blindsr.cli.screen import print_warning
from blindsr.errors import InputError

if TYPE_CHECKING:
    from blindsr.picture.sizing import OutputSize
    from blindsr.upscaling.upscaler import Adaptation, Upscaler

STREAM = Path("-")


def restore_stream(
    upscaler: Upscaler,
    source: Path,
    target: Path,
    *,
    format_: str | None,
    adaptation: Adaptation | None,
    size: OutputSize | None,
    quality: int | None,
    dpi: float | None,
    mark: bool,
) -> None:
    """Restore one photo, from stdin, or into stdout, or both.

    Args:
        upscaler: What restores it.
        source: The photo; "-" reads it from stdin.
        target: The result; "-" writes it to stdout, complete or not at all.
        format_: A name in `FORMATS`; None for the photo's own format, or that of the target's suffix.
        adaptation: As in `Upscaler.upscale`, like the next one.
        size: Of the result.
        quality: As in `blindsr.write`.
        dpi: Resolution that the result gets; None for that of the photo.
        mark: Whether the result says how it was made.

    Raises:
        InputError: As `Upscaler.upscale_file`; or the result would go to a screen.
    """
    from blindsr.batch.recognition import suffix_of_content
    from blindsr.system.files import temporary_folder

    if target == STREAM and sys.stdout.isatty():
        raise InputError("-o -: the result would fill the screen; send it to a file or a program")
    stdin: IO[bytes] = sys.stdin.buffer
    content: Path | bytes = stdin.read() if source == STREAM else source
    if content == b"":
        raise InputError("stdin: nothing came; send a photo")
    if target != STREAM:
        _restore(upscaler, content, target, adaptation, size, quality, dpi, mark)
        return
    held = content if isinstance(content, bytes) else None
    with temporary_folder(_temporary()) as folder:
        made = folder / f"result{suffix_of_content(source, held, format_)}"
        _restore(upscaler, content, made, adaptation, size, quality, dpi, mark)
        with made.open("rb") as file:
            shutil.copyfileobj(file, sys.stdout.buffer)
        sys.stdout.buffer.flush()


def _restore(
    upscaler: Upscaler,
    content: Path | bytes,
    target: Path,
    adaptation: Adaptation | None,
    size: OutputSize | None,
    quality: int | None,
    dpi: float | None,
    mark: bool,
) -> None:
    report = upscaler.upscale_file(
        content, target, support=adaptation, size=size, quality=quality, dpi=dpi, mark=mark
    )
    if report.warning:
        print_warning(f"{'stdin' if isinstance(content, bytes) else content}: {report.warning}")


def _temporary() -> Path:
    import tempfile

    return Path(tempfile.gettempdir())
