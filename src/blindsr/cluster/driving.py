"""A batch from its inputs to its report: planned, handed out to workers, and again where one was lost."""

from __future__ import annotations

import queue
import secrets
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from blindsr.cluster.cameras import Sample
from blindsr.cluster.handing_out import Came, Job, Pool, Start, hand_out
from blindsr.cluster.inputs import Inputs
from blindsr.cluster.items import Ended, Item
from blindsr.cluster.lease import BEAT, Lease
from blindsr.cluster.order import Order
from blindsr.cluster.planning import Planner
from blindsr.cluster.runs import Record, Run, earlier_runs, forget, remove_all, shared, state_of
from blindsr.cluster.stores import LocalStore, Store, shown
from blindsr.errors import InputError

__all__ = ["Batch", "Summary", "drive"]

LOSSES = 3
"""Workers that a job may lose, one after the other, without a photo being finished; then its photos are
tried one by one."""


@dataclass
class Summary:
    """How a batch went.

    Args:
        counts: Photos by how they ended; "skipped" are those that an earlier run had finished, too.
        photos: How many there are; None where they were not all listed.
        others: Files that are no photos, by suffix.
        lost: Workers that were lost.
        interrupted: Whether it was stopped.
    """

    counts: Counter[str] = field(default_factory=Counter)
    photos: int | None = None
    others: Mapping[str, int] = field(default_factory=dict)
    lost: int = 0
    interrupted: bool = False


@dataclass(frozen=True)
class Batch:
    """What is to be done, and where.

    Args:
        inputs: The photos.
        out: The store of results.
        order: What is done with them.
        header: As of `Order.header`.
    """

    inputs: Inputs
    out: Store
    order: Order
    header: Mapping[str, Any]

    def check(self) -> None:
        """Refuse what could not be done, before anything is begun.

        Raises:
            InputError: The results cannot be written there, or keep no dates there; or as `Order.check`.
        """
        self.order.check()
        if not self.out.writable:
            raise InputError(f"-o {self.out.full('')}: takes no files; name a folder or a bucket")
        if self.order.keep_date and not isinstance(self.out, LocalStore):
            raise InputError(f"--keep-date: {self.out.full('')} keeps no dates; leave it out")

    @staticmethod
    def source(photo: Item) -> str:
        """A photo's whole name."""
        return shown(f"{photo.place.rstrip('/')}/{photo.name}")


def drive(
    batch: Batch,
    start: Start,
    *,
    workers: int | None = None,
    on_end: Callable[[Sequence[Ended]], None] | None = None,
    stop: threading.Event | None = None,
    beat: float = BEAT,
) -> tuple[Summary, Run]:
    """Make the results of all photos of a batch, each once, whatever becomes of the workers.

    Args:
        batch: What is to be done.
        start: Starts the workers.
        workers: How many there may be; None for as many as there is room for.
        on_end: Called with photos that have ended, a shard at a time.
        stop: Set by anybody, it ends the batch; what is finished stays so.
        beat: As of `Lease`.

    Returns:
        How it went; and the run, which knows how each photo ended.

    Raises:
        InputError: Another batch is writing there or has taken over; there is no photo; no machine can work.
        StoreError: A store does not answer.
    """
    batch.check()
    state = state_of(batch.out)
    lease = Lease(state, beat)
    try:
        run = Run(state, lease.number)
        fresh = bool(batch.header["fresh"])
        common = shared(state, batch.header)
        if fresh:
            remove_all(common)
        earlier = [] if fresh else earlier_runs(state, run.number, batch.header)
        run.begin(batch.header)
        arguments = {
            "order": batch.order,
            "out": batch.out.place,
            "state": state.place,
            "run": run.number,
            "identity": batch.header["identity"],
            "shared": common.place,
            "claim": batch.inputs.may_collide or batch.order.renames,
        }
        planner = Planner(batch.inputs.items(), run, earlier, batch.out)
        with closing(start(arguments)) as pool:
            driver = _Driver(batch, run, planner, pool, workers, on_end, lease, stop or threading.Event())
            summary = driver.run()
        if run.planned:
            forget(state, earlier, keep=run)
        return summary, run
    finally:
        lease.close()


class _Driver:
    """Hands jobs to workers, and keeps count."""

    def __init__(
        self,
        batch: Batch,
        run: Run,
        planner: Planner,
        pool: Pool,
        workers: int | None,
        on_end: Callable[[Sequence[Ended]], None] | None,
        lease: Lease,
        stop: threading.Event,
    ) -> None:
        self._batch, self._run, self._planner, self._pool = batch, run, planner, pool
        self._workers, self._on_end, self._lease, self._stop = workers, on_end, lease, stop
        self._summary = Summary()
        self._told: dict[int, set[str]] = {}
        """Keys of photos that were counted, of shards that are not through yet."""

    def run(self) -> Summary:
        """Go on until every photo has ended, or it is to stop."""
        shards = self._planned()
        if self._batch.order.by_camera:
            known = list(self._survey(shards))
            shards = iter(known)
        for came in self._through(None if shard is None else Job("work", (shard,)) for shard in shards):
            self._count(came.job, came.result)
        summary = self._summary
        summary.interrupted = self._stop.is_set()
        summary.counts.update({"skipped": self._planner.kept} if self._planner.kept else {})
        summary.photos = self._planner.photos if self._run.planned else None
        summary.others = self._batch.inputs.others
        return summary

    def _planned(self) -> Iterator[int | None]:
        """Shards as a thread plans them, None for none yet: listing goes on while workers work."""
        planned: queue.SimpleQueue[int | BaseException | None] = queue.SimpleQueue()

        def plan() -> None:
            try:
                for shard in self._planner.plan():
                    planned.put(shard)
                    if self._ending:
                        return
                planned.put(None)
            except BaseException as error:
                planned.put(error)

        threading.Thread(target=plan, daemon=True).start()
        while True:
            try:
                found = planned.get(timeout=0.1)
            except queue.Empty:
                yield None
                continue
            if isinstance(found, BaseException):
                raise found
            if found is None:
                return
            yield found

    @property
    def _ending(self) -> bool:
        return self._stop.is_set() or self._lease.lost.is_set()

    def _survey(self, shards: Iterator[int | None]) -> Iterator[int]:
        """Make the profiles of all cameras; gives the shards, which are all planned by then."""
        sample = Sample()
        known: list[int] = []

        def jobs() -> Iterator[Job | None]:
            for shard in shards:
                known.extend([] if shard is None else [shard])
                yield None if shard is None else Job("survey", (shard,))

        for came in self._through(jobs()):
            sample.merge(came.result)
        for _ in self._through(Job("read_camera", (one, photos)) for one, photos in sample.cameras()):
            pass
        yield from known

    def _through(self, jobs: Iterator[Job | None]) -> Iterator[Came]:
        """Hand out jobs; gives what came of each."""
        return hand_out(jobs, self._pool, self._workers, self._stopped, self._after_loss)

    def _stopped(self) -> bool:
        """Whether it is to end early."""
        if self._lease.lost.is_set() and not self._stop.is_set():
            raise InputError(
                f"{self._batch.out.full('')}: another batch has taken over, as this one gave no sign of"
                " life; wait until it ends"
            )
        return self._stop.is_set()

    def _after_loss(self, job: Job) -> list[Job]:
        """What is to be done instead of a job whose worker was lost."""
        self._summary.lost += 1
        if job.method == "work":
            return self._left_of(job)
        if job.losses >= LOSSES:
            raise InputError(f"{job.method} lost {LOSSES} workers, one after the other; see Ray's logs")
        return [job]

    def _left_of(self, job: Job) -> list[Job]:
        """What is left of photos whose worker was lost."""
        shard, *only = job.arguments
        ended = self._run.ended_in(shard)
        left = [item for item in self._run.read_shard(shard) if item.key not in ended]
        if only:
            left = [item for item in left if item.key == only[0]]
        elif len(ended) > job.finished:
            job.losses, job.finished = 0, len(ended)
        if left and job.losses < (self._batch.order.tries if only else LOSSES):
            return [job]
        if left and not only:
            return [Job("work", (shard, item.key)) for item in left]
        if left:  # alone, and time after time: so it is this photo that ends whole workers
            (photo,) = left
            source = self._batch.source(photo)
            text = f"{source}: ended its worker, {job.losses} times alone; it is left out"
            lost = Ended(photo.key, source, status="failed", error=text, kind="crash", version=photo.version)
            Record(self._run, shard, f"{secrets.token_hex(6)}.gz").add([lost])
            ended[photo.key] = lost
        self._count(job, list(ended.values()))
        return []

    def _count(self, job: Job, ended: Sequence[Ended]) -> None:
        """Count photos once, though a shard may come in parts."""
        shard, *only = job.arguments
        told = self._told.pop(shard, set())
        new = [one for one in ended if one.key not in told]
        if only:
            self._told[shard] = told | {one.key for one in new}
        self._summary.counts.update(one.status for one in new)
        if self._on_end is not None and new:
            self._on_end(new)
