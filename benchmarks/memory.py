"""Peak memory of upscaling photos of several sizes under a bound, each in a process of its own.

    python benchmarks/memory.py --memory 1.5G --format png

Photos of 0.25, 1, 6 and 24 megapixels are made (waves, edges and noise) and upscaled from file to file.
Printed are the peak of the process's resident memory, as the system counts it, and the seconds.
`--megapixels 62.5 --format tif` makes a result of one gigapixel.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from blindsr.picture import Limits, Picture, PictureWriter
from blindsr.system.memory import Memory, show_bytes

MEGAPIXELS = (0.25, 1.0, 6.0, 24.0)

CHILD = """
import sys, time
from pathlib import Path
from blindsr.system.memory import Memory, peak
from blindsr.upscaling.upscaler import Upscaler
model, source, target, memory = sys.argv[1:]
started = time.perf_counter()
Upscaler(model, device="cpu", memory=Memory.parse(memory)).upscale_file(source, Path(target))
print(time.perf_counter() - started, peak())
"""


def make_photo(path: Path, megapixels: float) -> tuple[int, int]:
    """Write a photo of that many megapixels, 3:2, in bands of rows; returns its height and width."""
    height = round((megapixels * 1e6 / 1.5) ** 0.5)
    width = round(1.5 * height)
    rng = np.random.default_rng(0)
    kind = Picture(np.zeros((1, 1, 3), np.float32))
    with PictureWriter(path, kind, height, width, limits=Limits(samples=0, folder=path.parent)) as writer:
        for top in range(0, height, 64):
            y, x = np.mgrid[top : min(top + 64, height), 0:width].astype(np.float32)
            waves = [np.sin(x / (9 + 4 * c)) + np.cos(y / (7 + 3 * c)) + (x + y) // 97 % 2 for c in range(3)]
            band = (
                0.4 + 0.12 * np.stack(waves, axis=2) + rng.normal(0, 0.02, (*x.shape, 3)).astype(np.float32)
            )
            writer.place(top, 0, band.clip(0, 1), None)
        writer.save()
    return height, width


def main(
    megapixels: Annotated[list[float] | None, typer.Option(help="Sizes of the photos.")] = None,
    memory: Annotated[str, typer.Option(help="The bound.")] = "1.5G",
    model: Annotated[str, typer.Option(help="Name or folder of a model.")] = "cmdsr-x4",
    source_format: Annotated[str, typer.Option(help="Suffix of the photos.")] = "jpg",
    format_: Annotated[str, typer.Option("--format", help="Suffix of the results.")] = "png",
) -> None:
    """Print a row for each size."""
    bound = Memory.parse(memory)
    print(f"bound {show_bytes(bound.total)}, {model}, {source_format} to {format_}\n")
    print("| photo | result | peak memory | of the bound | seconds |\n|---|---|---|---|---|")
    over = False
    for size in megapixels or MEGAPIXELS:
        with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
            source, target = Path(folder) / f"photo.{source_format}", Path(folder) / f"result.{format_}"
            height, width = make_photo(source, size)
            command = [sys.executable, "-c", CHILD, model, str(source), str(target), memory]
            child = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            seconds, peak = map(float, child.stdout.split())
            over |= peak > bound.total
            result = f"{16 * size:g} Mpixel, {show_bytes(target.stat().st_size)}"
            share = f"{show_bytes(int(peak))} | {100 * peak / bound.total:.0f} %"
            print(f"| {width}x{height} ({size:g} Mpixel) | {result} | {share} | {seconds:.1f} |", flush=True)
    raise typer.Exit(int(over))


if __name__ == "__main__":
    typer.run(main)
