"""Threads that take photo after photo from the store to its result.

As in a batch, one photo is read while another is restored and a third is written, and never more: that is
what the bound on memory is shared out for. A thread goes the whole way with its photo, through three doors
that one at a time passes, and opens the next door before it closes the one behind it.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from blindsr.errors import BlindSRError
from blindsr.server.admission import for_clients
from blindsr.server.board import Board, Progress
from blindsr.server.fields import output_size
from blindsr.server.metrics import Metrics
from blindsr.server.shelf import Shelf
from blindsr.server.store import Store, Work
from blindsr.system.files import sha256
from blindsr.system.untrusted import brief

if TYPE_CHECKING:
    from blindsr.upscaling.masking import TextureMask
    from blindsr.upscaling.upscaler import Upscaler

log = logging.getLogger(__name__)

_TIDY_EVERY = 15.0
"""Seconds between two looks at what has expired."""

_STEP_BACK = 10
"""Nice value of the threads that restore."""

_AGAIN = 1.0
"""Seconds until something is tried again that should not have failed."""


class LeftError(Exception):
    """A photo is left before its end: its job was cancelled, or the server ends."""


class Workers:
    """The threads of a server.

    Args:
        store: Where the photos come from.
        shelf: The models.
        board: Where changes are posted.
        metrics: What is counted.
        keep: Seconds that an ended job is kept.
        idle: Seconds after which a model that nobody uses leaves the memory.
    """

    def __init__(
        self, store: Store, shelf: Shelf, board: Board, metrics: Metrics, keep: float, idle: float
    ) -> None:
        self._store, self._shelf, self._board, self._metrics = store, shelf, board, metrics
        self._keep, self._idle = keep, idle
        self._reading, self._restoring, self._writing = (threading.Lock() for _ in range(3))
        self._more = threading.Condition()
        self._ended = False
        self._threads = [
            *(threading.Thread(target=self._work, name=f"worker {n}", daemon=True) for n in range(3)),
            threading.Thread(target=self._tidy, name="tidy", daemon=True),
        ]

    @property
    def alive(self) -> bool:
        """Whether all threads run."""
        return all(thread.is_alive() for thread in self._threads)

    @property
    def count(self) -> int:
        """How many photos can be restored at once."""
        return int(self.alive)

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def wake(self) -> None:
        """There is more to do."""
        with self._more:
            self._more.notify_all()

    def stop(self, seconds: float) -> None:
        """End all threads: what is in hand is left at its next tile, and waits in the store."""
        with self._more:
            self._ended = True
            self._more.notify_all()
        end = time.monotonic() + seconds
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(max(0.0, end - time.monotonic()))

    def _work(self) -> None:
        step_back()
        while not self._ended:
            try:
                with _Way() as way:
                    way.enter(self._reading)
                    work = self._next()
                    if work is not None:
                        self._do(work, way)
            except Exception as error:  # the disk is full, or gone: other photos may fare better
                log.error("the jobs cannot be kept: %s", brief(error))
                time.sleep(_AGAIN)

    def _next(self) -> Work | None:
        """The next photo, as soon as there is one; None at the end."""
        with self._more:
            while not self._ended:
                work = self._store.next_work()
                if work is not None:
                    return work
                self._more.wait()
        return None

    def _do(self, work: Work, way: _Way) -> None:
        """One photo, to whatever end."""
        start = time.perf_counter()
        job = work.job.id
        self._board.post_all()  # everybody behind it has come one place nearer
        size = digest = error = told = None
        try:
            if work.job.kind == "profile":
                told = self._read_camera(work)
            else:
                size, digest = self._restore(work, way)
        except LeftError:
            self._give_back(work)
            return
        except Exception as failure:
            error = self._told(failure, work)
            log.debug("%s/%d failed", job, work.photo.n, exc_info=failure)
        self._finish(work, time.perf_counter() - start, error, size, digest, told)

    def _finish(
        self,
        work: Work,
        seconds: float,
        error: str | None = None,
        size: int | None = None,
        digest: str | None = None,
        told: Mapping[str, Any] | None = None,
    ) -> None:
        """A photo has ended; arguments as of `Store.finish`."""
        self._store.finish(work, error, size, digest, seconds, told)
        self._end(work)
        self._metrics.photo_ended("done" if error is None else "failed", work.photo.pixels, seconds)
        self._board.post(work.job.id)

    def _give_back(self, work: Work) -> None:
        """A photo is left before its end, and waits again."""
        self._end(work)
        self._store.give_back(work)
        self._board.post(work.job.id)

    def _end(self, work: Work) -> None:
        self._board.forget(work.job.id, work.photo.n)

    def _restore(self, work: Work, way: _Way) -> tuple[int, str]:
        """From file to file; gives the result's size and digest."""
        from blindsr.batch.run import photo_stages
        from blindsr.batch.stages import Task

        job, options = work.job, work.job.options
        task = Task(self._store.photo_file(job.id, work.photo.n), self._store.result_file(job.id, work.photo))
        with self._shelf.upscaler(options["model"], options.get("texture")) as upscaler:
            adaptation = self._profile(work, upscaler)
            mask = self._mask(job.id) if options.get("mask") else None
            size, quality = output_size(options), options.get("quality")
            stages = photo_stages(upscaler, adaptation, size, quality, mask=mask)
            self._check(job.id)
            self._store.begin(work)
            with _naming(task, "decode"):
                photo = stages.decode(task)
            way.enter(self._restoring)
            with closing(photo), _naming(task, "restore"):
                result = stages.restore(photo, task, partial(self._tell, work))
            with closing(result), _naming(task, "encode"):
                way.enter(self._writing)
                self._check(job.id)
                # What is told of a result is kept before the result has its name, so that one that is found
                # after a sudden end is whole, and all is known of it.
                sides = {"width": result.width, "height": result.height}
                self._store.note(work, {**sides, **result.report.texts()})
                stages.encode(result, task)
        self._store.drop_photo(work)
        return task.target.stat().st_size, sha256(task.target)

    def _profile(self, work: Work, upscaler: Upscaler) -> Any:  # noqa: ANN401  (an adaptation, or None)
        """What a job's profile says; the one that was there when the job was given."""
        if work.job.options.get("profile") is None:
            return None
        from blindsr.upscaling.profile import read_profile

        return read_profile(self._store.profile_file(work.job.id), upscaler.model)

    def _mask(self, job: str) -> TextureMask:
        """The mask that came with a job."""
        from blindsr.upscaling.masking import TextureMask

        return TextureMask.read(self._store.mask_file(job))

    def _read_camera(self, work: Work) -> dict[str, Any]:
        """One profile from all photos of a job; gives what is told of it."""
        from blindsr.upscaling.profile import read_camera, write_profile

        job = work.job
        names: list[str] = list(job.options["photos"])
        files = {self._store.photo_file(job.id, n): name for n, name in enumerate(names)}
        with self._shelf.upscaler(job.options["model"]) as upscaler:
            self._store.begin(work)
            found = read_camera(upscaler, list(files), on_photo=partial(self._tell, work))
            write_profile(found.adaptation, upscaler.model, self._store.profile_file(job.id))
        for file in files:
            file.unlink(missing_ok=True)
        return {
            "read": [files[photo] for photo in found.photos],
            "distance": round(float(found.distances.mean()), 6),
            "errors": [
                _renamed(str(fault), {str(file): name for file, name in files.items()})
                for fault in found.faults
            ],
        }

    def _tell(self, work: Work, done: int, total: int) -> None:
        """A tile is restored."""
        self._board.post(work.job.id, Progress(work.photo.n, done, total))
        self._check(work.job.id)

    def _check(self, job: str) -> None:
        if self._ended or not self._store.is_wanted(job):
            raise LeftError

    def _told(self, failure: Exception, work: Work) -> str:
        """Why a photo failed, on one line, with its name instead of a place on this machine."""
        job, photo = work.job, work.photo
        text = (
            str(failure) if isinstance(failure, BlindSRError) else f"a fault of the server ({brief(failure)})"
        )
        if not isinstance(failure, BlindSRError):
            log.error("%s/%d: %s", job.id, photo.n, brief(failure), exc_info=failure)
        photos = job.options["photos"] if job.kind == "profile" else [one.name for one in job.photos]
        names = {str(self._store.photo_file(job.id, n)): name for n, name in enumerate(photos)}
        names[str(self._store.mask_file(job.id))] = "mask"
        if photo.result:
            names[str(self._store.result_file(job.id, photo))] = photo.result
        return _renamed(text, {**names, str(self._store.folder): "the server's folder"})

    def _tidy(self) -> None:
        """What nobody uses leaves, again and again."""
        while not self._ended:
            with self._more:
                self._more.wait(_TIDY_EVERY)
            try:
                self._shelf.tidy(self._idle)
                self._store.expire(time.time() - self._keep)
            except Exception as error:  # it is tried again
                log.error("tidying failed: %s", brief(error))


def step_back() -> None:
    """Leave the cores to other threads, from this one and those that it starts: answers come first.

    Only Linux knows of threads with a nice value of their own; elsewhere nothing happens.
    """
    if sys.platform == "linux":
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _STEP_BACK)


class _Way:
    """Doors on a way: the next one is opened before the one behind is closed."""

    def __init__(self) -> None:
        self._held: threading.Lock | None = None

    def __enter__(self) -> _Way:
        return self

    def __exit__(self, *error: object) -> None:
        self._release()

    def enter(self, door: threading.Lock) -> None:
        """Wait for a door."""
        door.acquire()
        self._release()
        self._held = door

    def _release(self) -> None:
        if self._held is not None:
            self._held.release()
            self._held = None


@contextmanager
def _naming(task: Any, stage: str) -> Iterator[None]:  # noqa: ANN401
    """Whatever goes wrong in a stage is one line."""
    from blindsr.batch.stages import explained

    try:
        yield
    except LeftError:
        raise
    except Exception as error:
        raise explained(error, task, stage) from None


def _renamed(text: str, names: dict[str, str]) -> str:
    """A line that names photos as their owners do."""
    for place, name in names.items():
        text = text.replace(place, name)
    return " ".join(for_clients(text).split())[:500]
