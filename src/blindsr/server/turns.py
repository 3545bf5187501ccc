"""Whose photo is next: clients share the work evenly, by pixels, however much each of them has waiting."""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import count

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


_Placed = tuple[float, int, Waiting]
"""Work that others may have had done before its turn, when it was asked for, and itself."""


class Turns:
    """Start-time fair queueing (Goyal et al. 1997): who has had the least work done so far comes next.

    One who comes back after a while has no claim on what he did not use meanwhile. Not for several threads.
    """

    def __init__(self) -> None:
        self._now = 0.0
        self._used: dict[str, float] = {}

    def take(self, one: Waiting) -> None:
        """Note that a photo has had its turn."""
        start = self.start(one.client)
        self._now = max(self._now, start)
        self._used[one.client] = start + _work(one)
        # Whom nothing is owed any more need not be remembered.
        self._used = {client: used for client, used in self._used.items() if used > self._now}

    def start(self, client: str) -> float:
        """How much work others may have had done when the next photo of a client has its turn."""
        return max(self._now, self._used.get(client, 0.0))


class Line:
    """Photos that wait, in the order of their turns: a new one is put in its place, others stay in theirs.

    Args:
        turns: What each client has had.
        waiting: In the order in which each client wants its own.
    """

    def __init__(self, turns: Turns, waiting: Iterable[Waiting] = ()) -> None:
        self._turns = turns
        self._ends: dict[str, float] = {}
        self._asked = count()
        self._line = sorted((self._placed(one) for one in waiting), key=_turn)

    def __iter__(self) -> Iterator[Waiting]:
        return (one for _, _, one in self._line)

    def __len__(self) -> int:
        return len(self._line)

    @property
    def first(self) -> Waiting:
        """Whose turn it is."""
        return self._line[0][2]

    def add(self, one: Waiting) -> None:
        """One more, which its client wants after those that he has waiting."""
        insort(self._line, self._placed(one), key=_turn)

    def take(self) -> Waiting:
        """The first one has its turn."""
        _, _, one = self._line.pop(0)
        self._turns.take(one)
        return one

    def _placed(self, one: Waiting) -> _Placed:
        start = max(self._turns.start(one.client), self._ends.get(one.client, 0.0))
        self._ends[one.client] = start + _work(one)
        # Of two whose clients have had equally much, that one comes first which was asked for first.
        return start, next(self._asked), one


def _turn(placed: _Placed) -> tuple[float, int]:
    return placed[:2]


def _work(one: Waiting) -> float:
    return float(one.pixels + _A_PHOTO)
