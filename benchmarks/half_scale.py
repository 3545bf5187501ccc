"""Photos at x2: by the x2 model, and by the x4 model whose result is shrunk to half.

    python benchmarks/half_scale.py

PSNR on Y of BT.601, 2 pixels of border left out, 8 bit, of every other picture of Set14.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from places import TEST_PHOTOS

from blindsr.degradation import Degradation, degrade_image
from blindsr.metrics import psnr
from blindsr.picture import find_pictures, read
from blindsr.picture.sizing import OutputSize
from blindsr.upscaling.upscaler import Upscaler

TASKS = ("blur=0.2", "blur=1.3", "blur=1.3,noise=15", "blur=0.6,noise=3,jpeg=75")


def main(
    half: Annotated[str, typer.Option(help="The x2 model.")] = "cmdsr-x2",
    full: Annotated[str, typer.Option(help="The x4 model.")] = "cmdsr-x4",
    photos: Annotated[Path, typer.Option(help="Folder of HR pictures.")] = TEST_PHOTOS,
    every: Annotated[int, typer.Option(min=1, help="Take every so many of them.")] = 2,
    threads: Annotated[int, typer.Option(help="CPU threads.")] = 2,
) -> None:
    """Print a table."""
    one, two = (Upscaler(name, device="cpu", threads=threads, precision="fp32") for name in (half, full))
    print(f"| | {half} | {full}, shrunk |\n|---|---|---|")
    for text in TASKS:
        found = []
        for seed, file in enumerate(find_pictures(photos)[::every]):
            hr = read(file).pixels
            hr = np.broadcast_to(hr, (*hr.shape[:2], 3))[: hr.shape[0] // 2 * 2, : hr.shape[1] // 2 * 2]
            lr = degrade_image(np.ascontiguousarray(hr), Degradation.parse(text, scale=2), seed)
            pair = one.upscale(lr), two.upscale(lr, size=OutputSize(scale=2))
            found.append([psnr(restored, hr, border=2) for restored in pair])
        print(f"| {text} | {' | '.join(f'{mean:.2f}' for mean in np.mean(found, axis=0))} |")


if __name__ == "__main__":
    typer.run(main)
