"""What contrasting criteria buys, on real pairs: weighted sum, + contrast, + spatial projector, both.

    python benchmarks/criteria.py train configs/cria_x1_city100.yaml --root data --features vgg19.pth
    python benchmarks/criteria.py judged
    python benchmarks/criteria.py measure --root data --squeezenet sq.npz --heads lin.pth --niqe niqe.npz

All arms have the same network (the projector included), the same first stage, the same batches and the same
number of steps; they differ in which view each criterion judges, and in the contrast:

- sum: every criterion judges the output, weighted and added;
- contrast: and the triplet of output, truth and regression (what the network of the first stage makes);
- projector: as sum, and the structure view is held to the pixel criterion;
- both: and the triplet, whose negative is the structure view.

With `--judging` the discriminator learns alone first and then keeps up, which with the recipe's own optimiser
it does not (docs/cria-cl.md); `judged` tells for every run whether it did: its loss, which is 1.386 where it
guesses, and the share of the adversarial gradient in the norms of all criteria's.

What is measured: City100 iPhoneX, test 001-020, x1; PSNR and SSIM on RGB, 4 pixels of border left out, 8 bit;
LPIPS (SqueezeNet) and NIQE on the whole picture; mean over the seeds, and half the range between them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from numpy.typing import NDArray

from blindsr.checkpoint.reading import load_network
from blindsr.dataset.layouts import training_pairs
from blindsr.evaluation.benchmarks import find_benchmark
from blindsr.metrics import lpips, niqe, psnr, read_niqe, read_squeeze, ssim
from blindsr.picture import read
from blindsr.system.files import atomic_path
from blindsr.training import Progress, load_config, train
from blindsr.training.checkpoint import newest_checkpoint

SEEDS = (0, 1, 2)
PIXEL = {"name": "pixel", "stage": 1, "weight": 1.0}
FIRST = [PIXEL, {"name": "structural", "stage": 1, "weight": 0.2}]
TEXTURE = [{"name": "perceptual", "weight": 0.05}, {"name": "adversarial", "weight": 0.1}]
CONTRAST = {"name": "contrastive", "form": "margin", "margin": 0.1, "weight": 0.03}

ALONE = 150  # steps
JUDGING = [
    f"texture_optimiser.after={ALONE}",
    "discriminator_optimiser={lr: 2.0e-4, betas: [0.5, 0.99], schedule: cosine, warmup: 20, floor: 0.2}",
]
"""A discriminator that keeps up, as in configs/cria_x4_context.yaml."""
LOG = "losses.jsonl"

app = typer.Typer(add_completion=False, help=__doc__)
Pixels = NDArray[np.float32]


def arms(contrast: dict[str, Any]) -> dict[str, tuple[list[dict[str, Any]], str]]:
    """Criteria of each arm, and what its regression is."""
    output = [PIXEL | {"view": "output"}, *TEXTURE]
    views = [PIXEL | {"view": "structure", "as": "structure"}, *output]
    return {
        "sum": (output, "frozen"),
        "contrast": ([*output, CONTRAST | contrast], "frozen"),
        "projector": (views, "structure"),
        "both": ([*views, CONTRAST | contrast], "structure"),
    }


@app.command("train")
def train_arms(
    config: Annotated[Path, typer.Argument(help="The recipe of the pairs.")],
    root: Annotated[Path, typer.Option(help="Folder of the data set.")] = Path("data"),
    features: Annotated[Path | None, typer.Option(help="Weights of VGG-19; else torchvision's.")] = None,
    out: Annotated[Path, typer.Option(help="Folder of the runs.")] = Path("runs/criteria"),
    steps: Annotated[int, typer.Option(help="Steps of the second stage.")] = 300,
    only: Annotated[list[str] | None, typer.Option("--arm", help="This arm alone; repeatable.")] = None,
    seeds: Annotated[
        list[int] | None, typer.Option("--seed", help="Of the second stage; repeatable.")
    ] = None,
    contrast: Annotated[str, typer.Option(help="Other arguments of the contrast, as JSON.")] = "{}",
    label: Annotated[str, typer.Option(help="Appended to the names of the arms.")] = "",
    judging: Annotated[
        bool, typer.Option(help=f"A discriminator that keeps up, alone for {ALONE} steps before the others.")
    ] = False,
    settings: Annotated[list[str] | None, typer.Option("--set", help="As of blindsr train.")] = None,
) -> None:
    """Train the first stage once, and every arm from there; what is there already stays."""
    common = [f"data.root={root}", *(settings or [])]
    if features is not None:
        common.append(f"features.weights={features}")
    start = out / "pixel"
    _train(config, start, [*common, f"steps={load_config(config).pixel_steps}", _criteria(FIRST)])
    table = arms(json.loads(contrast))
    for seed in seeds or SEEDS:
        for arm in only or list(table):
            criteria, regression = table[arm]
            changes = [
                f"seed={100 + seed}",  # other batches than those of the first stage
                f"steps={steps + ALONE * judging}",
                "pixel_steps=0",
                f"init={newest_checkpoint(start)}",
                "data.patch=64",
                "ema=0.99",  # of a short run
                f"contrast.regression={regression}",
                *(JUDGING if judging else []),
                _criteria(criteria),
            ]
            _train(config, out / f"{arm}{label}-{seed}", [*common, *changes])


def _criteria(criteria: Sequence[dict[str, Any]]) -> str:
    return f"criteria={json.dumps(criteria)}"


def _train(config: Path, folder: Path, settings: list[str]) -> None:
    """Train a run, or go on with it, unless it is complete."""
    parsed = load_config(config, settings)
    resume = folder if any(folder.glob("step-*.ckpt")) else None
    if resume is not None and newest_checkpoint(folder).name == f"step-{parsed.steps:08d}.ckpt":
        return
    print(f"training {folder}", flush=True)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOG).open("a" if resume else "w") as log:

        def keep(state: Progress) -> None:
            log.write(json.dumps({"step": state.step} | state.losses) + "\n")
            log.flush()

        train(parsed, folder, resume, report=keep)


@app.command("judged")
def print_judged(
    out: Annotated[Path, typer.Option(help="Folder of the runs.")] = Path("runs/criteria"),
) -> None:
    """Tell of every run of a folder whether its discriminator judged, over the last third of its steps."""
    print("| run | steps | discriminator's loss | share of the adversarial gradient |\n|---|---|---|---|")
    for log in sorted(out.glob(f"*/{LOG}")):
        rows = [json.loads(line) for line in log.read_text().splitlines()]
        if found := judged(rows):
            print(f"| {log.parent.name} | {rows[-1]['step']} | {found[0]:.3f} | {found[1]:.3f} |")


def judged(rows: Sequence[dict[str, float]]) -> tuple[float, float] | None:
    """The discriminator's mean loss, and the adversarial share of the norms of the criteria's gradients.

    Args:
        rows: What a run logged, in order; the last third of the steps that moved the network counts.

    Returns:
        Two numbers; None if no discriminator took part.
    """
    both = [row for row in rows if "discriminator" in row and "gradient/adversarial" in row]
    last = both[-max(1, len(both) // 3) :]
    if not last:
        return None
    shares = [
        row["gradient/adversarial"] / sum(row[key] for key in row if key.startswith("gradient/"))
        for row in last
    ]
    return float(np.mean([row["discriminator"] for row in last])), float(np.mean(shares))


@app.command()
def measure(
    root: Annotated[Path, typer.Option(help="Folder of the data set.")] = Path("data"),
    squeezenet: Annotated[Path, typer.Option(help="Weights of SqueezeNet 1.1.")] = Path("squeezenet1_1.npz"),
    heads: Annotated[Path, typer.Option(help="Linear weights of LPIPS 0.1 on it.")] = Path("lin.pth"),
    parameters: Annotated[Path, typer.Option("--niqe", help="Parameters of NIQE.")] = Path("niqe.npz"),
    out: Annotated[Path, typer.Option(help="Folder of the runs.")] = Path("runs/criteria"),
) -> None:
    """Measure what the runs of a folder make of the test set; also the input, plain and sharpened."""
    samples = find_benchmark("City100", root).samples
    pairs = [(read(s.hr).pixels, read(s.lr).pixels) for s in samples if s.hr and s.lr]
    network = read_squeeze(squeezenet, heads)
    metrics: dict[str, Callable[[Pixels, Pixels], float]] = {
        "PSNR": partial(psnr, channel="rgb", border=4),
        "SSIM": partial(ssim, channel="rgb", border=4),
        "LPIPS": partial(lpips, network=network),
        "NIQE": lambda sr, hr: niqe(sr, parameters=read_niqe(parameters)),
    }
    record = out / "measured.json"
    known = json.loads(record.read_text()) if record.exists() else {}
    radius, amount = sharpening(root)
    methods: dict[str, Callable[[Pixels], Pixels]] = {
        "input": lambda lr: lr,
        "input, sharpened": lambda lr: sharpened(lr, radius, amount),
    }
    for folder in sorted(out.iterdir()):
        if any(folder.glob("step-*.ckpt")):
            methods[folder.name] = restorer(newest_checkpoint(folder))
    for name, restore in methods.items():
        if name in known:
            continue
        rows = [[metric(restore(lr), hr) for metric in metrics.values()] for hr, lr in pairs]
        known[name] = np.mean(rows, 0).tolist()
        with atomic_path(record) as temporary:
            temporary.write_text(json.dumps(known, indent=1))
    print_table(known, list(metrics), f"{len(pairs)} pairs; sharpened by {amount:g} at radius {radius:g}")


def restorer(checkpoint: Path) -> Callable[[Pixels], Pixels]:
    """Restore pictures by the averaged weights of a checkpoint."""
    network, _ = load_network(checkpoint)
    network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    cache: dict[int, Pixels] = {}

    @torch.inference_mode()
    def restore(lr: Pixels) -> Pixels:
        if id(lr) not in cache:  # several metrics ask for the same picture
            cache.clear()
            sr = network.restore(torch.from_numpy(lr.transpose(2, 0, 1)[None].copy()))
            cache[id(lr)] = sr[0].clamp(0, 1).permute(1, 2, 0).numpy()
        return cache[id(lr)]

    return restore


def sharpened(picture: Pixels, radius: float, amount: float) -> Pixels:
    """An unsharp mask: what a program without knowledge of photos does."""
    from blindsr.degradation import blur, gaussian_kernel

    batch = np.ascontiguousarray(picture.transpose(2, 0, 1)[None], np.float32)
    soft = blur(batch, gaussian_kernel(radius, radius, 0.0, 2 * int(3 * radius) + 1))
    made: Pixels = (batch + amount * (batch - soft))[0].transpose(1, 2, 0).clip(0, 1)
    return made


def sharpening(root: Path) -> tuple[float, float]:
    """Radius and amount that bring the training pairs nearest to their truth."""
    pairs = [(read(hr).pixels, read(lr).pixels) for hr, lr in training_pairs("City100", root, 1)[:8]]
    choices = [(radius, amount) for radius in (1.0, 2.0, 3.0) for amount in (0.25, 0.5, 1.0, 1.5, 2.0)]
    scores = [
        np.mean([psnr(sharpened(lr, *choice), hr, channel="rgb", border=4) for hr, lr in pairs])
        for choice in choices
    ]
    return choices[int(np.argmax(scores))]


def print_table(known: dict[str, list[float]], metrics: Sequence[str], title: str) -> None:
    """Means over the seeds, with half the range between them."""
    arms: dict[str, list[list[float]]] = {}
    for name, row in known.items():
        stem, dash, seed = name.rpartition("-")
        arms.setdefault(stem if dash and seed.isdigit() else name, []).append(row)
    print(f"{title}\n\n| | {' | '.join(metrics)} | seeds |\n|---|{'---|' * (len(metrics) + 1)}")
    for arm, rows in arms.items():
        mean, spread = np.mean(rows, 0), np.ptp(rows, 0) / 2
        digits = (2, 4, 4, 2)
        cells = [
            f"{m:.{d}f}" + (f" ± {s:.{d}f}" if len(rows) > 1 else "")
            for m, s, d in zip(mean, spread, digits, strict=True)
        ]
        print(f"| {arm} | {' | '.join(cells)} | {len(rows)} |")


if __name__ == "__main__":
    app()
