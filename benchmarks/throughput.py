"""A folder of photos, file to file, against the network alone on the same tiles.

    python benchmarks/throughput.py --model cmdsr-x4

What a batch adds to the network (reading, choosing the support set, writing, the journal) should be hidden
behind it. Both run in one process, in turn, with the same engine. "Network" is the engine's calls only, each
photo's condition included, on arrays that are ready; "batch" is all that `blindsr upscale` does once the
model is loaded.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from speed import photos as made_photos

from blindsr.batch.plan import Plan, plan_batch
from blindsr.batch.run import run_batch
from blindsr.picture import read
from blindsr.picture.colours import Colours
from blindsr.upscaling.support import select_support
from blindsr.upscaling.tiling import plan_tiles
from blindsr.upscaling.upscaler import Upscaler

Arrays = tuple[NDArray[np.float32] | None, list[NDArray[np.float32]]]


def prepare(upscaler: Upscaler, file: Path) -> Arrays:
    """A photo's support set and tiles, ready for the engine."""
    picture = read(file)
    colours = Colours(picture)
    pixels = colours.window(slice(0, picture.height), slice(0, picture.width))
    spec, model = upscaler.model.support, upscaler.model
    support = None if spec is None else select_support(pixels, spec.count, spec.patch)
    height, width, most = picture.height, picture.width, upscaler.most_pixels
    tiles = plan_tiles(height, width, upscaler.tile, model.halo, most, multiple=model.multiple)
    windows = (colours.window(*tile.window.slices).transpose(2, 0, 1)[None] for tile in tiles)
    return support, [np.ascontiguousarray(window) for window in windows]


def network(upscaler: Upscaler, ready: list[Arrays]) -> None:
    """Every call of the engine that a batch makes."""
    for support, tiles in ready:
        modulation = None if support is None else upscaler.engine.condition(support)[1]
        for tile in tiles:
            upscaler.engine.upscale(tile, modulation)


def batch(upscaler: Upscaler, plan: Plan) -> None:
    """All of `blindsr upscale`."""
    outcomes = run_batch(plan, upscaler, existing="overwrite")
    errors = [str(one.error) for one in outcomes if one.error is not None]
    if errors:
        raise SystemExit(errors[0])


def seconds(work: Callable[..., None], *arguments: object) -> float:
    start = time.perf_counter()
    work(*arguments)
    return time.perf_counter() - start


def main(
    model: Annotated[str, typer.Option(help="Name or folder of a model.")] = "cmdsr-x4",
    photos: Annotated[Path | None, typer.Option(help="Folder of photos; made ones if not given.")] = None,
    count: Annotated[int, typer.Option(help="Photos at most.")] = 50,
    size: Annotated[int, typer.Option(help="Side of a made photo, LR pixels.")] = 256,
    rounds: Annotated[int, typer.Option(help="Counted rounds.")] = 5,
    threads: Annotated[int | None, typer.Option(help="CPU threads; all if not given.")] = None,
) -> None:
    """Print a table of times and ratios."""
    upscaler = Upscaler(model, device="cpu", threads=threads)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "in").mkdir()
        if photos is None:
            made_photos(folder / "in", size, count)
        plans = {}
        for name in ("png", "jpeg"):
            plan = plan_batch([photos or folder / "in"], folder / name, label="x4", format_=name)
            plans[name] = Plan(plan.tasks[:count], plan.root)
        files = [task.source for task in plans["png"].tasks]
        ready = [prepare(upscaler, file) for file in files]
        times: dict[str, list[float]] = {name: [] for name in ("network", *plans)}
        for _ in range(rounds + 1):
            times["network"].append(seconds(network, upscaler, ready))
            for name, plan in plans.items():
                times[name].append(seconds(batch, upscaler, plan))
    tiles = sum(len(one) for _, one in ready)
    print(f"{model}, {len(files)} photos in {tiles} tiles, median of {rounds} rounds in turn\n")
    print("| | seconds | times the network |\n|---|---|---|")
    alone = times["network"][1:]  # the first round is the warm-up
    for name, all_rounds in times.items():
        counted = all_rounds[1:]
        ratio = median(s / b for b, s in zip(alone, counted, strict=True))
        title = "network alone" if name == "network" else f"batch to {name.upper()}"
        print(f"| {title} | {median(counted):.2f} | {ratio:.3f} |")


if __name__ == "__main__":
    typer.run(main)
