"""What a network should see beyond a photo's rim: zeros, or how far the photo's own pixels, and which.

    python benchmarks/rim.py --model cria-x4-compact --model cmdsr-x4

Each way is measured by two things. *Frame*: how far the outermost rows and columns (one LR pixel wide) of
flat photos (eight colours, 24x24 LR pixels) stray from the mean of their inside, levels of 255, mean and
worst of the colours; *lattice* is how far the inside itself strays. *Rim*: PSNR on Y of the same rows and
columns of test photos, mean over a set. The test photos are cut out of larger ones after these were degraded,
so that nobody knows what lies beyond their rims.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from places import DATA

from blindsr.degradation import Degradation
from blindsr.engine import Engine, choose_engine
from blindsr.evaluation.benchmarks import find_benchmark
from blindsr.evaluation.metric_specs import Convention
from blindsr.evaluation.runner import Cell, EvaluationSample
from blindsr.metrics.convention import planes
from blindsr.models.card import Model
from blindsr.models.catalogue import find_model
from blindsr.upscaling.support import select_support

Pixels = NDArray[np.float32]

TASKS = ("", "blur=1.3,noise=15", "blur=2.6")
COLOURS = (
    (255, 255, 255), (250, 250, 250), (235, 200, 90), (128, 128, 128), (20, 20, 20), (200, 60, 60),
    (70, 120, 200), (90, 160, 90),
)  # fmt: skip
WAYS: dict[str, tuple[str, int]] = {
    "zeros": ("constant", 0),
    "the outermost pixel, 8": ("edge", 8),
    "reflected in the middle of the outermost pixel, 8": ("reflect", 8),
    "reflected at the edge, 4": ("symmetric", 4),
    "reflected at the edge, 8 (ours)": ("symmetric", 8),
    "reflected at the edge, 16": ("symmetric", 16),
}
CUT = 12  # LR pixels of a test picture that are left out on each side
LARGEST = 130  # side of a test picture, LR pixels


@dataclass(frozen=True)
class Restorer:
    """A model that takes its pictures as they are."""

    model: Model
    engine: Engine

    def __call__(self, lr: Pixels, mode: str, margin: int) -> Pixels:
        """Restore (H, W, 3), extended by NumPy's `mode`."""
        modulation = None
        if self.model.support is not None:
            support = select_support(lr, self.model.support.count, self.model.support.patch)
            modulation = self.engine.condition(support)[1]
        around = [(margin, margin), (margin, margin), (0, 0)]
        extended = np.pad(lr, around, mode=mode)  # type: ignore[call-overload]
        sr = self.engine.upscale(np.ascontiguousarray(extended.transpose(2, 0, 1)[None]), modulation)
        end = margin * self.model.scale
        inside: Pixels = sr[0, :, end : sr.shape[2] - end, end : sr.shape[3] - end]
        return inside.transpose(1, 2, 0).clip(0, 1)


def outermost(height: int, width: int, wide: int) -> NDArray[np.bool_]:
    """Where the outermost rows and columns lie."""
    rim = np.ones((height, width), bool)
    rim[wide:-wide, wide:-wide] = False
    return rim


def frame(restore: Restorer, mode: str, margin: int) -> tuple[list[float], list[float]]:
    """How far the rim and the inside of each flat photo stray from the inside's mean, levels."""
    scale, rims, insides = restore.model.scale, [], []
    for colour in COLOURS:
        lr = np.broadcast_to(np.float32(colour) / 255, (24, 24, 3)).astype(np.float32)
        sr = 255 * restore(lr, mode, margin)
        inside = sr[8 * scale : -8 * scale, 8 * scale : -8 * scale]
        mean = inside.mean((0, 1))
        rims.append(float(np.abs(sr[outermost(*sr.shape[:2], scale)] - mean).max()))
        insides.append(float(np.abs(inside - mean).max()))
    return rims, insides


def photos(name: str, root: Path, scale: int, task: str) -> list[tuple[Pixels, Pixels]]:
    """LR photos without their outermost pixels, and their truth."""
    benchmark = replace(find_benchmark(name, root, scale), convention=Convention(gray=False))
    cell, pairs = Cell(benchmark, Degradation.parse(task, scale=scale)), []
    for seed, sample in enumerate(benchmark.samples):
        item = EvaluationSample(cell, sample, seed)
        if item.truth is not None and max(item.lr.shape[:2]) <= LARGEST:
            end = CUT * scale
            lr = np.ascontiguousarray(item.lr[CUT:-CUT, CUT:-CUT])
            pairs.append((lr, item.truth[end:-end, end:-end]))
    return pairs


def rim_psnr(restore: Restorer, pairs: Sequence[tuple[Pixels, Pixels]], mode: str, margin: int) -> float:
    """Mean PSNR of the outermost rows and columns."""
    found = []
    for lr, hr in pairs:
        levels = (planes(picture, "y", 0, True)[0] for picture in (restore(lr, mode, margin), hr))
        error = np.square(np.subtract(*levels))[outermost(*hr.shape[:2], restore.model.scale)]
        found.append(10 * np.log10(255**2 / error.mean()))
    return float(np.mean(found))


def main(
    model: Annotated[list[str], typer.Option(help="Name or folder of a model.")],
    data: Annotated[Path, typer.Option(help="Folder that the test sets lie below.")] = DATA,
    dataset: Annotated[str, typer.Option(help="Test set.")] = "Set5",
    precision: Annotated[str, typer.Option(help="fp32 or int8.")] = "fp32",
    threads: Annotated[int, typer.Option(help="CPU threads.")] = 2,
) -> None:
    """Print a table for each model."""
    for name in model:
        card = find_model(name)
        restore = Restorer(card, choose_engine(card, "cpu", threads, precision))
        sets = {task: photos(dataset, data, card.scale, task) for task in TASKS}
        titles = [f"rim, {task or 'bicubic'}" for task in TASKS]
        print(f"\n| {card.name}, {precision}; {dataset} | {' | '.join(('frame', 'lattice', *titles))} |")
        print(f"|{'---|' * (3 + len(TASKS))}")
        for way, (mode, margin) in WAYS.items():
            rims, insides = frame(restore, mode, margin)
            scores = [f"{rim_psnr(restore, pairs, mode, margin):.2f}" for pairs in sets.values()]
            strays = (f"{np.mean(one):.1f} / {max(one):.1f}" for one in (rims, insides))
            print(f"| {way} | {' | '.join((*strays, *scores))} |", flush=True)


if __name__ == "__main__":
    typer.run(main)
