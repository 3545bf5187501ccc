"""From a stream of photos to shards on the store, without those that earlier runs have finished."""

from __future__ import annotations

import heapq
import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

from blindsr.cluster.items import Ended, Item
from blindsr.cluster.runs import Run
from blindsr.cluster.stores import Store, existing

__all__ = ["SHARD", "Planner"]

SHARD = 128
"""Most photos of a shard: what one worker takes at a time."""

SHARD_BYTES = 256 << 20
"""Bytes of photos after which a shard has enough, so that none takes hours."""

_KEPT = 4096
"""Finished photos that are noted at a time."""


class Planner:
    """Makes shards of photos as they are listed. At no time more than a shard of names is in memory.

    Args:
        items: The photos, in the order of their keys.
        run: The run whose shards they become.
        earlier: Runs that it goes on from.
        out: The store of results, whose state tells which of the finished ones are still there.
    """

    def __init__(self, items: Iterator[Item], run: Run, earlier: Sequence[Run], out: Store) -> None:
        self.photos = self.kept = self.shards = 0
        self._items, self._run, self._earlier, self._out = items, run, earlier, out

    def plan(self) -> Iterator[int]:
        """Write shard after shard; gives each one's number as soon as a worker can take it.

        Raises:
            InputError: As `Inputs.items`.
        """
        shard: list[Item] = []
        size = 0
        for item in self._left():
            shard.append(item)
            size += item.size or 0
            if len(shard) == SHARD or size >= SHARD_BYTES:
                yield self._write(shard)
                shard, size = [], 0
        if shard:
            yield self._write(shard)
        self._run.end_plan(self.shards, self.photos)

    def _write(self, shard: Sequence[Item]) -> int:
        self._run.write_shard(self.shards, shard)
        self.shards += 1
        return self.shards - 1

    def _left(self) -> Iterator[Item]:
        """The photos that no earlier run has finished; those that one has are noted in this one."""
        if not self._earlier:
            for item in self._items:
                self.photos += 1
                yield item
            return
        with closing(_Results(self._out)) as results:
            kept: list[Ended] = []
            number = 0
            ended = heapq.merge(*(run.all_ended() for run in self._earlier), key=lambda one: one.key)
            finished = (one for one in ended if one.status == "done" and results.has(one))
            waiting: list[Ended] = []
            for item in self._items:
                self.photos += 1
                waiting = _skip(waiting, finished, item.key)
                same = [one for one in waiting if one.key == item.key and item.version in ("", one.version)]
                if not same or item.fault:
                    yield item
                    continue
                kept.append(same[0])
                self.kept += 1
                if len(kept) == _KEPT:
                    self._run.write_kept(number, kept)
                    kept, number = [], number + 1
            if kept:
                self._run.write_kept(number, kept)


def _skip(waiting: list[Ended], ended: Iterator[Ended], key: str) -> list[Ended]:
    """Those of a key, of ends in the order of keys, and the first after it."""
    waiting = [one for one in waiting if one.key >= key]
    while not waiting or waiting[-1].key <= key:
        following = next(ended, None)
        if following is None:
            break
        if following.key >= key:
            waiting.append(following)
    return waiting


class _Results:
    """The results that are there, by name: on the disk of this machine, for there may be any number.

    Args:
        out: The store of results. It is listed once: to ask for each would take a question a photo.
    """

    def __init__(self, out: Store) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="blindsr-")
        self._table = sqlite3.connect(Path(self._folder.name) / "results", isolation_level=None)
        self._table.execute("PRAGMA journal_mode = OFF")
        self._table.execute("PRAGMA synchronous = OFF")
        self._table.execute("CREATE TABLE results (name BLOB PRIMARY KEY, version TEXT) WITHOUT ROWID")
        self._table.execute("BEGIN")
        rows = ((_encoded(entry.name), entry.version) for entry in existing(out))
        self._table.executemany("INSERT OR REPLACE INTO results VALUES (?, ?)", rows)

    def has(self, ended: Ended) -> bool:
        """Whether a result is still there as it was written."""
        query = "SELECT version FROM results WHERE name = ?"
        found = self._table.execute(query, (_encoded(ended.target),)).fetchone()
        return found is not None and found[0] == ended.target_version

    def close(self) -> None:
        self._table.close()
        self._folder.cleanup()


def _encoded(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")
