"""Whose photo is next: clients share the work evenly, by pixels, however much each of them has waiting."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

_A_PHOTO = 1 << 16
"""Pixels that count for each photo beside its own: reading and writing take their time, too."""


@dataclass(frozen=True)
class Waiting:
    """A photo that waits.

    Args:
        job: Its job.
        n: Its number in the job.
        client: Whose it is.
        pixels: How many it has.
    """

    job: str
    n: int
    client: str
    pixels: int


class Turns:
    """Start-time fair queueing (Goyal et al. 1997): who has had the least work done so far comes next.

    One who comes back after a while has no claim on what he did not use meanwhile. Not for several threads.
    """

    def __init__(self) -> None:
        self._now = 0.0
        self._used: dict[str, float] = {}

    def order(self, waiting: Iterable[Waiting]) -> Iterator[Waiting]:
        """The photos in the order of their turns.

        Args:
            waiting: In the order in which each client wants its own.
        """
        own: dict[str, list[Waiting]] = {}
        for one in waiting:
            own.setdefault(one.client, []).append(one)
        for photos in own.values():
            photos.reverse()
        # Of two who have had equally much, that one comes first who asked first.
        turns = [(self._start(client), number, client) for number, client in enumerate(own)]
        heapq.heapify(turns)
        while turns:
            used, number, client = heapq.heappop(turns)
            one = own[client].pop()
            yield one
            if own[client]:
                heapq.heappush(turns, (used + _work(one), number, client))

    def take(self, one: Waiting) -> None:
        """Note that a photo has had its turn."""
        start = self._start(one.client)
        self._now = max(self._now, start)
        self._used[one.client] = start + _work(one)
        # Whom nothing is owed any more need not be remembered.
        self._used = {client: used for client, used in self._used.items() if used > self._now}

    def _start(self, client: str) -> float:
        return max(self._now, self._used.get(client, 0.0))


def _work(one: Waiting) -> float:
    return float(one.pixels + _A_PHOTO)
