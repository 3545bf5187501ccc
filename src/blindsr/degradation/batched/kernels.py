"""Blur kernels of all families, sampled where the batch lives: one an image."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from blindsr.degradation.blur import squared_distance
from blindsr.degradation.kernels import FAMILIES, Kernel

# One pixel of whatever weight becomes 1 when the kernel is normalised: no blur.
_NONE = Kernel("gaussian", 1, 1.0, 1.0)


def kernel_columns(kernels: Sequence[Kernel | None]) -> dict[str, NDArray[Any]]:
    """Return the parameters of kernels, by their names.

    Args:
        kernels: one an image; None is no blur, which becomes a kernel of one pixel.

    Returns:
        What `kernel_pixels` reads, (N,) each: "family", the place in `FAMILIES`, and "size", int64; the
        others float64.
    """
    given = [_NONE if kernel is None else kernel for kernel in kernels]
    columns: dict[str, NDArray[Any]] = {
        "family": np.array([FAMILIES.index(kernel.family) for kernel in given], dtype=np.int64),
        "size": np.array([kernel.size for kernel in given], dtype=np.int64),
    }
    for name in ("sigma_x", "sigma_y", "angle", "beta", "cutoff"):
        columns[name] = np.array([getattr(kernel, name) for kernel in given], dtype=np.float64)
    # A Gaussian is a generalised one of shape 1; a sinc has no ellipse, but none may divide by 0.
    columns["beta"][columns["family"] == FAMILIES.index("gaussian")] = 1.0
    for name in ("sigma_x", "sigma_y"):
        columns[name][columns["family"] == FAMILIES.index("sinc")] = 1.0
    return columns


def gaussian_pixels(columns: Mapping[str, Tensor], side: int) -> Tensor:
    """Sample Gaussian kernels, as `gaussian_kernel` does.

    Args:
        columns: "size", "sigma_x", "sigma_y" and "angle" of `kernel_columns`, of any shape.
        side: of the squares to return, in pixels; odd and at least the largest size.

    Returns:
        Kernels, (..., side, side), float32, sum 1; zero beyond each kernel's size.
    """
    x, y = _places(columns["size"], side)
    return _normalised(torch.exp(-0.5 * _form(columns, x, y)), columns["size"], x, y)


def kernel_pixels(columns: Mapping[str, Tensor], side: int) -> Tensor:
    """Sample kernels of any family, as `Kernel.pixels` does.

    Args:
        columns: those of `kernel_columns`, of any shape.
        side: as in `gaussian_pixels`.

    Returns:
        Kernels, as those of `gaussian_pixels`.
    """
    x, y = _places(columns["size"], side)
    family, cutoff = _spread(columns["family"]), _spread(columns["cutoff"])
    power = _form(columns, x, y) ** _spread(columns["beta"])
    pixels = torch.where(family == FAMILIES.index("plateau"), 1 / (1 + power), torch.exp(-0.5 * power))
    distance = (x * x + y * y).sqrt()
    # At the centre the quotient is 0 / 0 and its limit is half the cutoff.
    slope = torch.where(distance == 0, cutoff / 2, torch.special.bessel_j1(cutoff * distance) / distance)
    pixels = torch.where(family == FAMILIES.index("sinc"), cutoff * slope / (2 * math.pi), pixels)
    return _normalised(pixels, columns["size"], x, y)


def _spread(column: Tensor) -> Tensor:
    """Give a column two more axes, for the pixels."""
    return column[..., None, None]


def _places(like: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """Return the pixels' places to the right of the centre (side,) and below it (side, 1), in float64."""
    # In float64, as the reference: these are a few hundred numbers an image.
    offsets = torch.arange(side, dtype=torch.float64, device=like.device) - side // 2
    return offsets, offsets[:, None]


def _form(columns: Mapping[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
    """Return the squared distances in units of each kernel's ellipse: (..., side, side)."""
    angle = _spread(columns["angle"])
    sigma_x, sigma_y = _spread(columns["sigma_x"]), _spread(columns["sigma_y"])
    return squared_distance(x, y, angle.cos(), angle.sin(), sigma_x, sigma_y)


def _normalised(pixels: Tensor, size: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Cut kernels to their sizes and make them sum to 1."""
    radius = _spread(size // 2)
    pixels = pixels * ((x.abs() <= radius) & (y.abs() <= radius))
    return (pixels / pixels.sum(dim=(-2, -1), keepdim=True)).float()
