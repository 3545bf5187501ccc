"""Does a photo's own condition restore it as well as one fitted to its task, or as one told the task?

    python benchmarks/best_condition.py --model cmdsr-x4 --photos $BLINDSR_BENCHMARKS/data/train

For each degradation one condition is fitted, by gradient steps on photos that the model was trained on, the
network staying as it is: about what the BaseNet can do for a task that is read without fault. It is compared
with the condition that each test picture gives of itself, and with that of a small network that is told the
task's parameters and trained for all tasks at once, which no fit to one task is. PSNR on Y, 4 pixels of
border left out, 8 bit.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from numpy.typing import NDArray
from places import DATA, TRAINING_PHOTOS
from torch import Tensor

from blindsr.dataset import PhotoCache
from blindsr.dataset.crops import Crop
from blindsr.dataset.layouts import training_photos
from blindsr.dataset.photos import split_holdout
from blindsr.degradation import REAL, Degradation, degrade
from blindsr.engine.instructions import has_bf16_instructions
from blindsr.engine.torch import load_weights
from blindsr.evaluation.benchmarks import find_benchmark
from blindsr.evaluation.metric_specs import Convention
from blindsr.evaluation.runner import Cell, EvaluationSample
from blindsr.loss import PARAMETERS, task_parameters
from blindsr.metrics import psnr
from blindsr.models.catalogue import find_model
from blindsr.network import CMDSR, Oracle
from blindsr.upscaling.support import select_support

TASKS = ("", "blur=1.3", "blur=2.6", "blur=0.2,noise=15", "blur=2.6,noise=15", "blur=0.7,noise=5,jpeg=75")
SIDE = 192  # of the photos fitted to, HR pixels
EDGE = 32  # HR pixels of each side that do not count there: the network sees no further


def descend(
    network: CMDSR, lr: Tensor, hr: Tensor, condition: Tensor, optimiser: torch.optim.Optimizer
) -> None:
    """One gradient step by L1, for photos under one condition, (1, C), or each under its own, (K, C)."""
    with torch.autocast("cpu", torch.bfloat16, enabled=has_bf16_instructions()):
        sr = network(lr, network.modulation(condition))
    loss = (sr.float() - hr)[..., EDGE:-EDGE, EDGE:-EDGE].abs().mean()
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()


def fit(network: CMDSR, lr: Tensor, hr: Tensor, steps: int, rng: np.random.Generator) -> Tensor:
    """A condition, (1, C), that restores these photos well, by L1."""
    start = network.condition(lr).detach()
    condition = start.clone().requires_grad_()
    optimiser = torch.optim.Adam([condition], lr=0.03 * float(start.std()))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(steps):
        chosen = torch.from_numpy(rng.integers(len(lr), size=8))
        descend(network, lr[chosen], hr[chosen], condition, optimiser)
        schedule.step()
    return condition.detach()


def teach(network: CMDSR, hr: Tensor, steps: int, rng: np.random.Generator) -> Oracle:
    """A network from a task's parameters to its condition, trained by L1."""
    start = network.condition(degrade(hr, Degradation.parse("", scale=network.scale), 0))[0]
    oracle = Oracle(PARAMETERS, len(start))
    oracle.start(start)
    optimiser = torch.optim.Adam(oracle.parameters(), lr=1e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(steps):
        chosen = torch.from_numpy(rng.integers(len(hr), size=8))
        tasks = [REAL.sample(rng) for _ in chosen]
        seeds = rng.integers(2**31, size=len(tasks))
        pairs = zip(chosen, tasks, seeds, strict=True)
        lr = torch.cat([degrade(hr[i][None], task, int(seed)) for i, task, seed in pairs])
        descend(network, lr, hr[chosen], oracle(task_parameters(tasks)), optimiser)
        schedule.step()
    return oracle.requires_grad_(False)


@torch.no_grad()
def restore(network: CMDSR, lr: Tensor, condition: Tensor) -> NDArray[np.float32]:
    """(1, 3, h, w) -> (sh, sw, 3)."""
    restored = network.restore(lr, modulation=network.modulation(condition))
    sr: NDArray[np.float32] = restored[0].permute(1, 2, 0).numpy()
    return sr


def main(
    model: Annotated[str, typer.Option(help="Name or folder of an adaptive model.")] = "cmdsr-x4",
    photos: Annotated[Path, typer.Option(help="Folder of the photos it was trained on.")] = TRAINING_PHOTOS,
    data: Annotated[Path, typer.Option(help="Folder that the test set lies below.")] = DATA,
    dataset: Annotated[str, typer.Option(help="Test set.")] = "Set5",
    cache: Annotated[Path, typer.Option(help="Folder for decoded photos.")] = Path(".cache/photos"),
    crops: Annotated[int, typer.Option(help="Photos fitted to.")] = 96,
    steps: Annotated[int, typer.Option(help="Gradient steps of each fit.")] = 160,
    told_steps: Annotated[int, typer.Option(help="Gradient steps of what is told the task.")] = 1200,
) -> None:
    """Print the table."""
    card = find_model(model)
    network = load_weights(card).requires_grad_(False).eval()
    if not isinstance(network, CMDSR) or card.support is None or card.pixel_range != 1:
        raise typer.BadParameter(f"{model} does not adapt, or is not of photos in [0, 1]")
    rng = np.random.default_rng(0)
    torch.manual_seed(0)  # the weights that what is told the task starts from
    _, files = split_holdout(training_photos(photos), 8)
    store = PhotoCache(files, cache, SIDE)
    chosen = (store[int(i)] for i in rng.choice(len(files), crops, replace=False))
    hr = np.stack([Crop.draw(pixels.shape, SIDE, rng).cut(pixels) for pixels in chosen])
    fitted_to = torch.from_numpy(hr).float() / 255  # (K, 3, SIDE, SIDE)
    benchmark = replace(find_benchmark(dataset, data, card.scale), convention=Convention(gray=False))
    oracle = teach(network, fitted_to, told_steps, rng)
    columns = "own condition | told the task | fitted to the task"
    print(f"| {dataset}, x{card.scale} | {columns} |\n|---|---|---|---|")
    for text in TASKS:
        task = Degradation.parse(text, scale=card.scale)
        fitted = fit(network, degrade(fitted_to, task, 1), fitted_to, steps, rng)
        told = oracle(task_parameters([task]))
        scores = []
        for seed, sample in enumerate(benchmark.samples):
            item = EvaluationSample(Cell(benchmark, task), sample, seed)
            support = select_support(item.lr, card.support.count, card.support.patch)
            own = network.condition(torch.from_numpy(support))
            lr = torch.from_numpy(item.lr.transpose(2, 0, 1)[None].copy())
            results = (restore(network, lr, condition) for condition in (own, told, fitted))
            assert item.truth is not None
            scores.append([psnr(sr, item.truth, border=card.scale) for sr in results])
        means = " | ".join(f"{mean:.2f}" for mean in np.mean(scores, 0))
        print(f"| {text or 'bicubic'} | {means} |", flush=True)


if __name__ == "__main__":
    typer.run(main)
