"""What a batch is to do with each photo: all that a worker must know, fit to travel to another machine."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from blindsr.batch.stages import Existing, Outcome, Stages
from blindsr.errors import InputError

__all__ = ["MEMORY", "Maker", "Order", "Pulled", "differing"]

MEMORY = "2G"
"""Most memory of a worker, where nothing else is said: the same on every machine, as the tiles of a resized
result depend on it."""


@dataclass(frozen=True, eq=False)
class Pulled:
    """A photo where something is made of it.

    Args:
        source: The file, pulled.
        name: Of it in its store.
        options: What a list says of it alone, as in `Item`.
        profiles: Folder of cameras' profiles; None where it has none of those.
    """

    source: Path
    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    profiles: Path | None = None


Read = Callable[[Path, Path], Mapping[str, Any]]
"""Reads something from a photo, into a file where it is more than a line; gives what is told of it."""


class Maker(Protocol):
    """Makes results of photos, in a process that may be lost with one of them."""

    @property
    def identity(self) -> dict[str, Any]:
        """What the bytes of results depend on besides their photos, as values for JSON."""

    @property
    def reads(self) -> Mapping[str, Read]:
        """What can be read from photos beside making results of them, by the name of the pass."""

    def name(self, photo: Pulled) -> tuple[str, str]:
        """The name of a photo's result, without folders; and why there is none of this name, or nothing.

        Raises:
            BlindSRError: It can have no name.
        """

    def stages(self, photo: Pulled) -> Stages[Any, Any]:
        """How a photo becomes its result: decoded, made, encoded.

        Raises:
            BlindSRError: Something that is needed for it cannot be read.
        """

    def report(self, photo: Pulled, outcome: Outcome) -> dict[str, Any]:
        """What is told of a result, as values for JSON."""


@dataclass(frozen=True, kw_only=True)
class Order(ABC):
    """What is done with photos, whatever that is: `Restoring` and `Degrading` tell.

    Args:
        threads: Of a worker.
        memory: Of a worker, at most; as of `Memory`.
        keep_date: Whether results get the dates of their photos.
        existing: What becomes of results that are there already.
        seconds: Most time for one photo, in each of its tries.
        tries: How often a photo is tried alone that may have ended its process, or took too long; and how
            often a store is asked.
    """

    threads: int | None = None
    memory: str = MEMORY
    keep_date: bool = False
    existing: Existing = "resume"
    seconds: float = 600.0
    tries: int = 2

    @abstractmethod
    def maker(self) -> Maker:
        """What does it, ready.

        Raises:
            BlindSRError: It cannot be made ready on this machine.
        """

    @property
    @abstractmethod
    def title(self) -> str:
        """What is done, for people."""

    @property
    def naming(self) -> Sequence[str | None]:
        """What decides on the names of results besides those of their photos."""
        return ()

    @property
    def renames(self) -> bool:
        """Whether photos whose names differ in more than the suffix could have results of one name."""
        return False

    @property
    def by_camera(self) -> bool:
        """Whether photos of one camera share a profile, which is made of some of them first."""
        return False

    def merge_profiles(self, profiles: Sequence[Path], target: Path) -> None:
        """Make one camera's profile of those of its photos; only where `by_camera`."""
        raise NotImplementedError

    def header(self, identity: Mapping[str, Any], inputs: Sequence[str]) -> dict[str, Any]:
        """What a run must have in common with another that goes on from it.

        Args:
            identity: As of `Maker.identity`.
            inputs: What the user named.
        """
        return {
            "format": "blindsr cluster run",
            "version": 1,
            "identity": dict(identity),
            "inputs": list(inputs),
            "names": list(self.naming),
            "fresh": self.existing == "overwrite",
        }

    def check(self) -> None:
        """Refuse what no photo could be done with.

        Raises:
            InputError: A number is out of range.
        """
        if not 0 < self.seconds < float("inf"):
            raise InputError(f"time limit {self.seconds:g}: give seconds above 0")
        if self.tries < 1:
            raise InputError(f"tries {self.tries}: give 1 or more")


def differing(one: Mapping[str, Any], other: Mapping[str, Any], above: str = "") -> list[str]:
    """The names of what differs between two identities.

    Example:
        >>> differing({"engine": {"precision": "int8"}}, {"engine": {"precision": "fp32"}})
        ['engine.precision']
    """
    found = []
    for key in sorted({*one, *other}):
        left, right = one.get(key), other.get(key)
        if isinstance(left, dict) and isinstance(right, dict):
            found += differing(left, right, f"{above}{key}.")
        elif left != right:
            found.append(f"{above}{key}")
    return found
