"""Plan batches of up to ten million photos: seconds and memory, from nothing and after everything was lost.

    python benchmarks/cluster_planning.py --names 1000000 --names 10000000

A store makes names as a bucket lists them, so that what is measured is the planning and not a server. Each
number of names has a process of its own, whose peak is told. "new" plans all of them into shards, on the
disk; "again" plans a batch that had finished all but a thousandth of them: listing the photos, the results
and what the earlier run knew, and joining the three. "driven" is the whole driver: what it hands out comes
back at once, as if restored, so that this many photos a second are more than it can ever drive.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from blindsr.cluster.driving import Batch, drive
from blindsr.cluster.handing_out import Came, Job
from blindsr.cluster.inputs import Inputs, _Input
from blindsr.cluster.items import Ended, Item
from blindsr.cluster.planning import Planner
from blindsr.cluster.restoring import Restoring
from blindsr.cluster.runs import Run, earlier_runs, state_of
from blindsr.cluster.stores import Entry, LocalStore, OnError
from blindsr.system.memory import peak, show_bytes

HEADER = {"identity": {}, "inputs": [], "fresh": False}
LEFT = 1000  # of so many photos one is left


class Listed(LocalStore):
    """A folder that is told to have any number of files; what is written to it is written.

    Args:
        folder: Where.
        count: Of files that `entries` tells.
        suffix: Of their names.
    """

    def __init__(self, folder: Path, count: int, suffix: str) -> None:
        super().__init__(folder)
        self._count, self._suffix = count, suffix

    def entries(self, recursive: bool = True, on_error: OnError | None = None) -> Iterator[Entry]:
        for number in range(self._count):
            name = f"{number // 1_000_000:03}/{number // 1000 % 1000:03}/photo-{number:010}{self._suffix}"
            yield Entry(name, 3_000_000, "2999-v1")


def inputs_of(store: Listed) -> Inputs:
    """The photos of a store."""
    inputs = Inputs.__new__(Inputs)
    inputs.__dict__ |= {
        "others": {},
        "given": ["s3://photos"],
        "_out": "/out",
        "_recursive": True,
        "_list": None,
    }
    inputs.__dict__["_inputs"] = [_Input("s3://photos", store)]
    return inputs


def listed(store: Listed) -> Iterator[Item]:
    """The same, as they are planned."""
    return inputs_of(store).items()


class AtOnce:
    """Workers that have restored a shard as soon as they get it.

    Args:
        arguments: As of a worker.
    """

    def __init__(self, arguments: Mapping[str, Any]) -> None:
        self._run = Run(LocalStore(Path(arguments["state"])), arguments["run"])
        self._came: list[Came] = []
        self.seconds = 0.0
        """What took no time of the driver's: reading the shard is a worker's work."""
        AtOnce.last = self

    last: AtOnce

    def grow(self, wanted: int) -> None:
        """There are enough."""

    @property
    def idle(self) -> int:
        """One has nothing to do."""
        return int(not self._came)

    def give(self, job: Job) -> None:
        """Restore a shard."""
        start = time.perf_counter()
        items = self._run.read_shard(job.arguments[0])
        done = [Ended(one.key, one.name, f"{one.name}.png", status="done", node="n") for one in items]
        self._came.append(Came(job, done))
        self.seconds += time.perf_counter() - start

    def wait(self, seconds: float) -> list[Came]:
        """What was restored."""
        came, self._came = self._came, []
        return came

    def close(self) -> None:
        """Nothing is to be ended."""


def ended(items: Iterator[Item]) -> Iterator[Ended]:
    """As if an earlier run had restored most of them."""
    for number, item in enumerate(items):
        if number % LEFT:
            target = item.name.replace(".jpg", "_x4.jpg")
            yield Ended(item.key, item.name, target, version=item.version, target_version="2999-v1", node="n")


def measure(count: int, what: str) -> None:
    """In a process of its own: plan, and print a line."""
    with tempfile.TemporaryDirectory() as place:
        photos = Listed(Path(place) / "in", count, ".jpg")
        out = Listed(Path(place) / "out", count if what == "again" else 0, "_x4.jpg")
        state = state_of(LocalStore(out.folder))
        if what == "again":
            first, kept = Run(state, 1), []
            first.begin(HEADER)
            for number, one in enumerate(ended(listed(photos))):
                kept.append(one)
                if len(kept) == 4096:
                    first.write_kept(number // 4096, kept)
                    kept = []
            first.write_kept(99_999_999, kept)
        if what == "driven":
            before, start = peak() or 0, time.perf_counter()
            batch = Batch(inputs_of(photos), out, Restoring(model="cmdsr-x4"), HEADER)
            summary, run = drive(batch, AtOnce)
            seconds = time.perf_counter() - start - AtOnce.last.seconds
            told(count, what, count - summary.counts["done"], 0, seconds, before, run)
            return
        run = Run(state, 2)
        run.begin(HEADER)
        before, start = peak() or 0, time.perf_counter()
        planner = Planner(listed(photos), run, earlier_runs(state, 2, HEADER), out)
        shards = sum(1 for _ in planner.plan())
        seconds = time.perf_counter() - start
        told(count, what, planner.kept, shards, seconds, before, run)


def told(count: int, what: str, kept: int, shards: int, seconds: float, before: int, run: Run) -> None:
    """Print a line."""
    size = sum(file.stat().st_size for file in Path(run.store.place).rglob("*") if file.is_file())
    taken = peak() or 0
    print(
        f"{count:>9} {what:>6} {kept:>9} {shards or '':>7} {seconds:>8.1f} {count / seconds:>8.0f}"
        f" {show_bytes(taken):>9} {show_bytes(max(0, taken - before)):>9} {show_bytes(size):>9}",
        flush=True,
    )


def main(
    names: Annotated[list[int] | None, typer.Option(help="Photos; several are measured in turn.")] = None,
    only: Annotated[str, typer.Option(hidden=True)] = "",
) -> None:
    """Print three lines for each number of names."""
    counts = names or [10_000, 100_000, 1_000_000]
    if only:
        measure(counts[0], only)
        return
    print("    names   what  finished  shards  seconds  a second     peak   of that  on disk")
    for count in counts:
        for what in ("new", "again", "driven"):
            subprocess.run([sys.executable, __file__, "--names", str(count), "--only", what], check=True)


if __name__ == "__main__":
    typer.run(main)
