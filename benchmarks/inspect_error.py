"""How well a condition tells blur, noise and JPEG, on photos and degradations that the fit never saw.

    python benchmarks/inspect_error.py --model cmdsr-x4 --photos $BLINDSR_BENCHMARKS/data/train

The photos are those that the model's training held out, and Set14; each gives random crops, degraded at
random as in training (DegradationSpace REAL), and 20 support patches of each LR crop are read, as `blindsr
inspect` does. Blur: standard deviation of the kernel, HR pixels. Noise: root mean square of what it changed
before JPEG, levels of 255. JPEG or not: share of wrong verdicts between photos with a quality below 90 and
photos without JPEG, where a coin has 0.5. Guess: the error of the median of the same photos' true values.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from places import TEST_PHOTOS, TRAINING_PHOTOS

from blindsr.dataset.photos import split_holdout
from blindsr.degradation import REAL
from blindsr.inspection.fit import HEADING, draw_samples, error_rows
from blindsr.inspection.reading import Inspector, activate, decode
from blindsr.picture import find_pictures
from blindsr.upscaling.upscaler import Upscaler

SEED = 1_000_003  # `blindsr fit-inspect` draws from its seed and the next


def main(
    model: Annotated[str, typer.Option(help="Name or folder of an adaptive model.")] = "cmdsr-x4",
    photos: Annotated[Path, typer.Option(help="The photos that the model was trained on.")] = TRAINING_PHOTOS,
    holdout: Annotated[int, typer.Option(help="How many of them were held out.")] = 8,
    sharp: Annotated[Path, typer.Option(help="Other sharp photos.")] = TEST_PHOTOS,
    crops: Annotated[int, typer.Option(help="Crops of each photo; each gives three samples.")] = 48,
) -> None:
    """Print the tables."""
    upscaler = Upscaler(model, device="cpu", threads=1)
    inspector = Inspector(upscaler.model)
    held_out, _ = split_holdout(find_pictures(photos), holdout)
    for title, files in (("photos held out", held_out), (sharp.parents[1].name, find_pictures(sharp))):
        samples = draw_samples(upscaler, files, replace(REAL, scale=upscaler.model.scale), crops, SEED)
        estimates = decode(activate(samples.conditions, inspector.hidden, inspector.output))
        print(f"{upscaler.model.name}, {len(files)} {title}, {len(samples.blur)} degraded crops\n{HEADING}")
        print(*error_rows(estimates, samples), sep="\n", end="\n\n")


if __name__ == "__main__":
    typer.run(main)
