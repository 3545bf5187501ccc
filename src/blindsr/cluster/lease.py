"""One driver at a time: whoever drives a batch into a place holds a lease there, and renews it.

Leases are numbered, and the highest number holds. To take over is to create the next number, which a store
lets one of many do. A holder that was taken over, as after its machine slept, sees that at its next beat and
stops; what its workers still write until then has the same bytes under the same names.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import threading
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from blindsr.cluster.stores import Store, StoreError, existing
from blindsr.errors import InputError
from blindsr.system.untrusted import parse_json

__all__ = ["Lease"]

log = logging.getLogger(__name__)

BEAT = 5.0
"""Seconds between two signs of life."""

PATIENCE = 6
"""Beats without one after which a holder is taken for dead."""

_FOLDER = "lease"


class Lease:
    """The right to drive a batch into a place; it is renewed by a thread until it is closed.

    Args:
        store: Where runs keep what they know.
        beat: Seconds between two signs of life.

    Raises:
        InputError: Another driver lives.
        StoreError: The store does not answer.
    """

    def __init__(self, store: Store, beat: float = BEAT) -> None:
        self._store, self._beat = store, beat
        self.lost = threading.Event()
        """Set when another driver has taken over, or nobody can tell."""
        self._ended = threading.Event()
        self._told = {
            **_own_process(),
            "beat": 0,
            "since": datetime.now(timezone.utc).isoformat(" ", "seconds"),
        }
        self.number = self._take()
        for number in _numbers(store)[:-1]:
            store.remove(_name(number))
        self._thread = threading.Thread(target=self._renew, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Let another driver begin at once."""
        self._ended.set()
        self._thread.join()
        if not self.lost.is_set():
            self._store.write(_name(self.number), json.dumps({**self._told, "released": True}).encode())

    def _take(self) -> int:
        """Create the next lease, as soon as the last is not held any more."""
        while True:
            numbers = _numbers(self._store)
            if numbers:
                self._wait_for_end(numbers[-1])
            number = numbers[-1] + 1 if numbers else 1
            if self._store.create(_name(number), json.dumps(self._told).encode()):
                return number

    def _wait_for_end(self, number: int) -> None:
        """Return as soon as a lease is surely not held; raise where it is."""
        before = told = self._read(number)
        deadline = time.monotonic() + PATIENCE * self._beat
        while told is not None and not told.get("released") and not _has_died(told):
            if told.get("beat") != before.get("beat") or _lives_here(told):
                where = f"on {told.get('host')} since {told.get('since')}"
                raise InputError(
                    f"{self._store.full('')}: another batch is writing here ({where}); wait until it ends, or"
                    " give another -o"
                )
            if time.monotonic() > deadline:
                return
            time.sleep(self._beat / 5)
            told = self._read(number)

    def _read(self, number: int) -> Any:  # noqa: ANN401
        """What a holder tells; None where there is none any more."""
        try:
            told = parse_json(self._store.read(_name(number)))
        except StoreError as error:
            if not error.missing:
                raise
            return None
        except ValueError:
            told = None
        return told if isinstance(told, dict) else {}

    def _renew(self) -> None:
        """Give a sign of life again and again, and look whether another has taken over."""
        last = time.monotonic()
        while not self._ended.wait(self._beat):
            try:
                if _numbers(self._store)[-1:] != [self.number]:
                    self.lost.set()
                    return
                self._told["beat"] += 1
                self._store.write(_name(self.number), json.dumps(self._told).encode())
                last = time.monotonic()
            except StoreError as error:
                log.warning("%s", error)
                if time.monotonic() - last > (PATIENCE - 1) * self._beat:  # others may think it dead
                    self.lost.set()
                    return


def _name(number: int) -> str:
    return f"{_FOLDER}/{number:08}.json"


def _numbers(store: Store) -> list[int]:
    names = [entry.name for entry in existing(store.below(_FOLDER))]
    return sorted(int(name[:-5]) for name in names if name.endswith(".json") and name[:-5].isdigit())


def _own_process() -> dict[str, Any]:
    """What tells this process from all others, on this machine and elsewhere."""
    return {
        "host": socket.gethostname(),
        "machine": _machine(),
        "pid": os.getpid(),
        "start": _start(os.getpid()),
    }


def _machine() -> str:
    """What processes that see each other's numbers have in common; empty where the system does not tell."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"  # noqa: PTH115  (it is no path)
    except OSError:
        return ""


def _start(pid: int) -> str:
    """When a process of this machine began, in its own measure; empty where none lives, or nobody tells."""
    try:
        told = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        values = told.rpartition(")")[2].split()
        return "" if values[0] == "Z" else values[19]  # one that is dead, and nobody has looked yet
    except (OSError, IndexError):
        return ""


def _is_here(told: dict[str, Any]) -> bool:
    """Whether a holder is, or was, a process that this one can see."""
    return bool(told.get("machine")) and told["machine"] == _machine() and isinstance(told.get("pid"), int)


def _has_died(told: dict[str, Any]) -> bool:
    return _is_here(told) and _start(told["pid"]) != told.get("start")


def _lives_here(told: dict[str, Any]) -> bool:
    return _is_here(told) and _start(told["pid"]) == told.get("start")
