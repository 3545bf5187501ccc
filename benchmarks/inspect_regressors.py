"""Which regression reads a condition best? Ridge, kernel ridge and small networks, cross-validated by photo.

    python benchmarks/inspect_regressors.py --model cmdsr-x4 --photos $BLINDSR_BENCHMARKS/data/train

Samples are drawn from the training photos as `blindsr fit-inspect` draws them; the photos held out have no
part in the choice. Four folds of photos: each is measured by what was fitted on the other three. Errors as in
inspect_error.py; numbers: how many the regression has to be kept in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from places import TRAINING_PHOTOS

from blindsr.dataset.photos import split_holdout
from blindsr.degradation import REAL
from blindsr.inspection.fit import (
    MEMBERS,
    UNITS,
    Samples,
    Vector,
    draw_samples,
    error_rows,
    fit_network,
    targets_of,
)
from blindsr.inspection.reading import activate, decode
from blindsr.picture import find_pictures
from blindsr.upscaling.upscaler import Upscaler

FOLDS = 4
SHOWN = (("blur", "all"), ("blur", "without noise"), ("noise", "all"), ("JPEG or not", "all"))

Regression = Callable[[Samples, Vector], tuple[Vector, int]]
"""From samples to fit and conditions to read, to the activations (K, 4) and the numbers it has."""


def ridge(samples: Samples, conditions: Vector, weight: float = 1e-3) -> tuple[Vector, int]:
    """Linear regression on the conditions."""
    return _ridge(
        _standardise(samples, samples.conditions), _standardise(samples, conditions), samples, weight
    )


def quadratic(samples: Samples, conditions: Vector, components: int = 20) -> tuple[Vector, int]:
    """Linear regression on the first principal components and their products."""
    _, _, directions = np.linalg.svd(samples.conditions - samples.conditions.mean(0), full_matrices=False)

    def expand(conditions: Vector) -> Vector:
        x = _standardise(samples, conditions @ directions[:components].T, directions[:components].T)
        pairs = np.triu_indices(components)
        return np.column_stack([x, (x[:, :, None] * x[:, None])[:, pairs[0], pairs[1]]])

    activations, size = _ridge(expand(samples.conditions), expand(conditions), samples, 1e-1)
    return activations, size + components * directions.shape[1]


def kernel_ridge(samples: Samples, conditions: Vector, centres: int = 512) -> tuple[Vector, int]:
    """Regression on Gaussian bumps around some of the conditions, half whitened."""
    middle = samples.conditions.mean(0)
    _, singular, directions = np.linalg.svd(samples.conditions - middle, full_matrices=False)
    whitening = directions.T / np.sqrt(np.maximum(singular, 1e-5 * singular[0]))
    known = (samples.conditions - middle) @ whitening
    chosen = known[np.random.default_rng(0).permutation(len(known))[:centres]]
    width = 2 * np.mean(np.square(known).sum(1))

    def bumps(x: Vector) -> Vector:
        squares = np.square(x).sum(1)[:, None] + np.square(chosen).sum(1) - 2 * x @ chosen.T
        return np.exp(-squares / (2 * width))

    activations, size = _ridge(bumps(known), bumps((conditions - middle) @ whitening), samples, 1e-6)
    return activations, size + chosen.size + whitening.size


def network(units: int, members: int) -> Regression:
    """The kind that is kept, of another size."""

    def regress(samples: Samples, conditions: Vector) -> tuple[Vector, int]:
        hidden, output = fit_network(samples, 0, units, members)
        return activate(conditions, hidden, output), hidden.size + output.size

    return regress


REGRESSIONS: dict[str, Regression] = {
    "ridge": ridge,
    "ridge on 20 components and their products": quadratic,
    "kernel ridge, 512 centres": kernel_ridge,
    "one network of 32 units": network(32, 1),
    "4 networks of 32 units (kept)": network(UNITS, MEMBERS),
    "8 networks of 64 units": network(64, 8),
}


def main(
    model: Annotated[str, typer.Option(help="Name or folder of an adaptive model.")] = "cmdsr-x4",
    photos: Annotated[Path, typer.Option(help="The photos that the model was trained on.")] = TRAINING_PHOTOS,
    holdout: Annotated[int, typer.Option(help="How many of them were held out.")] = 8,
    crops: Annotated[int, typer.Option(help="Crops of each photo; each gives three samples.")] = 8,
) -> None:
    """Print the table."""
    upscaler = Upscaler(model, device="cpu", threads=1)
    _, files = split_holdout(find_pictures(photos), holdout)
    samples = draw_samples(upscaler, files, replace(REAL, scale=upscaler.model.scale), crops, seed=0)
    count = len(samples.blur)
    fold = np.arange(count) * len(files) // count % FOLDS
    print(f"{upscaler.model.name}, {count} samples of {len(files)} photos, {FOLDS} folds\n")
    print("| regression | " + " | ".join(", ".join(shown) for shown in SHOWN) + " | numbers |")
    print("|---|" + "---|" * (len(SHOWN) + 1))
    for name, regress in REGRESSIONS.items():
        activations, size = np.empty((count, 4)), 0
        for i in range(FOLDS):
            activations[fold == i], size = regress(_part(samples, fold != i), samples.conditions[fold == i])
        rows = {(row.factor, row.photos): row for row in error_rows(decode(activations), samples)}
        print(f"| {name} | " + " | ".join(f"{rows[shown].error:.2f}" for shown in SHOWN) + f" | {size} |")
    print("| guess | " + " | ".join(f"{rows[shown].guess:.2f}" for shown in SHOWN) + " | |")


def _part(samples: Samples, chosen: NDArray[np.bool_]) -> Samples:
    values = samples.conditions, samples.blur, samples.noise, samples.quality
    return Samples(*(value[chosen] for value in values))


def _standardise(samples: Samples, x: Vector, directions: Vector | None = None) -> Vector:
    known = samples.conditions if directions is None else samples.conditions @ directions
    return (x - known.mean(0)) / (known.std(0) + 1e-9)


def _ridge(known: Vector, x: Vector, samples: Samples, weight: float) -> tuple[Vector, int]:
    """Weighted squares: each target has its own weights, as in the network."""
    targets, weights = targets_of(samples)
    ones = np.column_stack([known, np.ones(len(known))])
    penalty = weight * len(known) * np.diag([*np.ones(known.shape[1]), 0])
    found = [
        np.linalg.solve((ones.T * w) @ ones + penalty, (ones.T * w) @ t)
        for t, w in zip(targets.T, weights.T, strict=True)
    ]
    activations = np.column_stack([x, np.ones(len(x))]) @ np.column_stack(found)
    activations[:, 2] = 4 * (activations[:, 2] - 0.5)  # a share, as the logarithm of odds
    return activations, known.shape[1] * 4 + 4


if __name__ == "__main__":
    typer.run(main)
