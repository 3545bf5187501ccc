"""What a run knows of itself, on the store of its results, so that any other can go on from it.

    .blindsr-cluster/
    ├── lease/            who drives: see lease.py
    ├── shared/0f3a.../   of runs of the same results: claims/, which photo a result's name belongs to,
    │                     where names alone do not tell; cameras/, their profiles
    └── runs/00000003/    what the holder of the third lease has planned, and what came of it:
        ├── header.json       what the bytes of results depend on, and what was asked for
        ├── plan/00000000     photos that something is to be made of, by the shard
        ├── plan/end.json     how many shards there are; it is missing until all is planned
        ├── kept/00000000     photos that an earlier run had finished
        └── done/00000000/    how the photos of a shard ended; each worker that had it writes its own file

A shard's record is written anew after each photo, as a whole: no store can be made to append, and all can put
a small object wholly or not at all.
"""

from __future__ import annotations

import gzip
import hashlib
import heapq
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from blindsr.cluster.items import STATE, Ended, Item, read_lines, write_lines
from blindsr.cluster.stores import Store, StoreError, existing
from blindsr.errors import InputError
from blindsr.system.untrusted import parse_json

__all__ = ["Record", "Run", "earlier_runs", "forget", "remove_all", "shared", "state_of"]

_RUNS = "runs"
_END = "plan/end.json"
_HEADER = "header.json"


class Run:
    """What one driver has planned, and what came of it.

    Args:
        state: As `state_of` gives it.
        number: That of its lease.
    """

    def __init__(self, state: Store, number: int) -> None:
        self.number = number
        self.store = state.below(f"{_RUNS}/{number:08}")

    def begin(self, header: Mapping[str, Any]) -> None:
        """Write what the results depend on; without it nothing of this run counts."""
        self.store.write(_HEADER, json.dumps(header, sort_keys=True).encode())

    def header(self) -> dict[str, Any] | None:
        """What `begin` wrote; None where it was not reached."""
        return _read_object(self.store, _HEADER)

    def write_shard(self, shard: int, items: Sequence[Item]) -> None:
        """Plan a shard."""
        self.store.write(f"plan/{_shard(shard)}", _packed(write_lines(items)))

    def read_shard(self, shard: int) -> list[Item]:
        """What `write_shard` wrote."""
        return list(read_lines(Item, self._read(f"plan/{_shard(shard)}")))

    def end_plan(self, shards: int, photos: int) -> None:
        """All is planned, so earlier runs need not be looked at any more."""
        self.store.write(_END, json.dumps({"shards": shards, "photos": photos}).encode())

    @property
    def planned(self) -> bool:
        """Whether all was planned."""
        return _read_object(self.store, _END) is not None

    def write_kept(self, number: int, kept: Sequence[Ended]) -> None:
        """Note photos that an earlier run had finished, in the order of their keys."""
        self.store.write(f"kept/{_shard(number)}", _packed(write_lines(kept)))

    def ended_in(self, shard: int) -> dict[str, Ended]:
        """How the photos of a shard ended so far, by key, whichever worker had them."""
        found: dict[str, Ended] = {}
        for name in _names(self.store.below(f"done/{_shard(shard)}")):
            found |= {one.key: one for one in self._ends(f"done/{_shard(shard)}/{name}")}
        return found

    def kept(self) -> Iterator[Ended]:
        """What `write_kept` wrote, in the order of keys."""
        for name in _names(self.store.below("kept")):
            yield from self._ends(f"kept/{name}")

    def ended(self) -> Iterator[Ended]:
        """How the photos of this run's own shards ended, in the order of keys, a shard at a time."""
        names = _names(self.store.below("done"))
        for _, attempts in groupby(names, key=lambda name: name.partition("/")[0]):
            found: dict[str, Ended] = {}
            for name in attempts:
                found |= {one.key: one for one in self._ends(f"done/{name}")}
            yield from (found[key] for key in sorted(found))

    def all_ended(self) -> Iterator[Ended]:
        """Both, in the order of keys."""
        return heapq.merge(self.kept(), self.ended(), key=lambda one: one.key)

    def _ends(self, name: str) -> Iterator[Ended]:
        return read_lines(Ended, self._read(name))

    def _read(self, name: str) -> bytes:
        try:
            return gzip.decompress(self.store.read(name))
        except (OSError, EOFError) as error:
            raise InputError(f"{self.store.full(name)}: damaged; give --overwrite to begin anew") from error


class Record:
    """How the photos of a shard ended, as one worker saw it. Not for several threads at once.

    Args:
        run: The run.
        shard: Number of the shard.
        attempt: What no other worker's record of this shard is called.
    """

    def __init__(self, run: Run, shard: int, attempt: str) -> None:
        self._store, self._name = run.store, f"done/{_shard(shard)}/{attempt}"
        self.ended: list[Ended] = []

    def add(self, ended: Sequence[Ended]) -> None:
        """Note how photos ended; it is on the store when this returns."""
        self.ended += ended
        self._store.write(self._name, _packed(write_lines(self.ended)))


def state_of(out: Store) -> Store:
    """Where runs keep what they know of results in this store."""
    return out.below(STATE)


def earlier_runs(state: Store, before: int, header: Mapping[str, Any]) -> list[Run]:
    """The runs that another may go on from: of the same results, back to one that all earlier ones are in.

    Args:
        state: As of `state_of`.
        before: Number of the run that wants to know.
        header: What the results depend on.
    """
    found = []
    wanted = json.loads(json.dumps(header))
    for number in sorted(_run_numbers(state), reverse=True):
        run = Run(state, number)
        told = run.header() if number < before else None
        if told is None or {**told, "fresh": False} != {**wanted, "fresh": False}:
            continue
        found.append(run)
        if told.get("fresh") or run.planned:
            break
    return found


def forget(state: Store, runs: Iterable[Run], keep: Run) -> None:
    """Remove runs that another holds all of."""
    for run in runs:
        if run.number != keep.number:
            remove_all(run.store)


def shared(state: Store, header: Mapping[str, Any]) -> Store:
    """Where all runs of the same results keep what they have in common: claims, and profiles of cameras."""
    told = json.dumps({**header, "fresh": False}, sort_keys=True).encode()
    return state.below(f"shared/{hashlib.sha256(told).hexdigest()[:16]}")


def remove_all(store: Store) -> None:
    """Remove all that lies in a store of ours."""
    for name in _names(store):
        store.remove(name)


def _run_numbers(state: Store) -> set[int]:
    return {int(first) for name in _names(state.below(_RUNS)) if (first := name.partition("/")[0]).isdigit()}


def _shard(number: int) -> str:
    return f"{number:08}"


def _packed(content: bytes) -> bytes:
    return gzip.compress(content, 1, mtime=0)


def _names(store: Store) -> Iterator[str]:
    return (entry.name for entry in existing(store))


def _read_object(store: Store, name: str) -> dict[str, Any] | None:
    try:
        found = parse_json(store.read(name))
    except StoreError as error:
        if not error.missing:
            raise
        return None
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
