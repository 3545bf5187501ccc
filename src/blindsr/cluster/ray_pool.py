"""Workers as actors of a Ray cluster: as many as each machine has cores and memory for, more as it grows."""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from blindsr.cluster.handing_out import Came, Job, LostError
from blindsr.cluster.process import ProcessLostError
from blindsr.cluster.worker import Worker
from blindsr.errors import BlindSRError, InputError, MissingExtraError
from blindsr.system.memory import Memory, show_bytes
from blindsr.system.untrusted import brief

__all__ = ["RayPool", "connected"]

log = logging.getLogger(__name__)

AHEAD = 2
"""Workers that are asked for although there is no room yet: an autoscaler adds machines for them."""

UNFIT = 3
"""Machines that could not work, after which none is taken for fit where none has been yet."""

LOST = 10
"""Workers that were lost while they started, after which the same holds."""

PATIENCE = 60.0
"""Seconds without any worker after which it is said what is waited for."""

_ANSWER = 10.0  # seconds that a cluster's address has to answer
_FAREWELL = 5.0  # seconds that workers have to remove what they pulled


Kind = Callable[..., Any]
"""A class of workers."""


class _Actor:
    """A worker in a process of Ray's."""

    def __init__(self, kind: Kind, arguments: Mapping[str, Any]) -> None:
        import ray

        node = ray.get_runtime_context().get_node_id()
        self._worker = kind(**arguments, node=f"{socket.gethostname()}-{node[:6]}")

    def run(self, method: str, *arguments: Any) -> tuple[Any, str, str]:  # noqa: ANN401
        """What a method of the worker gives; of an error, its text; and how its process was lost."""
        try:
            return getattr(self._worker, method)(*arguments), "", ""
        except ProcessLostError as lost:
            return None, "", str(lost)
        except BlindSRError as error:
            return None, str(error), ""


class RayPool:
    """Workers on a Ray cluster, which `connected` has joined.

    Args:
        arguments: Of the workers, but for their `node`; `order` is among them, whose `threads` and `memory`
            tell what a worker takes.
        kind: The workers' class. It has methods `start`, `close` and what jobs name.
        listening: Whether workers can be asked something while they are at a job.
    """

    def __init__(self, arguments: Mapping[str, Any], kind: Kind = Worker, listening: bool = False) -> None:
        import ray

        self._ray, order = ray, arguments["order"]
        self._kind, self._listening = kind, listening
        # By value to each: an object of Ray's would be lost with the machine that holds it.
        self._arguments = dict(arguments)
        self._actors = ray.remote(_Actor).options(
            num_cpus=order.threads or 1,
            memory=Memory.parse(order.memory).total,
            max_restarts=0,
            max_task_retries=0,
            max_concurrency=2 if listening else 1,
            scheduling_strategy="SPREAD",
        )
        self._starting: dict[Any, Any] = {}
        """What tells that an actor is ready -> the actor."""
        self._idle: list[Any] = []
        self._busy: dict[Any, tuple[Any, Job]] = {}
        """What a job will give -> who does it, and the job."""
        self._asked: dict[Job, dict[str, Any]] = {}
        """What workers that are at a job will answer, by what they were asked."""
        self._unfit = self._lost = 0
        """Workers that could not work, and that were lost while they started."""
        self._was_fit = self._said_waiting = False
        self._since = time.monotonic()
        """When there was last a worker, or a wish for one."""
        self._needs = (
            f"{order.threads or 1} cores and {show_bytes(Memory.parse(order.memory).total)} of memory"
        )

    def grow(self, wanted: int) -> None:
        working = len(self._idle) + len(self._busy)
        while len(self._starting) < AHEAD and working + len(self._starting) < wanted:
            actor = self._actors.remote(self._kind, self._arguments)
            self._starting[actor.run.remote("start")] = actor

    @property
    def idle(self) -> int:
        return len(self._idle)

    def give(self, job: Job) -> None:
        actor = self._idle.pop()
        self._busy[actor.run.remote(job.method, *job.arguments)] = actor, job

    def ask(self, job: Job, method: str, *arguments: Any) -> Any:  # noqa: ANN401
        """See `ListeningPool`; a worker has one question of a kind at a time."""
        actor = next((actor for actor, one in self._busy.values() if one is job), None)
        if actor is None:
            return None
        answer, asked = None, self._asked.setdefault(job, {})
        if method in asked:
            if not self._ray.wait([asked[method]], timeout=0)[0]:
                return None
            answer = self._got(asked[method])[0]
        asked[method] = actor.run.remote(method, *arguments)
        return answer

    def wait(self, seconds: float) -> list[Came]:
        waiting = [*self._busy, *self._starting]
        if not waiting:
            return []
        self._warn_of_waiting()
        ready, _ = self._ray.wait(waiting, num_returns=1, timeout=seconds or 0.05)
        if ready:
            ready, _ = self._ray.wait(waiting, num_returns=len(waiting), timeout=0)
        came = []
        for reference in ready:
            if reference in self._starting:
                self._welcome(reference, self._starting.pop(reference))
            else:
                came.append(self._collect(reference, *self._busy.pop(reference)))
        return came

    def close(self) -> None:
        actors = [*self._idle, *(actor for actor, _ in self._busy.values())]
        with suppress(Exception):  # those that are busy do not listen, and the cluster may be gone
            self._ray.wait(
                [actor.run.remote("close") for actor in self._idle],
                num_returns=len(self._idle),
                timeout=_FAREWELL,
            )
        for actor in (*actors, *self._starting.values()):
            with suppress(Exception):
                self._ray.kill(actor)

    def _warn_of_waiting(self) -> None:
        """Say what is waited for, where no machine has room for a worker: Ray itself waits without a word."""
        if self._idle or self._busy:
            self._since = time.monotonic()
        elif not self._said_waiting and time.monotonic() - self._since > PATIENCE:
            log.warning("no worker yet: waiting for a machine of the cluster with %s free", self._needs)
            self._said_waiting = True

    def _welcome(self, reference: Any, actor: Any) -> None:  # noqa: ANN401
        """An actor has loaded its model, or cannot."""
        _, error, lost = self._got(reference)
        if not error and not lost:
            self._idle.append(actor)
            self._was_fit = True
            return
        with suppress(Exception):
            self._ray.kill(actor)
        if error:
            log.warning("%s", error)
            self._unfit += 1
        else:
            self._lost += 1
        if not self._was_fit and (self._unfit >= UNFIT or self._lost >= LOST):
            raise InputError(f"no machine of the cluster can work: {error or lost}")

    def _collect(self, reference: Any, actor: Any, job: Job) -> Came:  # noqa: ANN401
        self._asked.pop(job, None)
        result, error, lost = self._got(reference)
        if not error and not lost:
            self._idle.append(actor)
            return Came(job, result)
        with suppress(Exception):
            self._ray.kill(actor)
        return Came(job, error=LostError(lost) if lost else InputError(error))

    def _got(self, reference: Any) -> tuple[Any, str, str]:  # noqa: ANN401
        """A result, the error of its worker, and why its worker was lost; the last two empty where not."""
        try:
            found: tuple[Any, str, str] = self._ray.get(reference)
        except self._ray.exceptions.RayTaskError as failed:
            return None, f"a fault of this program in a worker ({brief(failed.cause)}); please report it", ""
        except self._ray.exceptions.RayError as lost:
            return None, "", brief(lost)
        return found


@contextmanager
def connected(address: str) -> Iterator[None]:
    """Join a Ray cluster for as long as a block runs.

    Args:
        address: "auto" for the cluster that this machine belongs to, or one of this machine alone where there
            is none; "ray://host:10001" or "host:6379" for another.

    Raises:
        InputError: It does not answer.
        MissingExtraError: Ray is not installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ModuleNotFoundError as error:
        raise MissingExtraError("--cluster", "cluster", "ray") from error
    _check_listening(address)
    quiet: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    try:
        ray.init(address=address, **quiet)
    except Exception as error:  # of Ray, of gRPC
        if address != "auto" or not isinstance(error, ConnectionError):
            raise _no_answer(address, error) from error
        log.warning("no Ray cluster here; this machine works alone")
        try:
            ray.init(include_dashboard=False, **quiet)
        except Exception as failed:
            raise InputError(
                f"--cluster auto: Ray could not be started on this machine ({brief(failed)}); try again, or"
                ' see "ray start --head"'
            ) from failed
    try:
        yield
    finally:
        ray.shutdown()


def _check_listening(address: str) -> None:
    """Refuse an address where nobody listens: Ray would try for minutes, and then end this process."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon:
        return
    try:
        with socket.create_connection((host.strip("[]"), int(port)), _ANSWER):
            pass
    except (OSError, ValueError, OverflowError) as error:
        raise _no_answer(address, error) from error


def _no_answer(address: str, error: Exception) -> InputError:
    return InputError(
        f"--cluster {address}: no Ray cluster answers there ({brief(error)}); give auto, ray://HOST:10001 or"
        " HOST:6379"
    )
