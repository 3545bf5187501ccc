"""A photo from stdin, and a result to stdout: "-" in the place of a file's name."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, TYPE_CHECKING

from blindsr.cli.screen import print_warning
from blindsr.errors import InputError

if TYPE_CHECKING:
    from blindsr.picture.metadata.report import Report

STREAM = Path("-")


def restore_stream(
    restore: Callable[[Path | bytes, Path], Report], source: Path, target: Path, format_: str | None
) -> None:
    """Restore one photo, from stdin, or into stdout, or both.

    Args:
        restore: Restores a photo, a file or the content of one, into a file.
        source: The photo; "-" reads it from stdin.
        target: The result; "-" writes it to stdout, complete or not at all.
        format_: A name in `FORMATS`; None for the photo's own format, or that of the target's suffix.

    Raises:
        InputError: As `restore` does; or the result would go to a screen.
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
        _tell(restore(content, target), content)
        return
    held = content if isinstance(content, bytes) else None
    with temporary_folder(Path(tempfile.gettempdir())) as folder:
        made = folder / f"result{suffix_of_content(source, held, format_)}"
        _tell(restore(content, made), content)
        with made.open("rb") as file:
            shutil.copyfileobj(file, sys.stdout.buffer)
        sys.stdout.buffer.flush()


def _tell(report: Report, content: Path | bytes) -> None:
    if report.warning:
        print_warning(f"{'stdin' if isinstance(content, bytes) else content}: {report.warning}")
