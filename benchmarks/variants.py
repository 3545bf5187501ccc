"""What each choice in cmdsr-x4 buys: variants trained for the same CPU time, compared by quality and speed.

    python benchmarks/variants.py --photos data/train --minutes 5

Each variant is the shipped configuration from random weights, with one thing changed. All get the same CPU
time of one thread (of the process, so that a busy machine does not matter much), whatever a step of theirs
costs: a short run tells how many steps that is, over which the learning rate then falls. Printed are PSNR and
SSIM on the photos held out, the mean over the validation's degradations, and how long the exported model
takes for a megapixel of output with 32-bit numbers, all in turn in one process. A variant that was trained
for as long before, into the same folder, is not trained again.
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
from typing import Annotated

import numpy as np
import typer

from blindsr import Upscaler
from blindsr.export.graphs import export_checkpoint
from blindsr.network import build_network
from blindsr.training import Progress, load_config, train

CONFIG = Path(__file__).parents[1] / "configs" / "cmdsr_x4_attentive.yaml"
FROM_SCRATCH = ["init=null", "optimiser.after=0", "optimiser.lr=5.0e-4"]
NET = "network.basenet={name: srresnet, scale: 4, channels: %d, blocks: %d, tail: %s, skip: %s, ends: %s}"
VARIANTS: dict[str, list[str]] = {
    "as shipped": [],
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
}
_TRIAL = 40  # steps that tell how long one takes; the first half warms up
_SIDE = 256  # LR pixels


@dataclass(frozen=True)
class Trained:
    """One variant after its time."""

    name: str
    minutes: float
    parameters: int
    steps: int
    psnr: float
    ssim: float


def run(name: str, photos: Path, cache: Path, minutes: float, out: Path) -> Trained:
    """Train one variant for so many minutes of CPU time, and export it."""
    folder = _folder(out, name)
    kept = folder / "trained.json"
    if kept.exists() and (found := Trained(**json.loads(kept.read_text()))).minutes == minutes:
        return found
    settings = [f"data.photos={photos}", f"data.cache={cache}", "threads=1", *FROM_SCRATCH, *VARIANTS[name]]
    ticks: list[float] = []
    trial = [f"steps={_TRIAL}", f"log_every={_TRIAL // 2}", "data.holdout=0"]
    with tempfile.TemporaryDirectory() as scratch:
        config = load_config(CONFIG, [*settings, *trial])
        train(config, Path(scratch), report=lambda state: ticks.append(time.process_time()))
    step = (ticks[-1] - ticks[0]) / (_TRIAL / 2)
    steps = max(1, round(60 * minutes / step))
    tables: list[str] = []

    def keep(state: Progress) -> None:
        if state.table is not None:
            tables.append(state.table)

    config = load_config(CONFIG, [*settings, f"steps={steps}", f"validation.every={steps}"])
    checkpoint = train(config, folder, report=keep)
    psnr, ssim = tables[-1].splitlines()[-1].split()[1:3]
    export_checkpoint(checkpoint, folder / "model")
    parameters = sum(p.numel() for p in build_network(config.network).parameters())
    found = Trained(name, minutes, parameters, steps, float(psnr), float(ssim))
    kept.write_text(json.dumps(asdict(found)))
    return found


def _folder(out: Path, name: str) -> Path:
    return out / re.sub(r"\W+", "-", name)


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
    variant: Annotated[list[str] | None, typer.Option(help=f"Of {', '.join(VARIANTS)}; default all.")] = None,
    processes: Annotated[int, typer.Option(help="Runs side by side.")] = 2,
    rounds: Annotated[int, typer.Option(help="Turns of the clock.")] = 5,
    cache: Annotated[Path, typer.Option(help="Folder for decoded photos.")] = Path(".cache/photos"),
    out: Annotated[Path, typer.Option(help="Folder for the runs.")] = Path("runs/variants"),
) -> None:
    """Train them and print the table."""
    arguments = [(name, photos, cache, minutes, out) for name in variant or list(VARIANTS)]
    with multiprocessing.get_context("spawn").Pool(processes, maxtasksperchild=1) as pool:
        trained = pool.starmap(run, arguments, chunksize=1)
    models = [_folder(out, found.name) / "model" for found in trained]
    print("| variant | parameters | steps | PSNR | SSIM | ms / MP |\n|---|---|---|---|---|---|")
    for found, milliseconds in zip(trained, time_models(models, rounds), strict=True):
        quality = f"{found.psnr:.3f} | {found.ssim:.4f}"
        print(f"| {found.name} | {found.parameters} | {found.steps} | {quality} | {milliseconds:.0f} |")


if __name__ == "__main__":
    typer.run(main)
