"""What a cluster costs: megapixels a second of workers on one machine against a plain batch on it.

    python benchmarks/cluster_overhead.py

The same photos are restored by `blindsr upscale` alone and with `--cluster auto`, by one worker with all
threads and by one worker a thread, in turn, several times. Counted is from the first result to the last: to
start Ray and to load a model takes seconds, whatever comes then. Ends with the median of each ratio, as other
work on the machine disturbs both sides of a pair alike.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from PIL import Image
from speed import photos


def rate(command: list[str], out: Path) -> float:
    """Megapixels of results a second, between the first result and the last."""
    subprocess.run([*command, "-o", str(out)], check=True, stdout=subprocess.DEVNULL)
    made = sorted(out.glob("*.png"), key=lambda file: file.stat().st_mtime_ns)
    seconds = (made[-1].stat().st_mtime_ns - made[0].stat().st_mtime_ns) / 1e9
    pixels = 0
    for file in made[1:]:
        with Image.open(file) as image:
            pixels += image.width * image.height
    return pixels / 1e6 / seconds


def main(
    model: Annotated[str, typer.Option(help="Name or folder of a model.")] = "cmdsr-x4",
    count: Annotated[int, typer.Option(min=4, help="Photos.")] = 60,
    size: Annotated[int, typer.Option(min=16, help="Side of a photo, LR pixels.")] = 192,
    threads: Annotated[int, typer.Option(min=1, help="Of the machine.")] = os.cpu_count() or 1,
    repeats: Annotated[int, typer.Option(min=1, help="Of each.")] = 3,
) -> None:
    """Print the rate of each run, and the median ratios."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ratios: dict[int, list[float]] = {1: [], threads: []}
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "in").mkdir()
        photos(Path(folder) / "in", size, count)
        command = [sys.executable, "-m", "blindsr", "upscale", str(Path(folder) / "in"), "--model", model]
        command += ["--format", "png", "--memory", "1G", "--json"]
        for repeat in range(repeats):
            plain = rate([*command, "--threads", str(threads)], Path(folder) / f"plain-{repeat}")
            print(f"plain batch, {threads} threads: {plain:.2f} megapixels a second", flush=True)
            for workers, found in ratios.items():
                own = ["--cluster", "auto", "--workers", str(workers), "--threads", str(threads // workers)]
                many = rate([*command, *own], Path(folder) / f"cluster-{repeat}-{workers}")
                found.append(many / plain)
                print(f"{workers} workers: {many:.2f} ({100 * many / plain:.0f} %)", flush=True)
    for workers, found in ratios.items():
        print(f"median of {workers} workers: {100 * statistics.median(found):.0f} % of the plain batch")


if __name__ == "__main__":
    typer.run(main)
