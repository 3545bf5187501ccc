"""Files of other programs through `blindsr upscale`: tiles against the whole, and the time it takes.

    python benchmarks/foreign.py peers/RealESRGAN_General_x4_v3.param peers/4xLSDIRCompactC3.param

For each file a made picture is restored in one piece and in tiles, as large as `--tile` says (but never
narrower than the halo allows), and by the file's own runtime called directly, in turn and again and again:
the machine may be busy, so only ratios within a run mean something. "Difference" is the greatest one between
tiles and whole, in levels of 8 bit; 1 is what may be.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from blindsr.engine import choose_engine, load_network
from blindsr.engine.opening import load_model
from blindsr.models.card import Model
from blindsr.picture.rim import MARGIN
from blindsr.upscaling.upscaler import Upscaler

Pixels = NDArray[np.float32]

HEADING = (
    "| file | scale | range | halo | multiple | tiles | difference | whole, s | whole / own runtime "
    "| tiles / own runtime |\n|---|---|---|---|---|---|---|---|---|---|"
)


def main(
    files: Annotated[
        list[Path], typer.Argument(help="Files of other programs, checkpoints, or models of ours.")
    ],
    height: Annotated[int, typer.Option(help="Of the picture, LR pixels.")] = 48,
    width: Annotated[int, typer.Option(help="Of the picture, LR pixels.")] = 480,
    tile: Annotated[int, typer.Option(help="Side of a tile, LR pixels.")] = 64,
    photo: Annotated[
        Path | None, typer.Option(help="A photo to cut the picture from; else it is made.")
    ] = None,
    repeats: Annotated[int, typer.Option(min=1, help="Of each run.")] = 3,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = 2,
) -> None:
    """Print a row for each file."""
    picture = made_picture(height, width) if photo is None else cut(photo, height, width)
    print(HEADING)
    for file in files:
        print(row(load_model(file), picture, tile, repeats, threads), flush=True)


def row(model: Model, picture: Pixels, tile: int, repeats: int, threads: int) -> str:
    """What a model does, as a line of the table."""
    whole = Upscaler(model, device="cpu", threads=threads, tile=max(picture.shape))
    tiled = Upscaler(model, device="cpu", threads=threads, tile=tile)
    counts: list[int] = []
    runs: dict[str, Callable[[], Any]] = {
        "own": own_runtime(model, picture, threads),
        "whole": lambda: whole.upscale(picture),
        "tiles": lambda: tiled.upscale(picture, on_tile=lambda done, total: counts.append(total)),
    }
    results, seconds = {}, {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            start = time.perf_counter()
            results[name] = run()
            seconds[name].append(time.perf_counter() - start)
    difference = float(np.abs(results["whole"] - results["tiles"]).max()) * 255
    ratios = (
        median(one / other for one, other in zip(seconds[name], seconds["own"], strict=True))
        for name in ("whole", "tiles")
    )
    cells = (
        model.files[next(iter(model.files))].name,
        f"x{model.scale}",
        f"{model.pixel_range:g}",
        str(model.halo) if model.tiled else "none: not for tiles",
        str(model.multiple),
        str(counts[-1]),
        f"{difference:.2f}",
        f"{min(seconds['whole']):.2f}",
        *(f"{ratio:.2f}" for ratio in ratios),
    )
    return f"| {' | '.join(cells)} |"


def own_runtime(model: Model, picture: Pixels, threads: int) -> Callable[[], Any]:
    """The network alone on the picture and its margin, as its library runs it."""
    around = [(MARGIN, MARGIN), (MARGIN, MARGIN), (0, 0)]
    planes = np.ascontiguousarray(np.pad(picture, around, mode="symmetric").transpose(2, 0, 1))
    runner = next((role for role in ("onnx", "ncnn", "spandrel") if role in model.files), None)
    if runner is None:  # a checkpoint or a model of ours: its engine without the upscaler
        engine = choose_engine(model, "cpu", threads)
        return lambda: engine.upscale(planes[None], None, model.texture)
    network = load_network(runner, model.files, "cpu", threads)
    return lambda: network.run(planes * np.float32(model.pixel_range))


def made_picture(height: int, width: int) -> Pixels:
    """Smooth parts, edges and a little noise, (height, width, 3) in [0, 1]."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    waves = [np.sin(x / (7 + 3 * c)) + np.cos(y / (5 + 2 * c)) for c in range(3)]
    discs = sum(
        np.hypot(x - rng.uniform(0, width), y - rng.uniform(0, height)) < 9 for _ in range(width // 24)
    )
    picture = 0.45 + 0.12 * np.stack(waves, axis=2) + 0.2 * (discs[:, :, None] % 2)
    return (picture + rng.normal(0, 0.02, picture.shape)).clip(0, 1).astype(np.float32)


def cut(photo: Path, height: int, width: int) -> Pixels:
    """The top left corner of a photo."""
    from blindsr.picture import read

    pixels = read(photo).pixels[:height, :width]
    return np.ascontiguousarray(np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels)


if __name__ == "__main__":
    typer.run(main)
