"""How near estimated kernels come to the kernels that photos were made with.

    python benchmarks/kernels.py --scale 2

Every photo is blurred by anisotropic Gaussians drawn at random (standard deviations of 0.25 to 1.1 LR pixels,
in any direction), shrunk and rounded to 8 bits; then the kernel is estimated from the LR photo alone. The
distance of two kernels is the norm of their difference, relative to the norm of the true one. Beside the
estimate's stand those of three guesses: the bicubic kernel, a round Gaussian of 0.65 LR pixels, and of all
round Gaussians the one nearest to the truth, which nobody can know.
"""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from places import TEST_PHOTOS

from blindsr.degradation import (
    Injection,
    InjectionBank,
    degrade,
    estimate_kernel,
    gaussian_noise,
    jpeg,
    modcrop,
)
from blindsr.degradation.blur import elliptic_form
from blindsr.picture import find_pictures, read
from blindsr.picture.resampling import cubic

Matrix = NDArray[np.float64]


def gaussian(scale: int, sigma_x: float, sigma_y: float, angle: float) -> Matrix:
    """A kernel as the estimate has it; sigmas in LR pixels."""
    form = elliptic_form(scale * sigma_x, scale * sigma_y, angle, 8 * scale + scale % 2)
    kernel = np.exp(-form / 2)
    return np.asarray(kernel / kernel.sum())


def shrink(photo: NDArray[np.float32], kernel: Matrix, scale: int) -> NDArray[np.float32]:
    """(1, 3, H, W) -> (1, 3, h, w)."""
    bank = InjectionBank(
        scale,
        kernel[None].astype(np.float32),
        np.zeros((0, 3, 2, 2), np.float16),
        ("",),
        np.zeros(1, np.int32),
        np.zeros(0, np.int32),
    )
    return degrade(photo, Injection(bank), 0)


def main(
    photos: Annotated[Path, typer.Option(help="Folder of HR photos.")] = TEST_PHOTOS,
    scale: Annotated[int, typer.Option(min=1)] = 2,
    kernels: Annotated[int, typer.Option(min=1, help="Kernels for each photo.")] = 3,
    noise: Annotated[float, typer.Option(help="Gaussian noise, in levels of 255.")] = 0.0,
    quality: Annotated[int | None, typer.Option(help="JPEG quality.")] = None,
    least: Annotated[int, typer.Option(help="LR photos that are smaller are left out.")] = 64,
    seed: Annotated[int, typer.Option()] = 0,
) -> None:
    """Print the mean and the median distance to the truth."""
    rng = np.random.default_rng(seed)
    size = 8 * scale + scale % 2
    line = cubic((np.arange(size) - (size - 1) / 2) / scale)
    guesses = {
        "bicubic": np.outer(line, line) / line.sum() ** 2,
        "round 0.65": gaussian(scale, 0.65, 0.65, 0),
    }
    rounds = [gaussian(scale, sigma, sigma, 0) for sigma in np.linspace(0.2, 1.2, 41)]
    distances: dict[str, list[float]] = {name: [] for name in ("estimate", *guesses, "nearest round")}
    seconds = []
    for file in find_pictures(photos):
        pixels = modcrop(read(file).pixels, scale)
        if min(pixels.shape[:2]) < least * scale:
            continue
        hr = np.ascontiguousarray(np.broadcast_to(pixels, (*pixels.shape[:2], 3)).transpose(2, 0, 1)[None])
        for _ in range(kernels):
            sigma_x, sigma_y = rng.uniform(0.25, 1.1, 2)
            truth = gaussian(scale, sigma_x, sigma_y, rng.uniform(0, math.pi))
            lr = gaussian_noise(shrink(hr, truth, scale), noise, seed).clip(0, 1)
            lr = jpeg(lr, quality) if quality else np.rint(lr * 255) / 255
            start = time.process_time()
            found = estimate_kernel(lr[0].transpose(1, 2, 0), scale).kernel
            seconds.append(time.process_time() - start)
            for name, kernel in {"estimate": found, **guesses}.items():
                distances[name].append(float(np.linalg.norm(kernel - truth) / np.linalg.norm(truth)))
            nearest = min(np.linalg.norm(kernel - truth) for kernel in rounds)
            distances["nearest round"].append(float(nearest / np.linalg.norm(truth)))
    print(f"x{scale}, {len(seconds)} photos, {np.mean(seconds):.2g} s each")
    for name, values in distances.items():
        print(f"{name:14s} mean {np.mean(values):.3f}  median {np.median(values):.3f}")


if __name__ == "__main__":
    typer.run(main)
