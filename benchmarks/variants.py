"""What each choice in cmdsr-x4 buys: variants trained for the same CPU time, compared by quality and speed.

    python benchmarks/variants.py --photos data/train --minutes 5
    python benchmarks/variants.py --photos data/train --minutes 5 --study condition --seeds 3

Each variant is the shipped configuration from random weights, with one thing changed. All get the same CPU
time of one thread (of the process, so that a busy machine does not matter much), whatever a step of theirs
costs: a short run tells how many steps that is, over which the learning rate then falls. On a machine whose
other work slows them unevenly, `--steps` gives all the same number of steps instead. Printed are PSNR and
SSIM on the photos held out, the mean over the validation's degradations, and how long the exported model
takes for a megapixel of output with 32-bit numbers, all in turn in one process. Of several seeds (first
weights, tasks and crops) it is their mean and its standard error. A variant that was trained for as long
before, or for as many steps, into the same folder, is not trained again.
"""

from __future__ import annotations

import json
import multiprocessing
import re
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import numpy as np
import typer

from blindsr import Upscaler
from blindsr.export.graphs import export_checkpoint
from blindsr.network import build_network
from blindsr.training import Progress, load_config, train

BASE = "as shipped"
CONFIG = Path(__file__).parents[1] / "configs" / "cmdsr_x4_attentive.yaml"
FROM_SCRATCH = ["init=null", "optimiser.after=0", "optimiser.lr=5.0e-4"]
NET = "network.basenet={name: srresnet, scale: 4, channels: %d, blocks: %d, tail: %s, skip: %s, ends: %s}"
CONDITION = "network.condition={name: attentive, size: %d, width: 32}"
VARIANTS: dict[str, list[str]] = {
    BASE: [],
    "patches averaged": ["network.condition={name: patches, size: 128, width: 32}"],
    "patches stacked": ["network.condition={name: stacked, support: 4, size: 128, width: 32}"],
    "no ConditionNet": ["network.condition=null", "loss.regression=0"],
    "tasks not read": ["loss.regression=0"],
    "tasks not contrasted": ["loss.contrastive=0"],
    "condition at both ends": [NET % (48, 8, "direct", "true", "true")],
    "wide: 4 blocks of 64": [NET % (64, 4, "direct", "true", "false")],
    "deep: 18 blocks of 32": [NET % (32, 18, "direct", "true", "false")],
    "published tail, 7 blocks of 32": [NET % (32, 7, "shuffle", "true", "false")],
    "no bicubic skip": [NET % (48, 8, "direct", "false", "false")],
    "no SSIM": ["loss.structural=0"],
    "14 tasks, patches of 24": ["data.tasks=14", "data.patch=24"],
    "4 tasks, patches of 48": ["data.tasks=4", "data.patch=48"],
    "32-bit training": ["precision=32-true"],
    "condition of 16": [CONDITION % 16],
    "condition of 512": [CONDITION % 512],
    "1 support patch": ["data.support=1"],
    "16 support patches": ["data.support=16"],
    "VDSR: 10 convolutions of 24": ["network.basenet={name: vdsr, scale: 4, channels: 24, depth: 10}"],
    "IDN: 4 blocks of 64": ["network.basenet={name: idn, scale: 4, channels: 64, distilled: 16, blocks: 4}"],
}
STUDIES = {
    "losses": [BASE, "tasks not contrasted", "tasks not read", "no SSIM"],
    "condition": [BASE, "no ConditionNet", "condition of 16", "condition of 512"],
    "pooling": [BASE, "patches averaged", "patches stacked"],
    "support": [BASE, "1 support patch", "16 support patches"],
    "basenet": [BASE, "VDSR: 10 convolutions of 24", "IDN: 4 blocks of 64"],
}
_WARMUP = {"optimiser": 0.4, "condition_optimiser": 0.1}
"""The rates rise over no more than this share of a run."""
_TRIAL = 40  # steps that tell how long one takes; the first half warms up
_SIDE = 256  # LR pixels


@dataclass(frozen=True)
class Trained:
    """One variant after its time; no minutes if the steps were given."""

    name: str
    seed: int
    minutes: float
    parameters: int
    steps: int
    psnr: float
    ssim: float


def run(
    name: str, photos: Path, cache: Path, minutes: float, steps: int | None, seeds: int, out: Path
) -> list[Trained]:
    """Train one variant for so many steps, or minutes of CPU time, from each of so many seeds; export it."""
    settings = [f"data.photos={photos}", f"data.cache={cache}", "threads=1", *FROM_SCRATCH, *VARIANTS[name]]
    found: list[Trained] = []
    if steps is not None:
        minutes = 0
    for seed in range(seeds):
        kept = _folder(out, name, seed) / "trained.json"
        before = Trained(**json.loads(kept.read_text())) if kept.exists() else None
        if before is not None and before.minutes == minutes and steps in (None, before.steps):
            found.append(before)
            steps = before.steps
            continue
        if steps is None:
            steps = max(1, round(60 * minutes / _step_time(settings)))
        found.append(_train(name, seed, minutes, steps, settings, kept.parent))
        kept.write_text(json.dumps(asdict(found[-1])))
    return found


def _step_time(settings: list[str]) -> float:
    """Seconds of CPU time."""
    told: list[tuple[int, float]] = []
    trial = [f"steps={_TRIAL}", f"log_every={_TRIAL // 2}", "data.holdout=0"]
    with tempfile.TemporaryDirectory() as scratch:
        config = load_config(CONFIG, [*settings, *trial])
        train(config, Path(scratch), report=lambda state: told.append((state.step, time.process_time())))
    (first, begun), (last, done) = next(t for t in told if t[0] >= _TRIAL // 2), told[-1]
    return (done - begun) / (last - first)  # whatever else was told in between, when a state was kept


def _train(name: str, seed: int, minutes: float, steps: int, settings: list[str], folder: Path) -> Trained:
    """Train a variant for so many steps, and export it."""
    told: list[Progress] = []
    usual: Any = load_config(CONFIG, settings)
    warmups = {group: getattr(usual, group).warmup for group in _WARMUP}
    changes = [f"{group}.warmup={min(w, round(_WARMUP[group] * steps))}" for group, w in warmups.items()]
    length = [f"steps={steps}", f"validation.every={steps}", f"seed={usual.seed + seed}"]
    config = load_config(CONFIG, [*settings, *changes, *length])
    checkpoint = train(config, folder, report=told.append)
    scores = told[-1].scores
    assert scores is not None  # it validates at its last step
    psnr, ssim, _ = scores.rows["mean"]
    export_checkpoint(checkpoint, folder / "model")
    parameters = sum(p.numel() for p in build_network(config.network).parameters())
    return Trained(name, seed, minutes, parameters, steps, psnr, ssim)


def _folder(out: Path, name: str, seed: int) -> Path:
    return out / f"{re.sub(r'[^a-zA-Z0-9]+', '-', name)}-{seed}"


def mean_of(values: list[float], digits: int) -> str:
    """A mean, with its standard error if there are several values."""
    mean = f"{np.mean(values):.{digits}f}"
    if len(values) == 1:
        return mean
    return f"{mean} ± {np.std(values, ddof=1) / len(values) ** 0.5:.{digits}f}"


def time_models(models: list[Path], rounds: int) -> list[float]:
    """Milliseconds for a megapixel of output, each the median of its turns."""
    upscalers = [Upscaler(model, device="cpu", threads=1, precision="fp32") for model in models]
    pixels = np.random.default_rng(0).random((_SIDE, _SIDE, 3), np.float32)
    taken: list[list[float]] = [[] for _ in models]
    for turn in range(rounds + 1):
        for times, upscaler in zip(taken, upscalers, strict=True):
            start = time.perf_counter()
            result = upscaler.upscale(pixels)
            if turn:  # the first warms up
                times.append((time.perf_counter() - start) * 1e9 / (result.shape[0] * result.shape[1]))
    return [median(times) for times in taken]


def main(
    photos: Annotated[Path, typer.Option(help="Folder of sharp photos.")] = Path("data/train"),
    minutes: Annotated[float, typer.Option(help="CPU time of each.")] = 5.0,
    steps: Annotated[int | None, typer.Option(help="Steps of each, instead of a time.")] = None,
    variant: Annotated[list[str] | None, typer.Option(help=f"Of {', '.join(VARIANTS)}; default all.")] = None,
    study: Annotated[
        list[str] | None, typer.Option(help=f"Some that belong together: {', '.join(STUDIES)}.")
    ] = None,
    seeds: Annotated[int, typer.Option(help="Runs of each.")] = 1,
    processes: Annotated[int, typer.Option(help="Runs side by side.")] = 2,
    rounds: Annotated[int, typer.Option(help="Turns of the clock.")] = 5,
    cache: Annotated[Path, typer.Option(help="Folder for decoded photos.")] = Path(".cache/photos"),
    out: Annotated[Path, typer.Option(help="Folder for the runs.")] = Path("runs/variants"),
) -> None:
    """Train them and print the table."""
    arguments = [(name, photos, cache, minutes, steps, seeds, out) for name in chosen(variant, study)]
    with multiprocessing.get_context("spawn").Pool(processes, maxtasksperchild=1) as pool:
        trained = pool.starmap(run, arguments, chunksize=1)
    models = [_folder(out, runs[0].name, 0) / "model" for runs in trained]
    print("| variant | parameters | steps | PSNR | SSIM | ms / MP |\n|---|---|---|---|---|---|")
    for runs, milliseconds in zip(trained, time_models(models, rounds), strict=True):
        first = runs[0]
        quality = f"{mean_of([r.psnr for r in runs], 3)} | {mean_of([r.ssim for r in runs], 4)}"
        print(f"| {first.name} | {first.parameters} | {first.steps} | {quality} | {milliseconds:.0f} |")


def chosen(variants: list[str] | None, studies: list[str] | None) -> list[str]:
    """Names of the variants asked for, each once; all if none is."""
    for name, known in [*((v, VARIANTS) for v in variants or []), *((s, STUDIES) for s in studies or [])]:
        if name not in known:
            raise typer.BadParameter(f"{name!r} is not one of {', '.join(known)}")
    asked = [*(variants or []), *(name for study in studies or [] for name in STUDIES[study])]
    return list(dict.fromkeys(asked)) or list(VARIANTS)


if __name__ == "__main__":
    typer.run(main)
