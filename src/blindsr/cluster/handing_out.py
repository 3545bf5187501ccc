"""Jobs handed out to workers on any number of machines, and again where a worker was lost."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from blindsr.cluster.process import ProcessLostError
from blindsr.errors import BlindSRError, InputError

__all__ = ["Came", "Job", "ListeningPool", "LostError", "Pool", "Start", "hand_out"]

log = logging.getLogger(__name__)

ERRORS = 3
"""Times that a job may fail for another reason than a lost worker before all is given up."""


class LostError(Exception):
    """A worker was lost: its process, or its machine."""


@dataclass(eq=False)
class Job:
    """Something for a worker to do.

    Args:
        method: Of the worker.
        arguments: Of the method.
        losses: Workers that it has lost since something of it was last finished.
        errors: Times that it failed otherwise.
        finished: Photos of it that are finished, as far as anybody has looked.
    """

    method: str
    arguments: tuple[Any, ...]
    losses: int = 0
    errors: int = 0
    finished: int = 0


@dataclass(frozen=True)
class Came:
    """What came of a job: a result or an error."""

    job: Job
    result: Any = None
    error: Exception | None = None


class Pool(Protocol):
    """Workers on any number of machines."""

    def grow(self, wanted: int) -> None:
        """Have so many workers, as far as there is room for them; called again and again.

        Raises:
            InputError: No machine can work.
        """

    @property
    def idle(self) -> int:
        """How many workers have nothing to do."""

    def give(self, job: Job) -> None:
        """Let an idle worker do a job."""

    def wait(self, seconds: float) -> list[Came]:
        """What came of jobs, as soon as there is something, or nothing after so long.

        An error is `LostError` where the worker was lost; else what it raised. Either way that worker is
        gone, and another may take its place.
        """

    def close(self) -> None:
        """End all workers."""


class ListeningPool(Pool, Protocol):
    """Workers that can be asked something while they are at a job."""

    def ask(self, job: Job, method: str, *arguments: Any) -> Any:  # noqa: ANN401
        """Ask the worker that is at a job; gives what it answered the last time, None for nothing."""


Start = Callable[[Mapping[str, Any]], Pool]
"""Starts a pool of workers, from the arguments of each."""


def hand_out(
    jobs: Iterator[Job | None],
    pool: Pool,
    most: int | None,
    ending: Callable[[], bool],
    after_loss: Callable[[Job], list[Job]],
) -> Iterator[Came]:
    """Hand out jobs, and again those whose worker was lost; gives what came of each that ended.

    Args:
        jobs: One after the other; None where there is none yet.
        pool: The workers.
        most: Of them; None for as many as there is room for.
        ending: Whether to hand out no more, asked again and again.
        after_loss: Gives what is to be handed out instead of a job whose worker was lost.

    Raises:
        InputError: No machine can work, or a job failed again and again.
    """
    waiting: deque[Job] = deque()
    under_way = 0
    more = True
    while (more or waiting or under_way) and not ending():
        if more and not waiting:  # one ahead: a worker is started only when there is something to do
            try:
                job = next(jobs)
            except StopIteration:
                more = False
            else:
                waiting += [] if job is None else [job]
        wanted = under_way + len(waiting) + (more and bool(waiting))
        pool.grow(wanted if most is None else min(wanted, most))
        if waiting and pool.idle:
            pool.give(waiting.popleft())
            under_way += 1
            continue
        for came in pool.wait(0.5 if waiting or not more else 0.0):
            under_way -= 1
            if came.error is None:
                yield came
            else:
                waiting += _after_error(came.job, came.error, after_loss)


def _after_error(job: Job, error: Exception, after_loss: Callable[[Job], list[Job]]) -> list[Job]:
    """What is to be done about a job that came to nothing."""
    if isinstance(error, (LostError, ProcessLostError)):
        job.losses += 1
        return after_loss(job)
    job.errors += 1
    log.warning("%s", error)
    if job.errors >= ERRORS:
        raise error if isinstance(error, BlindSRError) else InputError(f"a worker failed: {error}")
    return [job]
