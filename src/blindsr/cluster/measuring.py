"""Measuring pictures of test sets: what `blindsr evaluate --cluster` asks for, and how a worker does it."""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event
from typing import Any

from blindsr.cluster.handing_out import Job, Start, hand_out
from blindsr.cluster.order import MEMORY, differing
from blindsr.errors import InputError
from blindsr.evaluation.crops import CropFolder
from blindsr.evaluation.methods import Method, find_method
from blindsr.evaluation.methods.runtime import runtime
from blindsr.evaluation.metric_specs import MetricSpec, find_metric_specs, metric_specs_from
from blindsr.evaluation.result_cache import MODEL_CODE, Measured, ResultCache, code_digest
from blindsr.evaluation.runner import Cell, EvaluationSample, Failed, Gauge
from blindsr.system.files import atomic_path, make_folder, remove_leftovers, temporary_folder
from blindsr.version import __version__

__all__ = ["Measurer", "Measuring", "measure_by_workers"]


@dataclass(frozen=True, kw_only=True)
class Measuring:
    """What is measured, and how; fit to travel. Files are found by the same names on every machine.

    Args:
        cells: Test sets under degradations.
        methods: Title and text of each, as of `find_method`.
        metrics: Names of metrics, as of `find_metric_specs`.
        niqe: As of `metric_specs_from`.
        lpips: As there.
        device: As of `find_method`.
        threads: Of a worker.
        memory: Of a worker, for Ray to find room for.
        crops: So many pictures of each cell are cut crops out of.
        tries: How often a picture is tried that may have ended its worker; then each method by itself.
    """

    cells: tuple[Cell, ...]
    methods: tuple[tuple[str, str], ...]
    metrics: tuple[str, ...]
    niqe: Path | None = None
    lpips: tuple[Path, Path] | None = None
    device: str = "auto"
    threads: int = 1
    memory: str = MEMORY
    crops: int = 0
    tries: int = 2

    def find_methods(self) -> list[Method]:
        """The methods.

        Raises:
            BlindSRError: As of `find_method`.
        """
        # With a title before it, a path may have "=" in it.
        found = [find_method(f"x={text}", self.device, self.threads) for _, text in self.methods]
        return [replace(one, title=title) for one, (title, _) in zip(found, self.methods, strict=True)]

    def find_specs(self) -> list[MetricSpec]:
        """The metrics.

        Raises:
            BlindSRError: As of `metric_specs_from` and `find_metric_specs`.
        """
        device = self.device if self.device in ("cuda", "mps") else "cpu"
        return find_metric_specs([*self.metrics], metric_specs_from(self.niqe, self.lpips, device))


def identity_of(methods: Sequence[Method], specs: Sequence[MetricSpec]) -> dict[str, Any]:
    """What the values depend on besides the pictures."""
    return {
        "blindsr": __version__,
        "code": [code_digest(), code_digest(MODEL_CODE)],
        "libraries": runtime("numpy", "pyvips", "pillow"),
        "methods": {method.title: method.identity for method in methods},
        "metrics": {spec.name: spec.identity for spec in specs},
    }


@dataclass
class Found:
    """What a worker found out about a picture.

    Args:
        measured: Keys of the cache, and what was measured under each.
        crops: Files by their names.
        failed: Titles of methods that have no result, and why.
        absent: Titles of methods of another scale.
    """

    measured: list[tuple[str, Measured]] = field(default_factory=list)
    crops: dict[str, bytes] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    absent: list[str] = field(default_factory=list)


class _Known:
    """What the driver knows of the picture in hand, and what comes to it; see `Cache`."""

    def __init__(self) -> None:
        self._known: dict[str, Measured] = {}
        self.new: list[tuple[str, Measured]] = []

    def begin(self, known: Mapping[str, Measured]) -> None:
        """Another picture."""
        self._known, self.new = dict(known), []

    def find(self, key: str) -> Measured | None:
        return self._known.get(key)

    def add(self, key: str, measured: Measured) -> Measured:
        self.new.append((key, measured))
        self._known[key] = measured.after(self._known.get(key))
        return self._known[key]


class Measurer:
    """A worker that measures pictures, one after the other.

    Args:
        order: What to measure.
        identity: What values must depend on, as on the machine that asks for them.
        node: Name of the machine; None for what it calls itself.
    """

    def __init__(self, order: Measuring, identity: Mapping[str, Any], node: str | None = None) -> None:
        self._order, self._identity, self._node = order, identity, node or socket.gethostname()
        self._methods: list[Method] = []
        self._cache = _Known()
        self._ends = ExitStack()
        parent = Path(tempfile.gettempdir())
        remove_leftovers(parent)
        self._crops = CropFolder(self._ends.enter_context(temporary_folder(parent)) / "crops", order.crops)
        self._gauge = Gauge((), self._cache, self._crops)

    def start(self) -> None:
        """Find the methods and metrics.

        Raises:
            InputError: This machine lacks one, or its values would be others than those of others.
        """
        self._methods, specs = self._order.find_methods(), self._order.find_specs()
        self._gauge = Gauge(specs, self._cache, self._crops)
        odd = differing(self._identity, identity_of(self._methods, specs))
        if odd:
            raise InputError(
                f"{self._node}: what is measured here would differ from elsewhere ({', '.join(odd)} differ);"
                " use the same versions and files, on the same kind of processor"
            )

    def close(self) -> None:
        """Leave nothing behind."""
        self._ends.close()

    def measure(self, cell: int, seed: int, titles: Sequence[str], known: Mapping[str, Measured]) -> Found:
        """Measure a picture.

        Args:
            cell: Number of its cell.
            seed: Its place in the benchmark.
            titles: Of the methods that are wanted.
            known: What is known of it already, by the keys of the cache.
        """
        item = _sample(self._order.cells[cell], seed)
        self._cache.begin(known)
        found = Found(self._cache.new)
        for method in self._methods:
            if method.title not in titles:
                continue
            result = self._gauge.measure(item, method)
            if result is None:
                found.absent.append(method.title)
            elif result.error:
                found.failed[method.title] = result.error
        for file in self._crops.folder.glob("*"):
            found.crops[file.name] = file.read_bytes()
            file.unlink()
        return found


def measure_by_workers(
    order: Measuring,
    cache: ResultCache,
    crop_folder: CropFolder | None,
    start: Start,
    *,
    workers: int | None = None,
    on_picture: Callable[[int, int], None] | None = None,
    stop: Event | None = None,
) -> Failed:
    """Let workers measure what is not known yet; all of it is in the cache, line by line, as it comes.

    A picture whose worker is lost is tried again; after `Measuring.tries` losses method by method, each as
    often, and what ends its worker then as well has no result, and no other picture suffers by it.

    Args:
        order: What is measured.
        cache: What is known, and where what is found is kept.
        crop_folder: Gets the crops that come; None for none.
        start: Starts the workers, from the arguments of `Measurer`.
        workers: How many there may be; None for as many as there is room for.
        on_picture: Called with the number of pictures that are measured, and how many were handed out.
        stop: Once set, no further picture is handed out.

    Returns:
        Why pictures have no result; see `evaluate`.

    Raises:
        InputError: No machine can work, or the cache or the crops cannot be written.
    """
    return _Driver(order, cache, crop_folder, workers, on_picture, stop or Event()).run(start)


class _Driver:
    """Hands pictures to workers, and takes in what they find."""

    def __init__(
        self,
        order: Measuring,
        cache: ResultCache,
        crop_folder: CropFolder | None,
        workers: int | None,
        on_picture: Callable[[int, int], None] | None,
        stop: Event,
    ) -> None:
        self._order, self._cache, self._crop_folder = order, cache, crop_folder
        self._gauge = Gauge(order.find_specs(), cache, crop_folder)
        self._workers, self._on_picture, self._stop = workers, on_picture, stop
        self._methods = {method.title: method for method in order.find_methods()}
        self._failed: Failed = {}
        self._absent: set[tuple[str, str]] = set()
        """Benchmarks, and methods of another scale."""
        self._given = self._done = 0

    def run(self, start: Start) -> Failed:
        """Go on until every picture is measured, or it is to stop."""
        jobs = self._jobs()
        first = next(jobs, None)
        if first is None:
            return {}
        identity = identity_of(list(self._methods.values()), self._gauge.specs)
        pool = start({"order": self._order, "identity": identity})
        try:
            every = _after(first, jobs)
            for came in hand_out(every, pool, self._workers, self._stop.is_set, self._after_loss):
                self._take(came.job, came.result)
        finally:
            pool.close()
        return self._failed

    def _jobs(self) -> Iterator[Job]:
        """Pictures of which something is not known."""
        for number, cell in enumerate(self._order.cells):
            for seed in range(len(cell.benchmark.samples)):
                item = _sample(cell, seed)
                titles = [
                    title
                    for title, method in self._methods.items()
                    if (cell.benchmark.name, title) not in self._absent
                    and not self._gauge.is_known(item, method)
                ]
                if titles:
                    self._given += 1
                    yield Job("measure", (number, seed, tuple(titles), self._known_of(item, titles)))

    def _known_of(self, item: EvaluationSample, titles: Sequence[str]) -> dict[str, Measured]:
        """What a worker need not measure again."""
        try:
            keys = [self._gauge.key(item, self._methods[title]) for title in titles]
        except InputError:  # the picture cannot be read, as the worker will find
            return {}
        return {key: found for key in keys if (found := self._cache.find(key)) is not None}

    def _take(self, job: Job, found: Found) -> None:
        """What a worker found, safe on the disk when this returns."""
        number, seed = job.arguments[:2]
        cell = self._order.cells[number]
        for key, measured in found.measured:
            self._cache.add(key, measured)
        if found.crops and self._crop_folder is not None:
            _keep(self._crop_folder.folder, found.crops)
        self._absent |= {(cell.benchmark.name, title) for title in found.absent}
        for title, why in found.failed.items():
            self._failed[_where(cell, seed, title)] = why
        self._done += 1
        if self._on_picture is not None:
            self._on_picture(self._done, self._given)

    def _after_loss(self, job: Job) -> list[Job]:
        """A picture again, or method by method; the method that ends its worker alone as well is named."""
        number, seed, titles, known = job.arguments
        cell = self._order.cells[number]
        name = f"{cell.benchmark.name}, {cell.title}, {cell.benchmark.samples[seed].name}"
        if job.losses < self._order.tries:
            return [job]
        if len(titles) > 1:
            self._given += len(titles) - 1
            return [Job("measure", (number, seed, (title,), known)) for title in titles]
        why = f"{name}: ended its worker, {job.losses} times alone with {titles[0]}; it is left out"
        self._take(job, Found(failed={titles[0]: why}))
        return []


def _after(first: Job, others: Iterator[Job]) -> Iterator[Job]:
    yield first
    yield from others


def _sample(cell: Cell, seed: int) -> EvaluationSample:
    return EvaluationSample(cell, cell.benchmark.samples[seed], seed)


def _where(cell: Cell, seed: int, title: str) -> tuple[str, str, str, str]:
    return cell.benchmark.name, cell.title, cell.benchmark.samples[seed].name, title


def _keep(folder: Path, crops: Mapping[str, bytes]) -> None:
    """Write crops that came."""
    try:
        make_folder(folder, folder.parent)
        for name, content in crops.items():
            with atomic_path(folder / Path(name).name) as temporary:
                temporary.write_bytes(content)
    except OSError as error:
        place = error.filename or folder
        raise InputError(f"{place}: cannot be written ({error.strerror})") from error
