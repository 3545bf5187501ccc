"""A worker: it has one process that makes results, takes shard after shard, and survives that process."""

from __future__ import annotations

import queue
import secrets
import socket
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from blindsr.cluster.cameras import profile_name
from blindsr.cluster.items import Ended, Item
from blindsr.cluster.order import Order, differing
from blindsr.cluster.process import Process
from blindsr.cluster.runs import Record, Run
from blindsr.cluster.shard import Shard
from blindsr.cluster.stores import LocalStore, Store, existing, open_store
from blindsr.errors import InputError
from blindsr.system.files import remove_leftovers, temporary_folder
from blindsr.system.memory import Memory

__all__ = ["Worker"]

_OVER = 1.5  # times its bound that a process may take, before it is ended


class Worker:
    """Takes shards, one after the other.

    Args:
        order: What to do.
        out: Place of the store of results.
        state: Place of that in which runs keep what they know.
        run: Number of the run.
        identity: What results' bytes must depend on, as on the machine that planned the run.
        shared: Place of the store of what all runs of the same results have in common.
        claim: Whether two photos that are not each other's rivals could have results of one name.
        node: Name of the machine; None for what it calls itself.
    """

    def __init__(
        self,
        order: Order,
        out: str,
        state: str,
        run: int,
        identity: dict[str, Any],
        shared: str,
        claim: bool = False,
        node: str | None = None,
    ) -> None:
        self.order, self._identity = order, identity
        self.out, self._run = open_store(out), Run(open_store(state), run)
        self._shared = open_store(shared)
        self.claims = self._shared.below("claims") if claim else None
        self.node = node or socket.gethostname()
        self.events: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.process: Process | None = None
        self.most = int(_OVER * Memory.parse(order.memory).total)
        self._ends = ExitStack()
        parent = Path(tempfile.gettempdir())
        remove_leftovers(parent)
        self.folder = self._ends.enter_context(temporary_folder(parent))
        self._stores: dict[str, Store] = {}

    def start(self) -> None:
        """Get ready, with the model if there is one.

        Raises:
            InputError: This machine cannot, or its results would have other bytes than those of others.
        """
        self.process = self._start()

    def restart(self) -> None:
        """Go on with another process.

        Raises:
            InputError: As `start`.
        """
        if self.process is not None:
            self.process.kill()
        self.start()

    def close(self) -> None:
        """End the process, and remove what was pulled."""
        if self.process is not None:
            self.process.kill()
        self._ends.close()

    def work(self, shard: int, only: str | None = None) -> list[Ended]:
        """Do what is left of a shard.

        Args:
            shard: Its number.
            only: Key of the one photo that is meant; None for all.

        Returns:
            How each photo of the shard ended so far, also those that another worker had.

        Raises:
            StoreError: The store of results does not take what is noted there.
        """
        there = self._run.ended_in(shard)
        left = [item for item in self._run.read_shard(shard) if item.key not in there]
        items = [item for item in left if only in (None, item.key)]
        if isinstance(self.out, LocalStore):
            for folder in {item.name.rpartition("/")[0] for item in items}:
                self.out.remove_leftovers(folder)
        if self.order.by_camera:
            self._fetch_profiles()
        record = Record(self._run, shard, f"{secrets.token_hex(6)}.gz")
        Shard(self, items, "make", record.add).run()
        return [*there.values(), *record.ended]

    def survey(self, shard: int) -> list[tuple[str, str, str]]:
        """The cameras of a shard's photos: (camera, place, name) of those that tell one."""
        found: list[tuple[str, str, str]] = []
        items = {item.key: item for item in self._run.read_shard(shard)}

        def note(ends: Sequence[Ended]) -> None:
            for end in ends:
                if camera := str(end.report.get("camera", "")):
                    found.append((camera, items[end.key].place, items[end.key].name))

        Shard(self, list(items.values()), "camera", note).run()
        return found

    def read_camera(self, camera: str, photos: Sequence[tuple[str, str]]) -> int:
        """Make a camera's profile of some of its photos, unless there is one; gives how many told it."""
        items = [Item(f"{i:04}\0", place, photo) for i, (place, photo) in enumerate(photos)]
        read: list[Path] = []

        def note(ends: Sequence[Ended]) -> None:
            read.extend(Path(str(end.report["profile"])) for end in ends if end.status == "done")

        with temporary_folder(self.folder) as made:
            Shard(self, items, "adapt", note, made).run()
            if read:
                self.order.merge_profiles(sorted(read), made / "whole")
                self._shared.create(f"cameras/{profile_name(camera)}", (made / "whole").read_bytes())
        return len(read)

    def _fetch_profiles(self) -> None:
        """Make the profiles of all cameras local, once."""
        folder = self.profiles
        if folder.is_dir():
            return
        folder.mkdir()
        cameras = self._shared.below("cameras")
        for entry in existing(cameras):
            (folder / Path(entry.name).name).write_bytes(cameras.read(entry.name))

    @property
    def profiles(self) -> Path:
        """Where profiles of cameras are, once they are pulled."""
        return self.folder / "cameras"

    def _start(self) -> Process:
        process = Process(self.order, self.events)
        odd = differing(self._identity, process.identity)
        if odd:
            process.kill()
            raise InputError(
                f"{self.node}: results made here would have other bytes than elsewhere ({', '.join(odd)}"
                " differ); use the same versions, on the same kind of processor, or say --precision and"
                " --device where there are such"
            )
        return process

    def store(self, place: str) -> Store:
        """The store of a place, opened once."""
        if place not in self._stores:
            self._stores[place] = open_store(place)
        return self._stores[place]
