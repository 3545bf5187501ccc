"""Does LPIPS reward a model for the grid it leaves? As it is, over shifts, and with the grid taken away.

    python benchmarks/grid.py

The lattice that a model leaves in flat gray (`--lattice`) is put on pictures that have none of it, and on
restored ones. A measure that sees a lattice should get worse, and one that looks past it should stay; LPIPS
on SqueezeNet gets better where the ground truth has any texture, as some detail of no meaning is nearer to it
than none. Compared are

- LPIPS as it is;
- its mean over four shifts, which cut as many rows and columns off both pictures: 0 and 0, 1 and 2, 2 and 3,
  3 and 1;
- LPIPS of the restored picture without its grid ("lpips-no-grid" of `blindsr evaluate`).

Flat: the colours of benchmarks/lattice.py but white, without and with grain of sigma 2 in the ground truth
alone. Photos: the middle 256x256 pixels of those that training sets apart, degraded as "camera" does; "ground
truth" in place of a model shows what the filter takes from a picture that has no grid.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from lattice import COLOURS, LEFT_OUT, SIDE, inside
from numpy.typing import NDArray
from perception import SCALE, cut_kept_back
from places import DATA, METRICS, metric_files

from blindsr.degradation import degrade, find_tasks
from blindsr.errors import BlindSRError, InputError
from blindsr.evaluation.methods import Restorer, find_method
from blindsr.metrics import LPIPSNetwork, lpips, read_squeeze, without_grid
from blindsr.picture import find_pictures, quantise, read

Pixels = NDArray[np.float32]
Pair = tuple[Pixels, Pixels]  # a restored picture and its ground truth

SHIFTS = ((0, 0), (1, 2), (2, 3), (3, 1))
MIDDLE = 256  # pixels of a photo's side
GRAIN = 2  # levels


def as_saved(picture: NDArray[np.floating]) -> Pixels:
    """Rounded to 8 bit."""
    return quantise(np.asarray(picture, np.float32), 8) / np.float32(255)


def own_lattice(restorer: Restorer) -> NDArray[np.float32]:
    """What a model leaves in flat gray: one cell, (4, 4, 3), of mean 0."""
    cells = inside(restorer.restore(np.full((SIDE, SIDE, 3), 128 / 255, np.float32), SCALE), SCALE)
    side = SIDE - 2 * LEFT_OUT
    cell = cells.reshape(side, SCALE, side, SCALE, 3).mean((0, 2), dtype=np.float64)
    return np.asarray(cell - cell.mean((0, 1)), np.float32)


def measured(pair: Pair, network: LPIPSNetwork) -> list[float]:
    """LPIPS, its mean over shifts, and that without the grid."""

    def of(a: Pixels, b: Pixels) -> float:
        return lpips(a, b, network=network, quantise=False)

    restored, truth = map(as_saved, pair)
    shifted = [of(restored[y:, x:], truth[y:, x:]) for y, x in SHIFTS]
    return [shifted[0], float(np.mean(shifted)), of(without_grid(restored, period=SCALE).clip(0, 1), truth)]


def flat(grain: float) -> Iterator[Pair]:
    """Flat colours as restored, and their ground truth."""
    rng = np.random.default_rng(7)
    for colour in COLOURS[1:]:  # white has no room for a lattice above it
        plain = np.full((128, 128, 3), colour, np.float32) / 255
        yield plain, np.clip(plain + rng.normal(0, grain / 255, plain.shape), 0, 1).astype(np.float32)


def middles(folder: Path) -> Iterator[Pixels]:
    """The middle of each photo of a folder."""
    for file in find_pictures(folder):
        pixels = read(file).pixels
        top, left = ((side - MIDDLE) // 2 for side in pixels.shape[:2])
        yield np.ascontiguousarray(pixels[top : top + MIDDLE, left : left + MIDDLE])


def restored(restorer: Restorer, photos: list[Pixels]) -> Iterator[Pair]:
    """Photos degraded as "camera" does, each with its place as the seed, and restored."""
    (task,) = find_tasks("camera", SCALE)
    for seed, photo in enumerate(photos):
        lr = degrade(photo.transpose(2, 0, 1)[None], task, seed)[0].transpose(1, 2, 0)
        yield restorer.restore(np.ascontiguousarray(lr), SCALE), photo


def main(
    model: Annotated[
        list[str] | None, typer.Option(help="As of `blindsr evaluate`, at x4; default cmdsr-x4.")
    ] = None,
    lattice: Annotated[str, typer.Option(help="Whose lattice is put on.")] = "cria-x4-compact",
    photos: Annotated[int | None, typer.Option(min=2, help="Only the first.")] = None,
    data: Annotated[Path, typer.Option(help="Folder that train/ lies below.")] = DATA,
    metrics: Annotated[Path, typer.Option(help="Where LPIPS's files are.")] = METRICS,
    threads: Annotated[int, typer.Option(help="CPU threads.")] = 2,
) -> None:
    """Print the table."""
    try:
        files = metric_files(metrics)[1]
        if files is None:
            raise InputError(f"{metrics}: LPIPS's files are not there; say with --metrics where they are")
        network = read_squeeze(*files)
        cell = own_lattice(find_method(f"{lattice}@fp32", "cpu", threads).restorer)
        print(f"{lattice} leaves {255 * np.abs(cell).max():.1f} levels in gray.\n")
        print("| LPIPS, and change by the lattice | as it is | over shifts | no grid |\n|---|---|---|---|")
        seen = list(middles(cut_kept_back(data)))[:photos]
        report("flat colours", flat(0), cell, network)
        report("flat colours, truth with grain", flat(GRAIN), cell, network)
        report("ground truth", ((photo, photo) for photo in seen), cell, network)
        for name in model or ["cmdsr-x4", "cria-x4-compact"]:
            restorer = find_method(f"{name}@fp32", "cpu", threads).restorer
            report(name, restored(restorer, seen), cell, network)
    except BlindSRError as error:
        print(f"grid: {error}", file=sys.stderr)
        raise typer.Exit(2) from None


def report(title: str, pairs: Iterator[Pair], cell: NDArray[np.float32], network: LPIPSNetwork) -> None:
    """Print a row: means, and the changes with their standard errors."""
    plain, latticed = [], []
    for picture, truth in pairs:
        grid = np.tile(cell, (picture.shape[0] // SCALE, picture.shape[1] // SCALE, 1))
        plain.append(measured((picture, truth), network))
        latticed.append(measured((picture + grid, truth), network))
    changes = np.array(latticed) - np.array(plain)
    errors = changes.std(0, ddof=1) / np.sqrt(len(changes))
    columns = zip(np.mean(plain, 0), changes.mean(0), errors, strict=True)
    cells = [f"{mean:.4f}, {change:+.4f} ± {error:.4f}" for mean, change, error in columns]
    print(f"| {title} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    typer.run(main)
