"""Degrading the photos of a batch: what `blindsr degrade --cluster` asks for, and how a worker does it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pyvips

from blindsr.batch.plan import fault_of_name
from blindsr.batch.stages import OnTile, Outcome, Stages
from blindsr.batch.stages import Task as PhotoTask
from blindsr.cluster.items import Ended
from blindsr.cluster.order import Maker, Order, Pulled, Read
from blindsr.degradation.manifest import Record, degrade_photo, drawn_for, name_of_result, seed_of
from blindsr.degradation.pipeline import Task
from blindsr.engine.identity import package_version
from blindsr.engine.instructions import instruction_set
from blindsr.picture import Picture, read, write
from blindsr.system.files import sha256
from blindsr.version import __version__

__all__ = ["Degrading", "record_of", "records_of"]


@dataclass(frozen=True, kw_only=True)
class Degrading(Order):
    """A degradation; the same photos and the same seed give the same bytes on any number of machines.

    Args:
        task: The degradation.
        seed: As of `degrade_folder`; a photo's own follows from it and the photo's name.
    """

    task: Task
    seed: int = 0

    def maker(self) -> Maker:
        return _Degrader(self)

    @property
    def title(self) -> str:
        return str(self.task)


class _Degrader:
    """The degradation at work; see `Maker`."""

    reads: Mapping[str, Read] = {}

    def __init__(self, order: Degrading) -> None:
        self._order = order

    @cached_property
    def identity(self) -> dict[str, Any]:
        libraries = {library: package_version(library) for library in ("numpy", "pillow", "pillow-heif")}
        identity = {
            "blindsr": __version__,
            "degradation": [type(self._order.task).__name__, self._order.task.as_dict()],
            "seed": self._order.seed,
            "libraries": {**libraries, "libvips": [pyvips.version(part) for part in range(3)]},
            "processor": instruction_set().name,  # each sums in an order of its own
        }
        told: dict[str, Any] = json.loads(json.dumps(identity))  # as it comes from another process
        return told

    def name(self, photo: Pulled) -> tuple[str, str]:
        name = name_of_result(photo.name).name
        return name, fault_of_name(name, None)

    def stages(self, photo: Pulled) -> Stages[Any, Any]:
        order, seed = self._order, seed_of(photo.name, self._order.seed)

        def decode(task: PhotoTask) -> Picture:
            return read(task.source)

        def restore(picture: Picture, task: PhotoTask, on_tile: OnTile) -> Picture:
            return degrade_photo(picture, order.task, seed)

        def encode(lr: Picture, task: PhotoTask) -> None:
            write(lr, task.target)

        return Stages(decode, restore, encode)

    def report(self, photo: Pulled, outcome: Outcome) -> dict[str, Any]:
        return {"sha256": sha256(outcome.task.target)}


def records_of(ended: Iterable[Ended], order: Degrading) -> list[Record]:
    """What the manifest tells of photos, in the order of their paths, as on one machine."""
    records = (record_of(one, order) for one in ended if one.status != "left_out")
    return sorted(records, key=lambda record: record.source.split("/"))


def record_of(ended: Ended, order: Degrading) -> Record:
    """What the manifest tells of a photo."""
    source = ended.key.partition("\0")[0].rstrip("/")
    if ended.status != "done" or ended.output_size is None:
        return Record(source, error=ended.error)
    seed = seed_of(source, order.seed)
    drawn = drawn_for(order.task, seed)
    return Record(source, ended.target, seed, *ended.output_size, str(ended.report["sha256"]), drawn)
