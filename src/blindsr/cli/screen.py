"""What the commands say and show: one-line errors, progress bars, names fit for a terminal; how they end."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import IO, TYPE_CHECKING, Any

from rich.console import Console

from blindsr.errors import BlindSRError, InputError, MissingExtraError
from blindsr.system.files import abandon_writes
from blindsr.system.lines import finite
from blindsr.system.untrusted import one_line

if TYPE_CHECKING:
    from rich.progress import Progress

EXIT_SOME_FAILED = 3
EXIT_USAGE = 2
EXIT_BROKEN_PIPE = 141
"""What a shell makes of a program that SIGPIPE ended."""

_LONGEST = 300  # characters of what a library says

_GRACE = 3.0
"""Seconds that an interrupted command has to end in good order: to write what is being written."""


def print_error(error: BaseException) -> None:
    """The error as one line on stderr."""
    say(Console(stderr=True), f"[bold red]error:[/] {escape(one_line(str(error)))}")


def print_warning(text: str) -> None:
    """Something that is no error, as one line on stderr."""
    say(Console(stderr=True), f"[bold yellow]warning:[/] {escape(one_line(text))}")


def exit_status(command: Callable[[], object]) -> int:
    """Run a command of typer's to its end, whatever that is, and say in one line what went wrong.

    Args:
        command: Gives the status, or raises.

    Returns:
        The exit status: see docs/batches.md.
    """
    try:
        status = command()
        sys.stdout.flush()
    except SystemExit as end:  # rich ends the program where the reader of its output has gone
        status = EXIT_BROKEN_PIPE if isinstance(end.__context__, BrokenPipeError) else end.code
    except BrokenPipeError:
        status = EXIT_BROKEN_PIPE
    except BlindSRError as error:
        print_error(error)
        status = EXIT_USAGE
    except MemoryError:
        print_error(InputError("not enough memory; close other programs, or give it less to do at once"))
        status = EXIT_USAGE
    except Exception as error:
        status = _end_of(error)
    if status == EXIT_BROKEN_PIPE:
        _give_up(sys.stdout)
    return status if isinstance(status, int) else 0


def _end_of(error: Exception) -> int:
    """Say what an error is that none of ours has been made of."""
    kind = type(error).__name__
    if kind == "NoArgsIsHelpError":
        error.show()  # type: ignore[attr-defined]
        return EXIT_USAGE
    if hasattr(error, "format_message"):  # of typer, whichever click it brings
        text = " ".join(error.format_message().split())
        print_error(InputError(f"{text[:_LONGEST]}{'...' * (len(text) > _LONGEST)} (--help tells more)"))
        return EXIT_USAGE
    if kind == "Abort":
        return 128 + signal.SIGINT
    if os.environ.get("BLINDSR_TRACEBACK"):
        traceback.print_exception(error)
    if isinstance(error, OSError) and error.strerror:
        named = f"{error.filename}: " if error.filename is not None else ""
        print_error(InputError(f"{named}{error.strerror}"))
        return EXIT_USAGE
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "blindsr" in Path(frame.filename).parts] or frames
    place = f"{Path(own[-1].filename).name}:{own[-1].lineno}" if own else "an unknown place"
    said = " ".join(str(error).split())[:_LONGEST]
    fault = f"a fault of this program in {place} ({kind}: {said})"
    print_error(
        InputError(f"{fault}; please report it with what BLINDSR_TRACEBACK=1 before the command shows")
    )
    return EXIT_USAGE


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


class Signals:
    """How Ctrl-C, SIGTERM and SIGHUP end a command.

    They end it at once, until there is something to be ended in good order: then the first only asks for
    that, and the second, or a moment later the first, ends it at once. Files being written are removed even
    then. Nothing is raised: an exception at just any point would break what is under way there, or get lost.

    Args:
        last_words: Gives the line to be said at the end.
    """

    def __init__(self, last_words: Callable[[], str]) -> None:
        self.caught = 0
        self._last_words = last_words
        self._stop: threading.Event | None = None
        self._timer: threading.Timer | None = None

    def graceful_stop(self) -> threading.Event:
        """What the first signal sets from now on."""
        self._stop = threading.Event()
        return self._stop

    def on_signal(self, number: int, frame: FrameType | None = None) -> None:
        """The handler of the signals."""
        if self._stop is None or self.caught:
            self._end_at_once(number)
            return
        self.caught = number
        self._stop.set()
        self._timer = threading.Timer(_GRACE, self._end_at_once, [number])
        self._timer.daemon = True
        self._timer.start()

    def close(self) -> None:
        """The command has ended in time."""
        if self._timer is not None:
            self._timer.cancel()

    def _end_at_once(self, number: int) -> None:
        abandon_writes()
        show_cursor = "\033[?25h" if sys.__stderr__ is not None and sys.__stderr__.isatty() else ""
        text = f"{show_cursor}{one_line(self._last_words())}\n"
        try:
            os.write(2, text.encode(errors="replace"))
        finally:
            os._exit(128 + number)


@contextmanager
def ended_by_signals(last_words: Callable[[], str]) -> Iterator[Signals]:
    """Let signals end the block, and the program with their exit status; see `Signals`.

    Args:
        last_words: Gives the line to be said at the end.
    """
    import typer

    signals = Signals(last_words)
    before = {}
    if threading.current_thread() is threading.main_thread():
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)
            # What is ignored stays ignored: so nohup and a shell's background jobs want it.
            if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
                before[number] = signal.signal(number, signals.on_signal)
    try:
        yield signals
    finally:
        signals.close()
        for number, handler in before.items():
            signal.signal(number, handler)
    if signals.caught:
        say(Console(stderr=True), escape(one_line(last_words())))
        raise typer.Exit(128 + signals.caught)


@contextmanager
def ended_by_closed_pipe() -> Iterator[None]:
    """End quietly when whoever reads our output has gone, as other programs of a pipe do."""
    import typer

    try:
        yield
    except BrokenPipeError:
        _give_up(sys.stdout)
        raise typer.Exit(EXIT_BROKEN_PIPE) from None


def open_streams() -> None:
    """Open what a caller has closed of stdin, stdout and stderr, to nowhere.

    Else the first photo or result to be opened would take the place, and get what is meant for a screen.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
    for stream in ("stdout", "stderr"):
        if getattr(sys, stream) is None:
            setattr(sys, stream, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115


def print_line(text: str) -> None:
    """One line on stdout, at once.

    Raises:
        InputError: It cannot be written, as to a full disk; a reader that has gone is a BrokenPipeError.
    """
    try:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        _give_up(sys.stdout)
        raise InputError(f"stdout: cannot be written ({error.strerror}); free some space") from error


def print_object(values: Mapping[str, object]) -> None:
    """One JSON object as a line on stdout, at once: the form of `--json` in every command.

    Raises:
        InputError: As `print_line`.
    """
    print_line(json.dumps(finite(dict(values)), allow_nan=False))


def print_rows(heading: str, rows: Iterable[Any], as_json: bool) -> None:
    """Rows of a table, dataclasses that show themselves on a line each, under their heading or as objects.

    Raises:
        InputError: As `print_line`.
    """
    if as_json:
        for row in rows:
            print_object(asdict(row))
    else:
        print_line("\n".join([heading, *map(str, rows)]))


def _give_up(stream: IO[str]) -> None:
    """Let a stream lead nowhere: Python flushes it once more at the end, and would print_error then."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def progress_bars(shown: bool = True, of_bytes: bool = False) -> Progress:
    """Bars on a terminal, nothing elsewhere.

    Args:
        shown: False leaves them out on a terminal too.
        of_bytes: What is counted are bytes.
    """
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    count = DownloadColumn() if of_bytes else MofNCompleteColumn()
    columns = TextColumn("{task.description}"), BarColumn(), count, TimeRemainingColumn()
    return Progress(
        *columns,
        console=console,
        transient=True,
        disable=not (shown and console.is_terminal),
        redirect_stdout=False,  # what is meant for a pipe must reach it
        speed_estimate_period=300,  # a large photo may take minutes
    )


def say(console: Console, text: str) -> None:
    """One line as it is: a long name stays whole.

    What cannot be told, as to a log on a full disk, is not told: that must not end what is told of.
    """
    try:
        console.print(text, soft_wrap=True, highlight=False, emoji=False)
    except BrokenPipeError:
        raise
    except OSError:
        _give_up(console.file)


def escape(text: str) -> str:
    """A text that may hold anything, fit for a terminal."""
    from rich.markup import escape

    return escape(text.encode(errors="replace").decode())


def name(path: Path) -> str:
    """A file's name, fit for a line on a terminal."""
    return escape(one_line(str(path)))


def named_path(text: str) -> Path:
    """A path from the command line.

    Raises:
        InputError: It is empty, as a variable of a shell is that was never set; to `Path` that would be the
            current folder, and with it all photos below.
    """
    if not text:
        raise InputError("an empty name was given; name a file or a folder (. is the current one)")
    return Path(text)


def named_place(text: str) -> Path | str:
    """A path from the command line, or a URL as it was written, of which a path would lose a slash.

    Raises:
        InputError: As `named_path`.
    """
    return text if "://" in text else named_path(text)


def as_unicode(text: str) -> str:
    """The text for JSON: U+FFFD for each lone surrogate, which stands for an undecodable byte."""
    return re.sub("[\ud800-\udfff]", "\ufffd", text)


def report_entry(told: Mapping[str, Any]) -> dict[str, Any]:
    """What `Report.as_dict` gives, for a JSON object."""
    return {
        key: [as_unicode(text) for text in value] if isinstance(value, list) else value
        for key, value in told.items()
    }


def file_entry(role: str, path: Path | str) -> dict[str, str]:
    """A file's name in a JSON object; of one that is no Unicode the bytes are told besides."""
    entry = {role: as_unicode(str(path))}
    if entry[role] != str(path):
        entry[f"{role}_hex"] = os.fsencode(path).hex()
    return entry
