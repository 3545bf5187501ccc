"""Is a camera's profile worth it? Photos of one degradation, restored under three conditions.

    python benchmarks/camera.py --model cmdsr-x4

All photos of Set14 get the same degradation. Each is restored under its own condition, under the profile of
the other photos, and under the profile of all. PSNR (dB) / SSIM on Y of BT.601, 4 pixels of border left out,
8 bit; image i gets its noise from seed i. Spread: mean and greatest distance of the photos' own conditions to
the profile, in parts of the distance that photos degraded at random have (where the model knows that).
Furthest: how many times as far from the middle of all conditions the furthest lies as the median one.

Then the odd photo: in each of the sets every photo in turn is exchanged for itself under another of the
degradations; how often `blindsr adapt` would say that it does not belong, and how often of a photo that does.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from places import TEST_PHOTOS

from blindsr.degradation import Degradation, degrade_image, modcrop
from blindsr.inspection.reading import Inspector
from blindsr.metrics import METRICS
from blindsr.picture import find_pictures, read
from blindsr.upscaling.profile import outliers
from blindsr.upscaling.upscaler import Adaptation, Upscaler

TASKS = (
    "blur=0.2",
    "blur=1.3",
    "blur=2.6",
    "blur=1.3,noise=5",
    "blur=1.3,noise=15",
    "blur=2.6,noise=30",
    "blur=0.6,noise=3,jpeg=75",
    "blur=1.3,noise=5,jpeg=40",
)


def main(
    model: Annotated[str, typer.Option(help="Name or folder of an adaptive model.")] = "cmdsr-x4",
    photos: Annotated[Path, typer.Option(help="Folder of sharp photos.")] = TEST_PHOTOS,
    threads: Annotated[int, typer.Option(help="CPU threads.")] = 2,
) -> None:
    """Print the table and the counts."""
    upscaler = Upscaler(model, device="cpu", threads=threads)
    scale = upscaler.model.scale
    spread = Inspector(upscaler.model).spread if "inspect" in upscaler.model.files else None
    hr = [read(file).pixels for file in find_pictures(photos)]
    hr = [modcrop(np.repeat(p, 3, axis=2) if p.shape[2] == 1 else p, scale) for p in hr]
    print(f"{upscaler.model.name}, {len(hr)} photos, PSNR / SSIM\n")
    print("| degradation | own condition | profile of the others | profile of all | spread | furthest |")
    print("|---|---|---|---|---|---|")
    rows = []
    conditions: dict[str, NDArray[np.float32]] = {}
    for text in TASKS:
        task = Degradation.parse(text, scale=scale)
        lr = [degrade_image(picture, task, seed) for seed, picture in enumerate(hr)]
        own = [upscaler.adapt([picture]) for picture in lr]
        everyone = Adaptation.mean(own)
        scores = np.zeros((3, len(METRICS)))
        for i, (small, truth) in enumerate(zip(lr, hr, strict=True)):
            others = Adaptation.mean(own[:i] + own[i + 1 :])
            for row, adaptation in zip(scores, (own[i], others, everyone), strict=True):
                restored = upscaler.upscale(small, support=adaptation)
                row += [metric(restored, truth, border=scale) for metric in METRICS.values()]
        rows.append(scores / len(hr))
        conditions[text] = found = np.concatenate([adaptation.condition for adaptation in own])
        distances = np.linalg.norm(found - everyone.condition, axis=1) / (spread or 1.0)
        far = np.linalg.norm(found - np.median(found, axis=0), axis=1)
        consistency = f"{distances.mean():.2f}, {distances.max():.2f} | {far.max() / np.median(far):.1f}"
        print(f"| {text} | {_cells(rows[-1])} | {consistency} |", flush=True)
    print(f"| mean | {_cells(np.mean(rows, axis=0))} | | |\n")
    print(*odd_photos(conditions, spread), sep="\n")


def odd_photos(conditions: dict[str, NDArray[np.float32]], spread: float | None) -> list[str]:
    """How often a photo that does not belong is found, by how much its noise differs; and false alarms."""
    noise = {text: Degradation.parse(text).noise for text in TASKS}
    found: dict[str, list[bool]] = {"by 10 levels and more": [], "by less": []}
    for text, own in conditions.items():
        for other, strange in conditions.items():
            kind = "by 10 levels and more" if abs(noise[text] - noise[other]) >= 10 else "by less"
            for i in range(len(own) if other != text else 0):
                mixed = own.copy()
                mixed[i] = strange[i]
                found[kind].append(bool(outliers(mixed, spread)[i]))
    alarms = [bool(odd) for own in conditions.values() for odd in outliers(own, spread)]
    lines = [f"odd photos, noise differs {k}: {sum(hits)} of {len(hits)} found" for k, hits in found.items()]
    return [*lines, f"photos that belong: {sum(alarms)} of {len(alarms)} called odd"]


def _cells(scores: NDArray[np.float64]) -> str:
    """PSNR and SSIM of the three columns."""
    return " | ".join(f"{psnr:.2f} / {ssim:.4f}" for psnr, ssim in scores)


if __name__ == "__main__":
    typer.run(main)
