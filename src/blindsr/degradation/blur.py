"""Blur by any kernel; Gaussian kernels, isotropic and anisotropic."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from blindsr.degradation.backend import (
    Array,
    check_batch,
    correlate,
    full_precision,
    take,
)
from blindsr.errors import InputError

# Terms of a kernel's expansion that together weigh less than this cannot move a pixel by more than 1e-6.
_NEGLIGIBLE = 1e-6
# How many numbers the shifted matrices may hold at a time (64 MiB).
_WORKSPACE = 2**23


def gaussian_kernel(sigma_x: float, sigma_y: float, angle: float, size: int) -> NDArray[np.float64]:
    """Sample a Gaussian at the pixel centres and normalise it.

    Args:
        sigma_x: standard deviation along the first axis of the ellipse, in pixels, above 0.
        sigma_y: standard deviation along the second axis; equal to `sigma_x` is isotropic.
        angle: direction of the first axis in radians, from x (to the right) towards y (downwards).
        size: side of the kernel in pixels, odd.

    Returns:
        Kernel, (size, size), float64, sum 1.

    Raises:
        InputError: a sigma is not above 0, or the size is not odd and positive.
    """
    if size < 1 or size % 2 == 0:
        raise InputError(f"a kernel needs an odd size, got {size}")
    kernel = np.exp(-0.5 * elliptic_form(sigma_x, sigma_y, angle, size))
    return np.asarray(kernel / kernel.sum(), dtype=np.float64)


def elliptic_form(sigma_x: float, sigma_y: float, angle: float, size: int) -> NDArray[np.float64]:
    """Return the squared distance of each pixel from the centre, in units of an ellipse's semi-axes.

    Args:
        sigma_x: first semi-axis in pixels, above 0; the rest as in `gaussian_kernel`.
        sigma_y: second semi-axis.
        angle: direction of the first axis.
        size: side in pixels; where it is even, the centre lies between pixels.

    Returns:
        Squared distances, (size, size), float64.

    Raises:
        InputError: a sigma is not above 0.
    """
    if not (sigma_x > 0 and sigma_y > 0 and math.isfinite(sigma_x) and math.isfinite(sigma_y)):
        raise InputError(f"a blur kernel needs sigmas above 0, got {sigma_x:g} and {sigma_y:g}")
    offsets = np.arange(size) - (size - 1) / 2
    y, x = np.meshgrid(offsets, offsets, indexing="ij")
    form = squared_distance(x, y, math.cos(angle), math.sin(angle), sigma_x, sigma_y)
    return np.asarray(form, dtype=np.float64)


def squared_distance(
    x: Array,
    y: Array,
    cosine: Array | float,
    sine: Array | float,
    sigma_x: Array | float,
    sigma_y: Array | float,
) -> Array:
    """Return the squared distance of (x, y) from the centre, in units of an ellipse's semi-axes.

    Args:
        x: place to the right of the centre, in pixels.
        y: place below it.
        cosine: of the direction of the first axis; this and the others may be arrays, an ellipse each.
        sine: of the same.
        sigma_x: first semi-axis in pixels, above 0.
        sigma_y: second semi-axis.

    Returns:
        Squared distances, of the shape that all have together.
    """
    along, across = cosine * x + sine * y, cosine * y - sine * x
    form: Array = (along / sigma_x) ** 2 + (across / sigma_y) ** 2
    return form


def blur(x: Array, kernel: NDArray[np.floating]) -> Array:
    """Correlate every channel with one kernel, reflecting at the borders (without repeating the edge pixel).

    The kernel may be larger than the image: the reflection goes on as often as needed.

    Args:
        x: batch, (N, C, H, W), float32 RGB in [0, 1].
        kernel: (k_h, k_w), both odd; sum 1 keeps the brightness.

    Returns:
        Blurred batch, same shape.

    Raises:
        InputError: the batch or the kernel has the wrong shape.
    """
    check_batch(x)
    _check_kernel(kernel)
    height, width = x.shape[2:]
    down, across = reflected(height, kernel.shape[0] // 2), reflected(width, kernel.shape[1] // 2)
    with full_precision(x):
        return correlate(take(take(x, down, 2), across, 3), kernel)


def kernel_terms(kernel: NDArray[np.floating]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Write a kernel as a short sum of outer products (its singular value decomposition, cut at 1e-6).

    An axis-aligned Gaussian is one product, a rotated one a few. Each acts by two small matrices, which is
    faster than a two-dimensional correlation and the same code for arrays and tensors.

    Args:
        kernel: (k_h, k_w), both odd.

    Returns:
        Taps for the rows (terms, k_h) and for the columns (terms, k_w), strongest first, at least one term.

    Raises:
        InputError: the kernel is not two-dimensional with odd sides, or not finite.
    """
    _check_kernel(kernel)
    left, strength, right = np.linalg.svd(kernel.astype(np.float64), full_matrices=False)
    # |u v^T| sums to at most sqrt(k_h k_w), which bounds what the terms left out can do to a pixel in [0, 1].
    rest = np.cumsum(strength[::-1])[::-1] * np.sqrt(kernel.size)
    kept = max(1, int(np.count_nonzero(rest > _NEGLIGIBLE)))
    return (left * strength)[:, :kept].T, right[:kept]


def compose_blur(matrix: NDArray[np.float64], taps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the matrices that first blur a line of pixels and then apply `matrix`.

    Args:
        matrix: (n_out, n), applied to the blurred line; the identity gives the blur alone.
        taps: (terms, k), k odd; each row is correlated with the line under reflection.

    Returns:
        Matrices, (terms, n_out, n).
    """
    (terms, size), (n_out, length) = taps.shape, matrix.shape
    result = np.empty((terms, n_out, length))
    step = max(1, _WORKSPACE // (size * length))
    for start in range(0, n_out, step):
        shifted = _shifted(matrix[start : start + step], size)  # (size, step, length)
        result[:, start : start + step] = np.tensordot(taps, shifted, axes=1)
    return result


def _check_kernel(kernel: NDArray[np.floating]) -> None:
    """Refuse anything but a finite kernel with odd sides."""
    if kernel.ndim != 2 or kernel.shape[0] % 2 == 0 or kernel.shape[1] % 2 == 0:
        raise InputError(f"a blur kernel must be two-dimensional with odd sides, this is {kernel.shape}")
    if not np.isfinite(kernel).all():
        raise InputError("a blur kernel must be finite")


def _shifted(matrix: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """Return the matrices that apply `matrix` to a line shifted by each of -size // 2 ... size // 2."""
    n_out, length = matrix.shape
    radius = size // 2
    padded = np.zeros((size, n_out, length + 2 * radius))
    for i in range(size):
        padded[i, :, i : i + length] = matrix
    # What falls beyond the ends comes back where the reflection has taken it from.
    folded = padded[:, :, radius : radius + length].copy()
    inside = reflected(length, radius)
    for source in (*range(radius), *range(length + radius, length + 2 * radius)):
        folded[:, :, inside[source]] += padded[:, :, source]
    return folded


def reflect(places: NDArray[np.int64], length: int) -> NDArray[np.int64]:
    """Return which of `length` pixels stands at each place when the line is reflected without end."""
    return (length - 1) - np.abs(places % max(1, 2 * (length - 1)) - (length - 1))


def reflected(length: int, radius: int) -> NDArray[np.int64]:
    """Return which of `length` pixels stands at each of -radius ... length + radius - 1."""
    return reflect(np.arange(-radius, length + radius), length)
