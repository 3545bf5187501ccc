"""How much of its own grid a model leaves in flat colours, and whether white stays white up to the edge.

    python benchmarks/lattice.py
    python benchmarks/lattice.py --model runs/cria/model --peer realesrgan

A network that ends in a pixel shuffle makes each of the s*s pixels of a cell by weights of its own, and they
need not agree: flat colours come out with a lattice of period s, the scale. No LR photo can ask for one, as a
component of that period does not survive shrinking.

Restored are LR photos of 64x64 pixels in eight colours: flat, shaded by 30 levels, and with noise of sigma 2.
Printed for each, in levels of 255, are the mean over the colours and the worst of

- lattice: how far the mean of one of the s*s phases lies from the mean of all, in the worst phase and
  channel; 10 LR pixels along the edges are left out, and of shaded photos the plane that fits best is taken
  away first;
- frame: how far the s outermost rows and columns stray from the mean of the inside, in flat photos;

and the part of the pixels of a white page that stay white. Everything is rounded to 8 bit, as saving would.
A ground truth has no lattice, no frame, and 100 %. Our models run as `blindsr upscale` would; those with a
texture view at textures 0, their own and 1.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from peers import PEERS, find_peer, written_peers
from places import PEER_FILES

from blindsr.errors import BlindSRError
from blindsr.evaluation.methods import Method, ModelRestorer, Restorer, find_method
from blindsr.models.catalogue import available_models
from blindsr.picture import quantise

Pixels = NDArray[np.float32]

SIDE = 64  # of the LR photos
LEFT_OUT = 10  # LR pixels along the edges, where the frame is
SHADE, NOISE = 30, 2  # levels
WHITE = (255, 255, 255)
COLOURS = (
    WHITE,
    (250, 250, 250),
    (235, 200, 90),
    (128, 128, 128),
    (20, 20, 20),
    (200, 60, 60),
    (70, 120, 200),
    (90, 160, 90),
)
KINDS = ("flat", "shaded", "noise")
COLUMNS = (*(f"lattice, {kind}" for kind in KINDS), "frame")


def photos() -> Iterator[tuple[str, tuple[int, int, int], Pixels]]:
    """The LR photos: kind, colour, and RGB in [0, 1] in whole levels of 255, (64, 64, 3)."""
    rng = np.random.default_rng(7)
    y, x = np.mgrid[0:SIDE, 0:SIDE] / (SIDE - 1)
    for colour in COLOURS:
        flat = np.full((SIDE, SIDE, 3), colour, np.float64)
        made = (flat, flat - SHADE * (x + y)[..., None] / 2, flat + rng.normal(0, NOISE, flat.shape))
        for kind, levels in zip(KINDS, made, strict=True):
            yield kind, colour, (levels.clip(0, 255).round() / 255).astype(np.float32)


def inside(levels: NDArray[np.float64], scale: int) -> NDArray[np.float64]:
    """A restored photo without `LEFT_OUT` LR pixels along every edge."""
    edge = LEFT_OUT * scale
    return levels[edge:-edge, edge:-edge]


def without_plane(levels: NDArray[np.float64]) -> NDArray[np.float64]:
    """(H, W, C) less the plane that fits each channel best."""
    height, width, channels = levels.shape
    y, x = np.mgrid[0:height, 0:width]
    axes = np.stack([x.ravel(), y.ravel(), np.ones(x.size)], 1)
    flat = levels.reshape(-1, channels)
    return (flat - axes @ np.linalg.lstsq(axes, flat, rcond=None)[0]).reshape(levels.shape)


def lattice(levels: NDArray[np.float64], period: int) -> float:
    """How far the mean of one of the phases lies from the mean of all, at most.

    Args:
        levels: (H, W, C), both sides multiples of the period, beginning with a cell.
        period: Side of a cell, pixels.
    """
    height, width, channels = levels.shape
    cells = levels.reshape(height // period, period, width // period, period, channels)
    phases = cells.mean((0, 2))
    return float(np.abs(phases - phases.mean((0, 1))).max())


def frame(levels: NDArray[np.float64], scale: int) -> float:
    """How far a pixel of the `scale` outermost rows and columns lies from the mean of the inside, at most."""
    outermost = np.ones(levels.shape[:2], bool)
    outermost[scale:-scale, scale:-scale] = False
    return float(np.abs(levels[outermost] - inside(levels, scale).mean((0, 1))).max())


@dataclass(frozen=True)
class Row:
    """A line of the table.

    Args:
        title: Whose.
        values: Of each of `COLUMNS`, one for each colour, in levels.
        white: The part of the pixels of a white page whose channels are all 255.
    """

    title: str
    values: dict[str, list[float]]
    white: float

    def __str__(self) -> str:
        cells = [f"{np.mean(of):.1f} / {max(of):.1f}" for of in self.values.values()]
        return f"| {' | '.join([self.title, *cells, f'{100 * self.white:.0f} %'])} |"


def measure(title: str, restorer: Restorer) -> Row:
    """Restore all photos and measure them."""
    values: dict[str, list[float]] = {column: [] for column in COLUMNS}
    white, scale = 0.0, restorer.scale or 4
    for kind, colour, photo in photos():
        levels = quantise(restorer.restore(photo, scale), 8).astype(np.float64)
        inner = inside(levels, scale)
        values[f"lattice, {kind}"].append(lattice(without_plane(inner) if kind == "shaded" else inner, scale))
        if kind == "flat":
            values["frame"].append(frame(levels, scale))
            if colour == WHITE:
                white = float((levels == 255).all(2).mean())
    return Row(title, values, white)


def with_textures(method: Method, text: str, threads: int) -> list[Method]:
    """A method, and one of ours with a texture view at textures 0 and 1 too."""
    restorer = method.restorer
    if (
        not isinstance(restorer, ModelRestorer)
        or restorer.upscaler.model.texture is None
        or "texture=" in text
    ):
        return [method]
    settings = f"{text}," if "@" in text else f"{text}@"
    others = (find_method(f"{settings}texture={value}", "cpu", threads) for value in (0, 1))
    return [method, *others]


def main(
    model: Annotated[
        list[str] | None, typer.Option(help="As of `blindsr evaluate`; default: all that are shipped.")
    ] = None,
    peer: Annotated[
        list[str] | None,
        typer.Option(help=f"Of {', '.join(PEERS)}, or a file's stem; default: every file; none for none."),
    ] = None,
    peers: Annotated[Path, typer.Option(help="Where the peers' files are.")] = PEER_FILES,
    threads: Annotated[int, typer.Option(help="CPU threads.")] = 2,
) -> None:
    """Print the table."""
    try:
        print("| model: mean / worst, levels | " + " | ".join(COLUMNS) + " | white stays white |")
        print("|---|" + "---|" * (len(COLUMNS) + 1), flush=True)
        texts = list(model or available_models())
        if peer is None:
            texts += written_peers(peers)
        found = [(text, find_method(text, "cpu", threads)) for text in texts]
        found += [("", find_peer(name, peers, threads)) for name in peer or [] if name != "none"]
        for text, method in found:
            try:
                for each in with_textures(method, text, threads):
                    print(measure(each.title, each.restorer), flush=True)
            except BlindSRError as error:  # the others go on
                print(f"lattice: {method.title}: {error}", file=sys.stderr)
            method.__dict__.pop("restorer", None)  # one network in memory is enough
    except BlindSRError as error:
        print(f"lattice: {error}", file=sys.stderr)
        raise typer.Exit(2) from None


if __name__ == "__main__":
    typer.run(main)
