"""The worker's side of the process that makes results: how it is started, told, watched and ended."""

from __future__ import annotations

import json
import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from blindsr.cluster.order import Order
from blindsr.errors import InputError

__all__ = ["Process", "ProcessLostError"]

STARTING = 300.0
"""Seconds in which it must be ready, with its model."""


class ProcessLostError(InputError):
    """The process was ended from outside while it started: another attempt may succeed."""


class Process:
    """The process that makes results.

    Args:
        order: Its order.
        events: Gets ("told", this, message) for what it says, and ("gone", this, None) at its end.

    Raises:
        InputError: It cannot work.
        ProcessLostError: It ended while it started, or was not ready in time.
    """

    def __init__(self, order: Order, events: queue.SimpleQueue[Any]) -> None:
        command = [sys.executable, "-m", "blindsr.cluster.workshop"]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=_environment(), start_new_session=True
        )
        assert self._process.stdin is not None and self._process.stdout is not None
        self._stdin, self._stdout = self._process.stdin, self._process.stdout
        watch = threading.Timer(STARTING, self._process.kill)
        watch.daemon = True
        watch.start()
        try:
            with suppress(BrokenPipeError):
                pickle.dump(order, self._stdin)
                self._stdin.flush()
            first = json.loads(self._stdout.readline() or b"{}")
        except ValueError:
            first = {}
        finally:
            watch.cancel()
        if "ready" not in first:
            self.kill()
            end = _end_of(self._process.returncode)
            if "unfit" in first:
                raise InputError(first["unfit"])
            raise ProcessLostError(f"the process that makes results ended while it started ({end})")
        self.identity: dict[str, Any] = first["ready"]
        threading.Thread(target=self._listen, args=(events,), daemon=True).start()

    def tell(self, job: dict[str, Any]) -> None:
        """Give it something to do. Of one that has ended the end is an event."""
        with suppress(OSError, ValueError):
            self._stdin.write(json.dumps(job).encode() + b"\n")
            self._stdin.flush()

    @property
    def memory(self) -> int:
        """Bytes that it has; 0 where the system does not tell."""
        try:
            status = Path(f"/proc/{self._process.pid}/statm").read_text(encoding="ascii").split()
            return int(status[1]) * os.sysconf("SC_PAGE_SIZE")
        except (OSError, ValueError, IndexError):
            return 0

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()
        self._process.wait()
        with suppress(OSError):
            self._stdin.close()

    @property
    def end(self) -> str:
        """How it ended."""
        return _end_of(self._process.wait())

    def _listen(self, events: queue.SimpleQueue[Any]) -> None:
        for line in self._stdout:
            try:
                events.put(("told", self, json.loads(line)))
            except ValueError:  # it was ended in the middle of a line
                break
        events.put(("gone", self, None))


def _end_of(status: int) -> str:
    """How a process ended."""
    with suppress(ValueError):
        return signal.Signals(-status).name
    return f"exit status {status}"


def _environment() -> dict[str, str]:
    """Of a process that imports what this one does."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
