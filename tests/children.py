"""Processes that tests start: they import this checkout, can be told to stop, and come to an end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

LONGEST = 300.0
"""Seconds that a child may run: none takes a tenth of it, and a busy machine must not fail a test."""

BLINDSR = (sys.executable, "-m", "blindsr")


@contextmanager
def started(
    *command: str | Path, seconds: float = LONGEST, env: dict[str, str] | None = None, **options: Any
) -> Iterator[subprocess.Popen[Any]]:
    """Start a program; whatever still runs at the end of the block, or after so many seconds, is killed.

    Its signals are as `tests/conftest.py` has them for the test: none is ignored.

    Args:
        command: The program and its arguments.
        seconds: How long it may run; after that the test fails.
        env: Variables of its environment, beside those of this process.
        options: Of `subprocess.Popen`; without any, what it writes comes as bytes.
    """
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    environment = {**os.environ, **(env or {})}
    # A session of its own: with the program end those that it started itself, which hold its pipes open.
    own = os.name == "posix"
    with subprocess.Popen([*map(str, command)], env=environment, start_new_session=own, **options) as process:
        late = threading.Event()

        def end() -> None:
            if own:
                try:
                    os.killpg(process.pid, signal.SIGKILL)
                except ProcessLookupError:  # all of them have ended
                    return
            else:
                process.kill()

        def end_late() -> None:
            late.set()
            end()

        timer = threading.Timer(seconds, end_late)
        timer.start()
        try:
            yield process
        finally:
            timer.cancel()
            timer.join()
            end()
    if late.is_set():
        pytest.fail(f"still running after {seconds:g} s: {subprocess.list2cmdline(process.args)}")


def finished(*command: str | Path, **options: Any) -> subprocess.CompletedProcess[Any]:
    """Run a program to its end; what it wrote is in the result, as text unless told otherwise.

    Args:
        command: The program and its arguments.
        options: As of `started`.
    """
    with started(*command, **{"text": True, **options}) as process:
        out, error = process.communicate()
    return subprocess.CompletedProcess(process.args, process.returncode, out, error)
