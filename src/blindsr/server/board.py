"""Who listens to which job, and how far the photo in hand is. Threads post; the event loop listens."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """How far a photo is.

    Args:
        n: Its number in the job.
        done: Tiles that are restored.
        total: Tiles in all.
    """

    n: int
    done: int
    total: int


class Listener:
    """One who listens to a job, in an event loop."""

    def __init__(self, progress: list[Progress]) -> None:
        self._loop = asyncio.get_running_loop()
        self._called = asyncio.Event()
        self._mutex = threading.Lock()
        self._heard = {one.n: one for one in progress}

    def call(self, progress: Progress | None = None) -> None:
        """Tell that something has changed; from any thread."""
        if progress is not None:
            with self._mutex:
                self._heard[progress.n] = progress
        with suppress(RuntimeError):  # the loop has ended, and with it who listened
            self._loop.call_soon_threadsafe(self._called.set)

    def heard(self) -> list[Progress]:
        """How far photos have come since this was last asked: of each the last that was told."""
        with self._mutex:
            heard = [one for _, one in sorted(self._heard.items())]
            self._heard.clear()
        return heard

    async def wait(self, seconds: float) -> bool:
        """Whether something has changed before so many seconds were over; told once."""
        try:
            await asyncio.wait_for(self._called.wait(), seconds)
        except (asyncio.TimeoutError, TimeoutError):
            return False
        self._called.clear()
        return True


class Board:
    """Where changes of jobs are posted. Any number of threads may share one."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._listeners: dict[str, set[Listener]] = {}
        self._progress: dict[str, dict[int, Progress]] = {}

    @contextmanager
    def listen(self, job: str) -> Iterator[Listener]:
        """Listen to a job within the block."""
        with self._mutex:
            listener = Listener(list(self._progress.get(job, {}).values()))
            self._listeners.setdefault(job, set()).add(listener)
        try:
            yield listener
        finally:
            with self._mutex:
                self._listeners[job].discard(listener)
                if not self._listeners[job]:
                    del self._listeners[job]

    @property
    def listening(self) -> int:
        """How many listen."""
        with self._mutex:
            return sum(map(len, self._listeners.values()))

    def post(self, job: str, progress: Progress | None = None) -> None:
        """Tell that a job has changed, or how far a photo of it is."""
        with self._mutex:
            if progress is not None:
                self._progress.setdefault(job, {})[progress.n] = progress
            called = list(self._listeners.get(job, ()))
        for listener in called:
            listener.call(progress)

    def post_all(self) -> None:
        """Tell that the queue has moved on."""
        with self._mutex:
            called = [listener for listeners in self._listeners.values() for listener in listeners]
        for listener in called:
            listener.call()

    def forget(self, job: str, n: int) -> None:
        """A photo is no longer in hand."""
        with self._mutex:
            photos = self._progress.get(job, {})
            photos.pop(n, None)
            if not photos:
                self._progress.pop(job, None)
