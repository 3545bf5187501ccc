"""What a support set must be at test time: how many patches, and of which photos. Nothing is trained.

    python benchmarks/support_set.py count
    python benchmarks/support_set.py source

`count`: patches of the model's size cut anywhere from the photo itself, so many of them, in several draws;
below them the ones that the model chooses by its rule. `source`: a photo under the condition that it gives of
itself, under that of the other photos (its own degradation's, and every other one's), under the mean of
conditions of tasks drawn as in training, and under a condition of zeros, which leaves of the modulation
what it adds whatever the photo is: the ConditionNet is off. The first column is PSNR, the others are the
change of it with the standard error over the photos.

PSNR on RGB, as many pixels of border left out as the scale says, 8 bit; LPIPS (SqueezeNet) where its files
are. Photo i gets its noise from seed i.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from numpy.typing import NDArray
from places import TEST_PHOTOS, metric_files

from blindsr.degradation import CAMERA, REAL, Degradation, Task, degrade_image, modcrop
from blindsr.degradation.protocols import title_of
from blindsr.engine.torch import load_weights
from blindsr.metrics import lpips, psnr, read_squeeze
from blindsr.network import CMDSR
from blindsr.picture import find_pictures, read
from blindsr.upscaling.upscaler import Adaptation, Upscaler

COUNTS = (1, 5, 10, 20, 40)
MEAN_OF = 60  # tasks

app = typer.Typer(add_completion=False, help=__doc__)
Pixels = NDArray[np.float32]
Metric = Callable[[Pixels, Pixels], float]

Model = Annotated[str, typer.Option(help="Name or folder of an adaptive model.")]
Photos = Annotated[Path, typer.Option(help="Folder of sharp photos.")]
First = Annotated[int, typer.Option(help="So many of them.")]
Threads = Annotated[int, typer.Option(help="CPU threads.")]


def tasks_of(scale: int) -> dict[str, Task]:
    """The degradations: none but shrinking, blur, noise, and one that is drawn as a camera's are."""
    tasks: dict[str, Task] = {
        "clean": Degradation(scale),
        "blur": Degradation(scale, sigma_x=2.0, sigma_y=2.0),
        "noise": Degradation(scale, noise=15.0),
    }
    return tasks | {"camera": replace(CAMERA, scale=scale).sample(np.random.default_rng(0))}


def sharp_photos(folder: Path, first: int, scale: int) -> list[Pixels]:
    """The first of a folder, in colour and cut to whole LR pixels."""
    pixels = [read(file).pixels for file in find_pictures(folder)[:first]]
    return [modcrop(np.repeat(p, 3, axis=2) if p.shape[2] == 1 else p, scale) for p in pixels]


def metrics(scale: int) -> list[Metric]:
    """PSNR, and LPIPS where it can be."""
    found: list[Metric] = [partial(psnr, channel="rgb", border=scale)]
    files = metric_files()[1]
    return found if files is None else [*found, partial(lpips, network=read_squeeze(*files))]


def random_support(lr: Pixels, count: int, side: int, rng: np.random.Generator) -> Pixels:
    """So many patches cut anywhere from a photo, (count, 3, side, side)."""
    corners = [rng.integers(0, length - side + 1, count) for length in lr.shape[:2]]
    patches = [lr[y : y + side, x : x + side] for y, x in zip(*corners, strict=True)]
    return np.ascontiguousarray(np.stack(patches).transpose(0, 3, 1, 2))


def read_from(upscaler: Upscaler, support: Pixels) -> Adaptation:
    """What the model reads from a support set."""
    return Adaptation(*upscaler.engine.condition(support), upscaler.model.name)


def condition_of_zeros(upscaler: Upscaler) -> Adaptation:
    """The modulation that is left when there is no condition."""
    network = load_weights(upscaler.model)
    if not isinstance(network, CMDSR) or network.condition_net is None:
        raise typer.BadParameter(f"{upscaler.model.name} does not adapt")
    with torch.no_grad():
        condition = torch.zeros(1, network.condition_net.size)
        return Adaptation(condition.numpy(), network.modulation(condition).numpy(), upscaler.model.name)


def cell(scores: NDArray[np.float64], sign: str = "") -> str:
    """Means over the rows, (K, metrics), with the standard error of the first if there are several rows."""
    mean = scores.mean(0)
    error = f" ± {scores[:, 0].std(ddof=1) / len(scores) ** 0.5:.2f}" if len(scores) > 1 else ""
    return f"{mean[0]:{sign}.2f}{error}" + "".join(f" / {value:.4f}" for value in mean[1:])


@app.command()
def count(
    model: Model = "cmdsr-x4",
    photos: Photos = TEST_PHOTOS,
    first: First = 6,
    draws: Annotated[int, typer.Option(help="Draws of the patches.")] = 5,
    threads: Threads = 1,
) -> None:
    """How many patches: means over the photos, and the standard error over the draws."""
    upscaler = Upscaler(model, device="cpu", threads=threads)
    scale, spec = upscaler.model.scale, upscaler.model.support
    if spec is None or spec.fixed_count:
        raise typer.BadParameter(f"{model} does not read a condition from any number of patches")
    hr, judges, tasks = sharp_photos(photos, first, scale), metrics(scale), tasks_of(scale)
    lr = {name: [degrade_image(p, task, i) for i, p in enumerate(hr)] for name, task in tasks.items()}
    print(*(f"{name}: {title_of(task)}" for name, task in tasks.items()), sep="\n")
    print(f"\n| patches | {' | '.join(tasks)} |\n|---|{'---|' * len(tasks)}")

    def scores(name: str, adapt: Callable[[Pixels], Adaptation]) -> NDArray[np.float64]:
        """Means over the photos of a task, (metrics,)."""
        restored = [upscaler.upscale(small, support=adapt(small)) for small in lr[name]]
        rows = np.array([[m(sr, p) for m in judges] for sr, p in zip(restored, hr, strict=True)])
        return np.asarray(rows.mean(axis=0))

    for patches in COUNTS:
        cells = []
        for name in tasks:
            rng = np.random.default_rng(patches)
            drawn = [
                scores(name, lambda x: read_from(upscaler, random_support(x, patches, spec.patch, rng)))  # noqa: B023
                for _ in range(draws)
            ]
            cells.append(cell(np.array(drawn)))
        print(f"| {patches} | {' | '.join(cells)} |", flush=True)
    chosen = (cell(scores(name, lambda x: upscaler.adapt([x]))[None]) for name in tasks)
    print(f"| {spec.count}, chosen | {' | '.join(chosen)} |")


@app.command()
def source(
    model: Model = "cmdsr-x4", photos: Photos = TEST_PHOTOS, first: First = 6, threads: Threads = 1
) -> None:
    """Whose patches: a row for each degradation of the photo, a column for each source of its condition."""
    upscaler = Upscaler(model, device="cpu", threads=threads)
    scale = upscaler.model.scale
    hr, judges, tasks = sharp_photos(photos, first, scale), metrics(scale), tasks_of(scale)
    lr = {name: [degrade_image(p, task, i) for i, p in enumerate(hr)] for name, task in tasks.items()}
    own = {name: [upscaler.adapt([small]) for small in pictures] for name, pictures in lr.items()}
    drawn = [replace(REAL, scale=scale).sample(np.random.default_rng(seed)) for seed in range(MEAN_OF)]
    usual = [upscaler.adapt([degrade_image(hr[i % first], task, i)]) for i, task in enumerate(drawn)]
    off = condition_of_zeros(upscaler)

    def others(found: list[Adaptation], i: int) -> Adaptation:
        """The mean of those that were not read from photo i."""
        return Adaptation.mean([part for j, part in enumerate(found) if j % first != i])

    print(*(f"{name}: {title_of(task)}" for name, task in tasks.items()), sep="\n")
    columns = ["itself", *(f"others, {name}" for name in tasks), "mean of tasks", "none"]
    print(f"\n| condition of | {' | '.join(columns)} |\n|---|{'---|' * len(columns)}")
    for name, pictures in lr.items():
        rows = []
        for i, (small, truth) in enumerate(zip(pictures, hr, strict=True)):
            profiles = [others(found, i) for found in own.values()]
            adaptations = [own[name][i], *profiles, others(usual, i), off]
            restored = [upscaler.upscale(small, support=adaptation) for adaptation in adaptations]
            rows.append([[metric(sr, truth) for metric in judges] for sr in restored])
        scores = np.array(rows)  # (photos, columns, metrics)
        scores[:, 1:, 0] -= scores[:, :1, 0]
        cells = [cell(scores[:, 0].mean(0)[None])]
        cells += [cell(scores[:, i], sign="+") for i in range(1, len(adaptations))]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    app()
