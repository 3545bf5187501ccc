"""Methods on benchmarks under degradations: every picture restored and measured, once."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from threading import Event

import numpy as np

from blindsr.dataset.layouts import Sample
from blindsr.degradation import PROTOCOLS, Degradation, Task, degrade, find_tasks, modcrop, resize
from blindsr.degradation.protocols import title_of
from blindsr.degradation.validation import check_keys
from blindsr.errors import BlindSRError, InputError, MissingExtraError, ModelError
from blindsr.evaluation.benchmarks import Benchmark
from blindsr.evaluation.crops import CropFolder, Cut, Group
from blindsr.evaluation.methods import Method, Restorer
from blindsr.evaluation.methods.runtime import runtime
from blindsr.evaluation.metric_specs import Convention, MetricSpec, Pixels
from blindsr.evaluation.result_cache import Cache, Measured, code_digest, digest
from blindsr.metrics.color import rgb_to_y
from blindsr.picture import as_rgb, read
from blindsr.system.files import sha256

log = logging.getLogger(__name__)

GIVEN = "given"
"""Instead of a degradation: the LR pictures that the benchmark has."""


@dataclass(frozen=True)
class Result:
    """What one method made of one picture.

    Args:
        benchmark: The set.
        degradation: How the LR picture came to be, as tables call it.
        sample: The picture.
        method: Whose result.
        seconds: What restoring took.
        width: Columns of the restored picture.
        height: Its rows.
        scores: Values by the name of the spec.
        error: Why there is no result; empty where there is one.
    """

    benchmark: str
    degradation: str
    sample: str
    method: str
    seconds: float = 0.0
    width: int = 0
    height: int = 0
    scores: dict[str, float] = field(default_factory=dict)
    error: str = ""


@dataclass(frozen=True)
class Cell:
    """One benchmark under one degradation.

    Args:
        benchmark: The set.
        degradation: The task; None for the benchmark's own LR pictures.
    """

    benchmark: Benchmark
    degradation: Task | None

    @property
    def title(self) -> str:
        """The degradation as tables call it."""
        return GIVEN if self.degradation is None else title_of(self.degradation)

    @property
    def convention(self) -> Convention:
        """How the cell is measured."""
        return self.benchmark.convention.at(self.benchmark.scale)


@dataclass(frozen=True)
class EvaluationSample:
    """A picture of a cell: what is restored, and what it should be.

    Args:
        cell: Where it belongs.
        sample: Its files.
        seed: Of its noise: its place in the benchmark.
    """

    cell: Cell
    sample: Sample
    seed: int

    @cached_property
    def truth(self) -> Pixels | None:
        """RGB or gray, as the convention compares it; cropped to a multiple of the scale."""
        if self.sample.hr is None:
            return None
        truth = modcrop(self._read(self.sample.hr), self.cell.benchmark.scale)
        if self.cell.degradation is None:
            # A benchmark's LR picture may come from a ground truth that had been cropped.
            height, width = (self.cell.benchmark.scale * side for side in self.lr.shape[:2])
            lack = truth.shape[0] - height, truth.shape[1] - width
            if not all(0 <= pixels < self.cell.benchmark.scale for pixels in lack):
                raise InputError(
                    f"{self.sample.lr}: {self.lr.shape[1]}x{self.lr.shape[0]} pixels are not a "
                    f"{self.cell.benchmark.scale}th of the {truth.shape[1]}x{truth.shape[0]} of "
                    f"{self.sample.hr}"
                )
            truth = truth[:height, :width]
        return truth

    @cached_property
    def lr(self) -> Pixels:
        """What methods are given: RGB in [0, 1], (h, w, 3)."""
        scale, luma = self.cell.benchmark.scale, self.cell.convention.luma
        if self.cell.degradation is None:
            assert self.sample.lr is not None
            lr = as_rgb(self._read(self.sample.lr))
            shrink = self.cell.benchmark.shrink
            if shrink > 1:
                lr = modcrop(lr, shrink)
                small = resize(np.ascontiguousarray(lr.transpose(2, 0, 1)[None]), scale=1 / shrink)[0]
                lr = np.round(small.transpose(1, 2, 0).clip(0, 1) * 255) / np.float32(255)
            return np.ascontiguousarray(lr, np.float32)
        assert self.sample.hr is not None
        hr = as_rgb(modcrop(self._read(self.sample.hr), scale))
        batch = np.ascontiguousarray(hr.transpose(2, 0, 1)[None])
        lr = degrade(batch, self.cell.degradation, self.seed, quantise=not luma)[0].transpose(1, 2, 0)
        return np.ascontiguousarray(lr)

    @cached_property
    def gray(self) -> bool:
        """Whether the restored picture is to be measured as a gray one."""
        if self.truth is not None:
            return bool(self.truth.shape[2] == 1)
        assert self.sample.lr is not None
        return bool(self._read(self.sample.lr).shape[2] == 1)

    @cached_property
    def fault(self) -> str:
        """Why the picture cannot be used, logged once; empty where it can."""
        try:
            _ = self.lr, self.truth
        except BlindSRError as error:
            log.warning("%s, %s: %s", self.cell.benchmark.name, self.sample.name, error)
            return str(error)
        return ""

    @cached_property
    def key(self) -> str:
        """Digest of all that the LR picture and the ground truth depend on."""
        cell, files = self.cell, (self.sample.hr, self.sample.lr)
        try:
            found = [None if file is None else sha256(file) for file in files]
        except OSError as error:
            raise InputError(f"{error.filename}: cannot be read ({error.strerror})") from error
        if cell.degradation is not None:  # the benchmark's own LR picture is not looked at
            found[1] = None
        task = None if cell.degradation is None else cell.degradation.as_dict()
        seed = self.seed if cell.degradation is not None else 0
        benchmark = cell.benchmark
        convention = cell.convention
        return digest(
            found,
            task,
            seed,
            benchmark.scale,
            benchmark.shrink,
            convention.luma,
            convention.gray,
            code_digest(),
            runtime("numpy", "pyvips", "pillow"),
        )

    def _read(self, file: Path) -> Pixels:
        pixels = read(file).pixels
        if self.cell.convention.luma and pixels.shape[2] == 3:
            pixels = (np.round(rgb_to_y(pixels)) / 255)[:, :, None].astype(np.float32)
        return pixels if self.cell.convention.gray else as_rgb(pixels)


def cells_of(benchmark: Benchmark, degradations: Sequence[str]) -> list[Cell]:
    """A benchmark under the degradations that were asked for.

    Args:
        benchmark: The set.
        degradations: As `Degradation.parse` reads them, names of `PROTOCOLS`, or `GIVEN`; none at all takes
            the benchmark's own LR pictures, and bicubic shrinking where it has none. A benchmark without
            ground truth is always taken as it is.

    Raises:
        InputError: A degradation cannot be read, or has another scale.
    """
    if not benchmark.has_truth:
        return [Cell(benchmark, None)]
    if not degradations:
        return [Cell(benchmark, None if benchmark.has_lr else Degradation(benchmark.scale))]
    cells = []
    for text in degradations:
        if text == GIVEN:
            if benchmark.has_lr:
                cells.append(Cell(benchmark, None))
            continue
        if text and "=" not in text:
            check_keys("--degrade", [text], (*PROTOCOLS, GIVEN), "name")
            cells += [Cell(benchmark, task) for task in find_tasks(text, benchmark.scale)]
            continue
        task = Degradation.parse(text, scale=benchmark.scale)
        if task.scale != benchmark.scale:
            raise InputError(f"--degrade {text}: {benchmark.name} is taken at scale {benchmark.scale}")
        cells.append(Cell(benchmark, task))
    if not cells:
        raise InputError(f"{benchmark.name} has no LR pictures of its own; give another --degrade")
    return list({cell.title: cell for cell in cells}.values())


Failed = dict[tuple[str, str, str, str], str]
"""Titles of a set and a degradation, name of a picture, title of a method -> why there is no result."""


def evaluate(
    methods: Sequence[Method],
    cells: Sequence[Cell],
    specs: Sequence[MetricSpec],
    cache: Cache,
    crop_folder: CropFolder | None = None,
    on_result: Callable[[Result], None] | None = None,
    stop: Event | None = None,
    failed: Failed | None = None,
) -> list[Result]:
    """Restore and measure every picture of every cell by every method, what is known left out.

    Image i of a benchmark gets its noise from seed i. A picture that cannot be read, restored or measured is
    a result with an `error`, and so is every picture of a method that cannot be loaded. A method of
    another scale takes no part in a cell; that is logged once for each benchmark.

    Args:
        methods: With titles of their own each.
        cells: Where they meet.
        specs: What is measured; those that need ground truth are left out where there is none.
        cache: What is known, and where what is found is kept.
        crop_folder: Keeps crops of some pictures; None for none.
        on_result: Called with each result.
        stop: Once set, no further picture is begun.
        failed: What was tried elsewhere already, and why each has no result; it is not tried here.

    Returns:
        The results, by cell, picture and method.

    Raises:
        InputError: Two methods have one title, or the cache cannot be written.
    """
    titles = [method.title for method in methods]
    for title in titles:
        if titles.count(title) > 1:
            raise InputError(f"two methods are called {title}; rename one: OTHER={title}")
    results: list[Result] = []
    gauge = Gauge(specs, cache, crop_folder, failed)
    for cell in cells:
        for seed, sample in enumerate(cell.benchmark.samples):
            item = EvaluationSample(cell, sample, seed)
            group = None
            if crop_folder is not None and seed < crop_folder.samples:
                group = crop_folder.begin(cell.benchmark.name, cell.title, sample.name)
            for method in methods:
                if stop is not None and stop.is_set():
                    return results
                result = gauge.measure(item, method, group)
                if result is not None:
                    results.append(result)
                    if on_result is not None:
                        on_result(result)
    return results


class Gauge:
    """Measures pictures one by one; what makes a method unusable, or is worth a line, it finds once.

    Args:
        specs: As of `evaluate`, like the others.
        cache: As there.
        crop_folder: As there.
        failed: As there.
    """

    def __init__(
        self,
        specs: Sequence[MetricSpec],
        cache: Cache,
        crop_folder: CropFolder | None = None,
        failed: Failed | None = None,
    ) -> None:
        self.specs, self._crop_folder = specs, crop_folder
        self._cache, self._failed = cache, failed or {}
        self._unusable: dict[str, str] = {}
        self._said: set[str] = set()

    def key(self, item: EvaluationSample, method: Method) -> str:
        """What the cache knows a picture's restoration by.

        Raises:
            InputError: The picture cannot be read.
        """
        return digest(item.key, method.identity)

    def is_known(self, item: EvaluationSample, method: Method) -> bool:
        """Whether there is nothing to be restored for a result, or for why there is none."""
        try:
            known = self.key(item, method)
        except InputError:
            return False
        measured = self._cache.find(known)
        return measured is not None and not self._missing(item, measured) and self._has_crops(item, known)

    def measure(self, item: EvaluationSample, method: Method, group: Group | None = None) -> Result | None:
        """One picture by one method.

        Args:
            item: The picture.
            method: The method.
            group: Gets the names of the crops; None where nobody wants to know them.

        Returns:
            The result; None where their scales differ, which is said once.

        Raises:
            InputError: The cache cannot be written.
        """
        cell = item.cell
        where = (cell.benchmark.name, cell.title, item.sample.name, method.title)
        if where in self._failed:
            self._say_once(", ".join(where[:3]) + f": {self._failed[where]}")
            return Result(*where, error=self._failed[where])
        if method.title in self._unusable:
            return Result(*where, error=self._unusable[method.title])
        try:
            known = self.key(item, method)
            measured = self._cache.find(known)
            if measured is None or self._missing(item, measured) or not self._has_crops(item, known):
                try:
                    restorer = method.restorer
                except (ModelError, MissingExtraError) as error:
                    log.warning("%s takes no part: %s", method.title, error)
                    self._unusable[method.title] = str(error)
                    return Result(*where, error=str(error))
                scale = cell.benchmark.scale
                if restorer.scale not in (None, scale):
                    self._say_once(
                        f"{method.title} is x{restorer.scale}: no part in {cell.benchmark.name}, x{scale}"
                    )
                    return None
                if item.fault:
                    return Result(*where, error=item.fault)
                measured = self._cache.add(known, self._restored(item, restorer, known, measured))
            if self._crop_folder is not None and group is not None:
                _list_crops(self._crop_folder, group, item, method.title, known)
        except (BlindSRError, MemoryError) as error:
            text = str(error) or "not enough memory"
            log.warning("%s, %s, %s, %s: %s", *where, text)
            return Result(*where, error=text)
        scores = {spec.name: measured.scores[spec.key(cell.convention)] for spec in self._wanted(item)}
        return Result(*where, measured.seconds, measured.width, measured.height, scores)

    def _restored(
        self, item: EvaluationSample, restorer: Restorer, known: str, measured: Measured | None
    ) -> Measured:
        """A picture restored, and in it measured what is missing; its crops are kept."""
        cell = item.cell
        start = time.perf_counter()
        restored = restorer.restore(item.lr, cell.benchmark.scale)
        seconds = time.perf_counter() - start
        if item.gray:
            restored = restored.mean(axis=2, keepdims=True)
        missing = self._missing(item, measured)
        scores = {
            spec.key(cell.convention): spec.of(restored, item.truth, cell.convention) for spec in missing
        }
        height, width = restored.shape[:2]
        crops = self._crops_of(item)
        if crops is not None:
            cut = crops.cut(item.lr, cell.benchmark.scale)
            crops.keep(known, lambda: cut.of_restored(restored))
            _keep_sides(crops, item, cut)
        return Measured(seconds, width, height, scores)

    def _wanted(self, item: EvaluationSample) -> list[MetricSpec]:
        return [spec for spec in self.specs if item.sample.hr is not None or not spec.needs_truth]

    def _missing(self, item: EvaluationSample, measured: Measured | None) -> list[MetricSpec]:
        """What is still to be measured of a picture."""
        known = {} if measured is None else measured.scores
        return [spec for spec in self._wanted(item) if spec.key(item.cell.convention) not in known]

    def _crops_of(self, item: EvaluationSample) -> CropFolder | None:
        """Where the picture's crops are kept; None where nobody wants them."""
        folder = self._crop_folder
        return folder if folder is not None and item.seed < folder.samples else None

    def _has_crops(self, item: EvaluationSample, known: str) -> bool:
        crops = self._crops_of(item)
        keys = (known, *_sides(item).values())
        return crops is None or all(crops.file(key).is_file() for key in keys)

    def _say_once(self, text: str) -> None:
        """A line of the log that was not there before."""
        if text not in self._said:
            self._said.add(text)
            log.warning("%s", text)


def _sides(item: EvaluationSample) -> dict[str, str]:
    """Keys of the crops that are no method's, by title."""
    sides = {"LR": digest(item.key, "lr")}
    if item.sample.hr is not None:
        sides["ground truth"] = digest(item.key, "truth")
    return sides


def _keep_sides(crop_folder: CropFolder, item: EvaluationSample, cut: Cut) -> None:
    """Keep the crops of the LR picture and the ground truth."""
    sides = _sides(item)
    crop_folder.keep(sides["LR"], lambda: cut.of_lr(item.lr))
    if item.truth is not None:
        truth = item.truth
        crop_folder.keep(sides["ground truth"], lambda: cut.of_restored(truth))


def _list_crops(
    crop_folder: CropFolder, group: Group, item: EvaluationSample, title: str, known: str
) -> None:
    """Note which crops there are: the LR picture first, the ground truth last."""
    sides = _sides(item)
    last = group.crops.pop("ground truth", None)
    group.crops.setdefault("LR", crop_folder.file(sides["LR"]))
    group.crops[title] = crop_folder.file(known)
    if last is not None or "ground truth" in sides:
        group.crops["ground truth"] = crop_folder.file(sides["ground truth"])
