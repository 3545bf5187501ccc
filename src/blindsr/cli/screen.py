"""What the commands say and show: one-line errors, progress bars, names fit for a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console

from blindsr.errors import BlindSRError, MissingExtraError

if TYPE_CHECKING:
    from rich.progress import Progress

EXIT_SOME_FAILED = 3
EXIT_USAGE = 2


def complain(error: BlindSRError) -> None:
    """The error as one line on stderr."""
    text = " ".join(str(error).splitlines())
    say(Console(stderr=True), f"[bold red]error:[/] {escape(text)}")


@contextmanager
def extra(purpose: str, extra: str) -> Iterator[None]:
    """Turn a missing optional dependency into an error that says what to install."""
    try:
        yield
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing == "blindsr":
            raise
        raise MissingExtraError(purpose, extra, missing) from error


def progress_bars() -> Progress:
    """Bars on a terminal, nothing elsewhere."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def say(console: Console, text: str) -> None:
    """One line as it is: a long name stays whole, and markup in it means nothing."""
    console.print(text, soft_wrap=True, highlight=False, emoji=False)


def escape(text: str) -> str:
    """A name that may hold anything, fit for a terminal."""
    from rich.markup import escape

    return escape(text.encode(errors="replace").decode())
