"""Sixteen crops at 100 %, always the same: what tables do not tell.

    python benchmarks/sheet.py --out sheet.png
    python benchmarks/sheet.py --model cria-x4-compact --model runs/cria/model --out docs/images/sheet.jpg

A row for each of `CROPS`: 64x64 LR pixels with every pixel repeated, and what each model makes of them, pixel
for pixel: nothing is resampled, so look at it without enlarging. Thirteen are of real photos, as they are;
three are of sharp ones, degraded as `blindsr evaluate` would.

Our models restore the whole photo, to which the adaptive ones adapt. Peers get the crop with 32 LR pixels
around it, and what they made of it is kept in .cache. Written as .png, or as .jpg in quality 92.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from before_after import labels, to_image
from kept import kept
from numpy.typing import NDArray
from peers import PEERS, find_peer
from PIL import Image
from places import DATA, PEER_FILES

from blindsr.dataset.layouts import Sample
from blindsr.errors import BlindSRError, InputError
from blindsr.evaluation.benchmarks import Benchmark
from blindsr.evaluation.methods import Restorer, find_method
from blindsr.evaluation.runner import GIVEN, EvaluationSample, cells_of

Pixels = NDArray[np.float32]

SCALE = 4
SIDE = 64  # of a crop, LR pixels
AROUND = 32  # LR pixels that a peer sees of what lies around it
GAP = 4  # between panels, pixels


@dataclass(frozen=True)
class Crop:
    """A place that is looked at.

    Args:
        shows: What there is to see.
        file: The photo, below the data folder.
        x: The crop's left edge, LR pixels.
        y: Its upper edge.
        degradation: As `--degrade` of `blindsr evaluate` has it, drawn with seed 0, where the photo is the
            ground truth; "given" where it is the LR photo.
    """

    shows: str
    file: str
    x: int
    y: int
    degradation: str = GIVEN

    def lr(self, data: Path) -> Pixels:
        """The whole LR photo, RGB in [0, 1]."""
        file = data / self.file
        if not file.is_file():
            raise InputError(f"{file}: not there; say with --data where the pictures of the sheet are")
        real = self.degradation == GIVEN
        sample = Sample(file.stem, None if real else file, file if real else None)
        (cell,) = cells_of(Benchmark("sheet", SCALE, [sample]), [self.degradation])
        return EvaluationSample(cell, sample, 0).lr


CROPS = (
    Crop("noise", "real/RealSRSet/dog.png", 95, 60),
    Crop("film grain", "real/RealSRSet/oldphoto6.png", 130, 90),
    Crop("old print", "real/RealSRSet/oldphoto2.png", 48, 40),
    Crop("text", "real/RealSRSet/chip.png", 25, 15),
    Crop("screenshot", "real/RealSRSet/ppt3.png", 10, 172),
    Crop("drawing, JPEG", "real/RealESRGAN_inputs/0014.jpg", 60, 30),
    Crop("lines", "real/RealSRSet/pattern.png", 60, 60),
    Crop("foliage", "real/CMDSR_imgs/iPhone.png", 60, 330),
    Crop("stone", "real/RealSRSet/foreman.png", 0, 110),
    Crop("brick", "real/RealESRGAN_inputs/OST_009.png", 180, 250),
    Crop("sky, JPEG", "real/RealESRGAN_inputs/ADE_val_00000114.jpg", 70, 0),
    Crop("beard", "real/RealSRSet/Lincoln.png", 45, 60),
    Crop("fur", "real/RealSRSet/tiger.png", 60, 60),
    Crop("hair, camera", "Set14/x4/HR/img_006.png", 0, 0, "camera"),
    Crop("skin, camera", "Set5/x4/HR/img_001.png", 32, 40, "camera"),
    Crop("cloth, real-esrgan", "Set14/x4/HR/img_002.png", 110, 40, "real-esrgan"),
)


def restored_crop(restorer: Restorer, lr: Pixels, crop: Crop, around: int | None) -> Pixels:
    """What a model makes of a crop, (256, 256, 3).

    Args:
        restorer: Of scale 4.
        lr: The whole photo.
        crop: The place.
        around: LR pixels of what lies around that are restored with it; None restores the whole photo.
    """
    top = left = 0
    if around is not None:
        top, left = max(crop.y - around, 0), max(crop.x - around, 0)
        lr = np.ascontiguousarray(lr[top : crop.y + SIDE + around, left : crop.x + SIDE + around])
    return cut(restorer.restore(lr, SCALE), crop.x - left, crop.y - top, SCALE)


def cut(picture: Pixels, x: int, y: int, scale: int) -> Pixels:
    """The crop at an LR place, of a picture enlarged by the scale."""
    return picture[scale * y : scale * (y + SIDE), scale * x : scale * (x + SIDE)]


def row(panels: Sequence[Pixels]) -> Image.Image:
    """Panels beside each other, not resampled."""
    side = SCALE * SIDE
    strip = Image.new("RGB", (len(panels) * (side + GAP), side + GAP), "white")
    for i, panel in enumerate(panels):
        strip.paste(to_image(panel), (i * (side + GAP), 0))
    return strip


def main(
    model: Annotated[
        list[str] | None, typer.Option(help="As of `blindsr evaluate`, at x4; default cria-x4-compact.")
    ] = None,
    peer: Annotated[
        list[str] | None,
        typer.Option(help=f"Of {', '.join(PEERS)}; default realesrgan, x4plus; none for none."),
    ] = None,
    out: Annotated[Path, typer.Option(help="The sheet, .png or .jpg.")] = Path("sheet.png"),
    only: Annotated[list[str] | None, typer.Option(help="Only the crops that show this.")] = None,
    data: Annotated[Path, typer.Option(help="Folder that the photos lie below.")] = DATA,
    peers: Annotated[Path, typer.Option(help="Where the peers' files are.")] = PEER_FILES,
    threads: Annotated[int, typer.Option(help="CPU threads.")] = 2,
) -> None:
    """Make the sheet."""
    try:
        chosen = [crop for crop in CROPS if not only or any(crop.shows.startswith(text) for text in only)]
        if not chosen:
            raise InputError(f"--only {' '.join(only or [])}: there are {', '.join(c.shows for c in CROPS)}")
        others = [kept(find_peer(n, peers, threads)) for n in peer or ["realesrgan", "x4plus"] if n != "none"]
        own = [find_method(name, "cpu", threads) for name in model or ["cria-x4-compact"]]
        everyone = [*((each, AROUND) for each in others), *((each, None) for each in own)]
        strips = []
        for crop in chosen:
            lr = crop.lr(data)
            panels = [cut(lr, crop.x, crop.y, 1).repeat(SCALE, 0).repeat(SCALE, 1)]
            panels += [restored_crop(each.restorer, lr, crop, around) for each, around in everyone]
            titles = [f"{crop.shows}: LR", *(each.title for each, _ in everyone)]
            strips += [labels(titles, SCALE * SIDE + GAP), row(panels)]
            print(crop.shows, flush=True)
        sheet = Image.new("RGB", (strips[0].width, sum(strip.height for strip in strips)), "white")
        for i, strip in enumerate(strips):
            sheet.paste(strip, (0, sum(above.height for above in strips[:i])))
        out.parent.mkdir(parents=True, exist_ok=True)
        sheet.save(out, quality=92)
    except BlindSRError as error:
        print(f"sheet: {error}", file=sys.stderr)
        raise typer.Exit(2) from None


if __name__ == "__main__":
    typer.run(main)
