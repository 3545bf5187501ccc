"""A pool of workers in this process: all that a cluster does but for its machines."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping
from typing import Any

from blindsr.cluster.handing_out import Came, Job, LostError
from blindsr.cluster.worker import Worker


class LocalPool:
    """Workers in threads.

    Args:
        arguments: Of the workers.
        kind: Their class.
        listening: As of `RayPool`; these can always be asked.
        most: Workers at most.
        lose: Tells of each job whether its worker is lost with it, instead of doing it.
    """

    def __init__(
        self,
        arguments: Mapping[str, Any],
        kind: Callable[..., Any] = Worker,
        listening: bool = False,
        *,
        most: int = 1,
        lose: Callable[[Job], bool] = lambda job: False,
    ) -> None:
        self._arguments, self._kind, self._most, self._lose = arguments, kind, most, lose
        self._idle: list[Any] = []
        self._busy: list[Any] = []
        self._at: dict[Job, Any] = {}
        self._came: queue.SimpleQueue[tuple[Any, Came]] = queue.SimpleQueue()
        self.jobs: list[tuple[str, tuple[Any, ...]]] = []

    def grow(self, wanted: int) -> None:
        while len(self._idle) + len(self._busy) < min(wanted, self._most):
            worker = self._kind(**self._arguments, node=f"node-{len(self._idle) + len(self._busy)}")
            worker.start()
            self._idle.append(worker)

    @property
    def idle(self) -> int:
        return len(self._idle)

    def give(self, job: Job) -> None:
        worker = self._idle.pop()
        self._busy.append(worker)
        self._at[job] = worker
        self.jobs.append((job.method, job.arguments))

        def run() -> None:
            try:
                if self._lose(job):
                    raise LostError
                self._came.put((worker, Came(job, getattr(worker, job.method)(*job.arguments))))
            except Exception as error:
                self._came.put((worker, Came(job, error=error)))

        threading.Thread(target=run, daemon=True).start()

    def ask(self, job: Job, method: str, *arguments: Any) -> Any:
        """See `ListeningPool`."""
        worker = self._at.get(job)
        return None if worker is None else getattr(worker, method)(*arguments)

    def wait(self, seconds: float) -> list[Came]:
        try:
            worker, came = self._came.get(timeout=max(seconds, 0.01))
        except queue.Empty:
            return []
        self._busy.remove(worker)
        self._at.pop(came.job)
        if came.error is None or type(came.error) is LostError:  # a new one would take seconds to start
            self._idle.append(worker)
        else:
            worker.close()
        return [came]

    def close(self) -> None:
        for worker in (*self._idle, *self._busy):
            worker.close()
