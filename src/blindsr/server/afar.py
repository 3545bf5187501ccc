"""Photos of a server restored on the machines of a cluster, which get them one by one.

A worker is a server without doors: it has a store, a shelf of models and the threads between them in a folder
of its own. So a photo takes the same way there as on the server's machine, by the same code. Photos and
results travel as bytes through Ray's object store, in one piece each: machines need nothing in common.
"""

from __future__ import annotations

import hashlib
import logging
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from blindsr.cluster.handing_out import Came, Job, ListeningPool, LostError
from blindsr.cluster.order import differing
from blindsr.cluster.process import ProcessLostError
from blindsr.engine.identity import package_version
from blindsr.engine.instructions import instruction_set
from blindsr.errors import InputError
from blindsr.server.board import Board, Progress
from blindsr.server.metrics import Metrics
from blindsr.server.settings import SERVER_MEMORY, Settings
from blindsr.server.shelf import Shelf, keep_memory_together
from blindsr.server.store import ENDED, MOST_ATTEMPTS, JobRecord, Kind, PhotoRecord, Store, Work
from blindsr.server.workers import Workers
from blindsr.system.files import atomic_path, remove_leftovers, sha256, temporary_folder
from blindsr.system.memory import Memory
from blindsr.system.untrusted import brief
from blindsr.version import __version__

__all__ = ["Afar", "Hand", "Serving"]

log = logging.getLogger(__name__)

PAUSE = 10.0
"""Seconds until workers are asked for again, where no machine could work."""

_TICK = 0.1  # seconds between two looks at what waits, and at how far photos are
_FOR_EVER = 1e12  # seconds


@dataclass(frozen=True, kw_only=True)
class Serving:
    """What workers are told of the server; fit to travel.

    Args:
        models: Names of the models.
        max_pixels: As of `Settings`, like the others.
        threads: Of a worker.
        memory: Of a worker, bytes, as a text.
        idle: As there.
    """

    models: tuple[str, ...]
    max_pixels: int
    threads: int
    memory: str
    idle: float


def identity_of(shelf: Shelf) -> dict[str, Any]:
    """What the bytes of results depend on; no model is loaded for it."""
    libraries = ("openvino", "numpy", "pillow", "pillow-heif", "pyvips", "pyvips-binary")
    return {
        "blindsr": __version__,
        "libraries": {library: package_version(library) for library in libraries},
        "processor": instruction_set().name,
        "models": {
            name: None if model.card is None else sha256(model.card) for name, model in shelf.cards.items()
        },
    }


@dataclass(frozen=True)
class Parcel:
    """A photo on its way to a worker (or the photos of a profile).

    Args:
        name: What no other photo in hand is called.
        kind: Of the job.
        options: Of the job.
        photo: The photo.
        files: Contents by the names that they have in a job's folder.
    """

    name: str
    kind: Kind
    options: Mapping[str, Any]
    photo: PhotoRecord
    files: Mapping[str, bytes]


@dataclass(frozen=True)
class Returned:
    """What a worker gives back.

    Args:
        content: Of the result; empty where there is none.
        told: What is told of the result, or what a profile was read from.
        error: Why there is none; None where there is one.
        left: Whether it was left before its end.
    """

    content: bytes = field(default=b"", repr=False)
    told: Mapping[str, Any] = field(default_factory=dict)
    error: str | None = None
    left: bool = False


class _Ear(Board):
    """Hears what is posted of the one job in hand."""

    def __init__(self) -> None:
        super().__init__()
        self.changed = threading.Event()
        self.progress: Progress | None = None

    def post(self, job: str, progress: Progress | None = None) -> None:
        self.progress = progress or self.progress
        self.changed.set()


class Hand:
    """A worker of a server on another machine: it restores one photo at a time.

    Args:
        order: What the server was told.
        identity: What results' bytes must depend on, as on the server's machine.
        node: Name of the machine; None for what it calls itself.
    """

    def __init__(self, order: Serving, identity: Mapping[str, Any], node: str | None = None) -> None:
        self._order, self._identity, self._node = order, identity, node or socket.gethostname()
        self._ends = ExitStack()
        self._ear = _Ear()
        self._mutex = threading.Lock()
        self._unwanted = ""
        """Name of the parcel that nobody wants any more."""
        self._job = ""

    def start(self) -> None:
        """Get ready; models are loaded when they are first asked for.

        Raises:
            InputError: This machine lacks a model, or its results would have other bytes than elsewhere.
        """
        parent = Path(tempfile.gettempdir())
        remove_leftovers(parent)
        folder = self._ends.enter_context(temporary_folder(parent))
        order = self._order
        settings = Settings(
            folder=folder,
            models=order.models,
            max_pixels=order.max_pixels,
            memory=Memory.parse(order.memory),
            threads=order.threads,
        )
        shelf = Shelf(settings)
        odd = differing(self._identity, identity_of(shelf))
        if odd:
            raise InputError(
                f"{self._node}: results made here would have other bytes than elsewhere ({', '.join(odd)}"
                " differ); use the same versions and models, on the same kind of processor"
            )
        self._store = self._ends.enter_context(closing(Store(folder)))
        self._workers = Workers(self._store, shelf, self._ear, Metrics(), _FOR_EVER, order.idle)
        self._ends.callback(self._workers.stop, 1.0)
        self._workers.start()
        keep_memory_together()

    def close(self) -> None:
        """Leave nothing behind."""
        self._ends.close()

    def work(self, parcel: Parcel) -> Returned:
        """Make of a photo what its job asks for."""
        photo = replace(parcel.photo, status="queued")
        with temporary_folder(self._store.folder) as upload:  # it becomes the job's
            for name, content in parcel.files.items():
                (upload / name).write_bytes(content)
            with self._mutex:
                self._ear.progress = None
                job = self._store.add(parcel.kind, "server", parcel.options, [photo], upload, "")
                self._job = job.id
                if self._unwanted == parcel.name:
                    self._store.cancel(job.id)
        self._workers.wake()
        try:
            return self._returned(self._ended(job), parcel.kind)
        finally:
            with self._mutex:
                self._job = ""
            self._store.remove(job.id)

    def progress(self) -> tuple[int, int] | None:
        """Tiles of the photo in hand that are restored, and all; None where there is none yet."""
        told = self._ear.progress
        return None if told is None else (told.done, told.total)

    def leave(self, name: str) -> None:
        """Nobody wants a parcel any more: it is left at the next tile."""
        with self._mutex:
            self._unwanted = name
            if self._job:
                self._store.cancel(self._job)
        self._ear.changed.set()

    def _ended(self, job: JobRecord) -> JobRecord:
        """The job once nothing of it is in work."""
        while True:
            self._ear.changed.clear()
            found = self._store.job(job.id, "server", job.kind)
            assert found is not None
            if all(photo.status in ENDED for photo in found.photos):
                return found
            self._ear.changed.wait(1.0)

    def _returned(self, job: JobRecord, kind: Kind) -> Returned:
        (photo,) = job.photos
        if photo.status != "done":
            return Returned(error=photo.error, left=photo.status == "cancelled")
        if kind == "profile":
            return Returned(self._store.profile_file(job.id).read_bytes(), job.told)
        return Returned(self._store.result_file(job.id, photo).read_bytes(), photo.told)


@dataclass
class _InHand:
    """A photo that a worker has."""

    work: Work
    since: float = field(default_factory=time.perf_counter)
    left: bool = False

    @property
    def name(self) -> str:
        return f"{self.work.job.id}/{self.work.photo.n}"


StartHands = Callable[[Mapping[str, Any]], ListeningPool]
"""Starts workers, from the arguments of `Hand`."""


class Afar(Workers):
    """As `Workers`, but photos are restored on the machines of a cluster, one by each of its workers.

    A photo whose worker is lost waits again, until it was begun `MOST_ATTEMPTS` times.

    Args:
        store: Where the photos come from.
        shelf: The models.
        board: Where changes are posted.
        metrics: What is counted.
        settings: What the server was told.
        start: Starts workers, from the arguments of `Hand`.
    """

    def __init__(
        self,
        store: Store,
        shelf: Shelf,
        board: Board,
        metrics: Metrics,
        settings: Settings,
        start: StartHands,
    ) -> None:
        super().__init__(store, shelf, board, metrics, settings.keep, settings.idle)
        self._start, self._most = start, settings.workers
        total = settings.restoring_memory.total + SERVER_MEMORY
        order = Serving(
            models=tuple(shelf.cards),
            max_pixels=settings.max_pixels,
            threads=settings.threads or 1,
            memory=str(total),
            idle=settings.idle,
        )
        self._arguments = {"order": order, "identity": identity_of(shelf)}
        self._in_hand: dict[Job, _InHand] = {}
        self._ready = 0
        self._threads = [
            threading.Thread(target=self._work, name="cluster", daemon=True),
            threading.Thread(target=self._tidy, name="tidy", daemon=True),
        ]

    @property
    def alive(self) -> bool:
        """Whether there is a worker."""
        return super().alive and self._ready > 0

    @property
    def count(self) -> int:
        """How many workers there are."""
        return self._ready

    def _work(self) -> None:
        while not self._ended:
            try:
                with closing(self._start(self._arguments)) as pool:
                    while not self._ended:
                        self._turn(pool)
            except Exception as error:  # no machine can work, or the cluster does not answer
                log.error("no worker of the cluster: %s", brief(error))
            self._ready = 0
            for one in self._in_hand.values():
                with suppress(Exception):  # where the store is gone as well, the next start finds them
                    self._give_back(one.work)
            self._in_hand.clear()
            with self._more:
                if not self._ended:
                    self._more.wait(PAUSE)

    def _turn(self, pool: ListeningPool) -> None:
        """Hand out what there are workers for, take in what came, and look how far the others are."""
        wanted = len(self._in_hand) + 1  # one more than are busy, so that the next photo need not wait for it
        pool.grow(wanted if self._most is None else min(wanted, self._most))
        while pool.idle and not self._ended and (work := self._store.next_work()) is not None:
            self._give(pool, work)
        for came in pool.wait(_TICK):
            self._take(came)
        self._ready = pool.idle + len(self._in_hand)
        for job, one in self._in_hand.items():
            self._look(pool, job, one)
        if not self._in_hand and not self._ended:
            with self._more:
                self._more.wait(_TICK)

    def _give(self, pool: ListeningPool, work: Work) -> None:
        self._board.post_all()  # everybody behind it has come one place nearer
        one = _InHand(work)
        try:
            parcel = self._packed(one)
            self._store.begin(work)
        except Exception as failure:
            self._finish(work, 0.0, self._told(failure, work))
            return
        job = Job("work", (parcel,))
        self._in_hand[job] = one
        pool.give(job)

    def _packed(self, one: _InHand) -> Parcel:
        """A photo with all that its job has for it."""
        job, photo = one.work.job, one.work.photo
        numbers = range(len(job.options["photos"])) if job.kind == "profile" else [photo.n]
        files = [self._store.photo_file(job.id, n) for n in numbers]
        files += [self._store.mask_file(job.id)] if job.options.get("mask") else []
        files += [self._store.profile_file(job.id)] if job.options.get("profile") is not None else []
        return Parcel(
            one.name, job.kind, job.options, photo, {file.name: file.read_bytes() for file in files}
        )

    def _look(self, pool: ListeningPool, job: Job, one: _InHand) -> None:
        """How far a photo is; and whether anybody still wants it."""
        work = one.work
        if not self._store.is_wanted(work.job.id):
            if not one.left:
                one.left = True
                pool.ask(job, "leave", one.name)
            return
        if (told := pool.ask(job, "progress")) is not None:
            self._board.post(work.job.id, Progress(work.photo.n, *told))

    def _take(self, came: Came) -> None:
        """What became of a photo."""
        one = self._in_hand.pop(came.job)
        work, seconds = one.work, time.perf_counter() - one.since
        if came.error is not None:
            self._lost(one, came.error)
            return
        returned: Returned = came.result
        if returned.left or one.left:
            self._give_back(one.work)
            return
        if returned.error is not None:
            self._finish(work, seconds, returned.error)
            return
        try:
            self._keep_result(work, returned)
        except Exception as failure:
            self._finish(work, seconds, self._told(failure, work))
            return
        if work.job.kind == "profile":
            self._finish(work, seconds, told=returned.told)
        else:
            digest = hashlib.sha256(returned.content).hexdigest()
            self._finish(work, seconds, size=len(returned.content), digest=digest)

    def _keep_result(self, work: Work, returned: Returned) -> None:
        """Write what a worker made, in the order in which it is made here; see `Workers`."""
        job, photo = work.job, work.photo
        is_profile = job.kind == "profile"
        target = self._store.profile_file(job.id) if is_profile else self._store.result_file(job.id, photo)
        if not is_profile:
            self._store.note(work, returned.told)
        with atomic_path(target) as temporary:
            temporary.write_bytes(returned.content)
        for n in range(len(job.options["photos"])) if is_profile else [photo.n]:
            self._store.photo_file(job.id, n).unlink(missing_ok=True)

    def _lost(self, one: _InHand, error: Exception) -> None:
        """A worker was lost, or could not work: its photo is tried again, though not for ever."""
        work = one.work
        if not isinstance(error, (LostError, ProcessLostError)):
            log.error("%s: %s", one.name, brief(error))
        attempts = self._store.attempts(work)
        if attempts >= MOST_ATTEMPTS:
            why = f"its worker was lost {attempts} times while it was in work; it is not tried again"
            self._finish(work, time.perf_counter() - one.since, f"{work.photo.name}: {why}")
        else:
            self._give_back(one.work)
