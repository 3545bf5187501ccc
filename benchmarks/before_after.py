"""Before and after: crops of real photos, enlarged by bicubic interpolation and restored.

    python benchmarks/before_after.py PHOTO_OR_FOLDER ... --model cmdsr-x4 --out docs/images/real.jpg

A row for each photo: the whole LR photo with the crop marked, the crop by bicubic interpolation, and by each
model (adapted to the whole photo, never to the crop alone). The crop is the one with most gradient energy,
or, with --crop NAME=X,Y, one at a given place.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from peers import PEERS, find_peer
from PIL import Image, ImageDraw, ImageFont

from blindsr.degradation import resize
from blindsr.evaluation.crops import densest
from blindsr.evaluation.methods import find_method
from blindsr.picture import find_pictures, read

Pixels = NDArray[np.float32]
LABEL = 22  # height of a row's label, pixels


def to_image(pixels: Pixels) -> Image.Image:
    return Image.fromarray(np.floor(pixels.clip(0, 1) * 255 + 0.5).astype(np.uint8))


def row(photo: Pixels, corner: tuple[int, int], side: int, panel: int, restored: list[Pixels]) -> Image.Image:
    """The photo with its crop marked, and the same crop of each restoration, all `panel` pixels high."""
    y, x = corner
    height, width = photo.shape[:2]
    overview = to_image(photo)
    overview.thumbnail((panel, panel), Image.Resampling.LANCZOS)
    factor = overview.width / width
    box = [round(v * factor) for v in (x, y, min(x + side, width), min(y + side, height))]
    ImageDraw.Draw(overview).rectangle(box, outline=(255, 60, 60), width=2)
    canvas = Image.new("RGB", (panel * (1 + len(restored)), panel), "white")
    canvas.paste(overview, ((panel - overview.width) // 2, (panel - overview.height) // 2))
    for i, result in enumerate(restored, 1):
        scale = result.shape[0] // height
        crop = to_image(result[y * scale : (y + side) * scale, x * scale : (x + side) * scale])
        if max(crop.size) != panel:
            crop = crop.resize(
                (round(crop.width * panel / max(crop.size)), round(crop.height * panel / max(crop.size))),
                Image.Resampling.LANCZOS,
            )
        canvas.paste(crop, (i * panel + (panel - crop.width) // 2, (panel - crop.height) // 2))
    return canvas


def labels(texts: list[str], panel: int) -> Image.Image:
    strip = Image.new("RGB", (panel * len(texts), LABEL), "white")
    pen = ImageDraw.Draw(strip)
    for i, text in enumerate(texts):
        pen.text((i * panel + 4, 3), text, fill="black", font=ImageFont.load_default(14))
    return strip


def main(
    photos: Annotated[list[Path], typer.Argument(help="Photos and folders of them.")],
    model: Annotated[
        list[str] | None, typer.Option(help="As of `blindsr evaluate`; default cmdsr-x4.")
    ] = None,
    peer: Annotated[list[str] | None, typer.Option(help=f"Of {', '.join(PEERS)}.")] = None,
    crop: Annotated[list[str] | None, typer.Option(help="NAME=X,Y: where to crop the photo NAME.")] = None,
    side: Annotated[int, typer.Option(help="Side of a crop, LR pixels.")] = 80,
    panel: Annotated[int, typer.Option(help="Side of a panel, pixels.")] = 320,
    out: Annotated[Path, typer.Option(help="The sheet, .jpg or .png.")] = Path("docs/images/real.jpg"),
    difference: Annotated[
        float | None, typer.Option(help="Also the second model's result less the first's, so many times.")
    ] = None,
    keep: Annotated[
        Path | None, typer.Option(help="Also keep each model's whole results in this folder.")
    ] = None,
) -> None:
    """Make a sheet."""
    models = [find_method(name, "cpu") for name in model or ["cmdsr-x4"]]
    scale = models[0].restorer.scale or 4
    if difference and len(models) != 2:
        raise typer.BadParameter("a difference is one between two models", param_hint="--difference")
    peers = [find_peer(name) for name in peer or []]
    corners = dict(entry.split("=", 1) for entry in crop or [])
    files = [file for entry in photos for file in (find_pictures(entry) if entry.is_dir() else [entry])]
    rows = [
        labels(
            [
                "LR",
                "bicubic",
                *(p.title for p in [*peers, *models]),
                *([f"difference x {difference:g}"] if difference else []),
            ],
            panel,
        )
    ]
    for file in files:
        photo = read(file).pixels
        photo = np.repeat(photo, 3, 2) if photo.shape[2] == 1 else photo
        if file.stem in corners:
            x, y = (int(n) for n in corners[file.stem].split(","))
            corner = (y, x)
        else:
            corner = densest(photo, side)
        enlarged = resize(photo.transpose(2, 0, 1)[None], scale=scale)[0].transpose(1, 2, 0)
        restored = [enlarged, *(p.restorer.restore(photo, scale) for p in peers)]
        for method in models:
            restored.append(method.restorer.restore(photo, scale))
            if keep is not None:
                keep.mkdir(parents=True, exist_ok=True)
                to_image(restored[-1]).save(keep / f"{file.stem}_{method.title}.png")
        if difference:
            restored.append(0.5 + difference * (restored[-1] - restored[-2]))
        rows += [labels([file.stem], panel), row(photo, corner, side, panel, restored)]
        print(file.name)
    sheet = Image.new("RGB", (max(r.width for r in rows), sum(r.height for r in rows)), "white")
    top = 0
    for strip in rows:
        sheet.paste(strip, (0, top))
        top += strip.height
    out.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(out, quality=88)


if __name__ == "__main__":
    typer.run(main)
