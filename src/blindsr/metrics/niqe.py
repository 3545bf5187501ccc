"""Natural image quality evaluator: how far a picture's statistics are from those of pristine photos."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from blindsr.errors import InputError, ModelError
from blindsr.metrics.convention import planes
from blindsr.metrics.gaussian import gaussian_mean
from blindsr.picture.resampling import contributions
from blindsr.system.files import atomic_path, check_npz
from blindsr.system.npz import NPZ_FAULTS, read_npz
from blindsr.system.untrusted import brief

BLOCK = 96
"""Pixels on a side of the blocks whose statistics are taken."""
FEATURES = 36
"""Statistics of a block: 18 at each of two scales."""

_RADIUS = 3
_SIGMA = 7 / 6
_LARGEST = 1 << 20  # bytes of a file of parameters, which has some thousand numbers
_FLAT = 1e-9  # a coefficient below this is the rounding error of a flat window
_SHIFTS = ((0, 1), (1, 0), (1, 1), (1, -1))  # neighbours: right, below, and on both diagonals


@dataclass(frozen=True, eq=False)
class NIQEParameters:
    """The multivariate Gaussian of pristine photos' statistics.

    Args:
        mean: (36,).
        covariance: (36, 36).
    """

    mean: NDArray[np.float64]
    covariance: NDArray[np.float64]


def niqe(
    picture: NDArray[np.floating],
    *,
    parameters: NIQEParameters,
    border: int = 0,
    quantise: bool = True,
) -> float:
    """Distance of a picture's natural scene statistics from those of pristine photos; no ground truth needed.

    Mittal, Soundararajan and Bovik, "Making a 'completely blind' image quality analyzer", IEEE Signal
    Processing Letters 2013, doi:10.1109/LSP.2012.2227726: equation 10, over blocks of 96x96 pixels at two
    scales. As in the authors' program, the second scale is MATLAB's bicubic half size with mirrored edges,
    and rows and columns that fill no block are left out at the bottom and at the right.

    Args:
        picture: RGB in [0, 1], (H, W, 3), measured on BT.601 luma, or gray, (H, W, 1), measured as it is.
        parameters: Of pristine photos, from `read_niqe` or `fit_niqe`. Values compare only where they are the
            same.
        border: Pixels left out along every edge.
        quantise: Clip and round to 8 bit first, and luma again. Flat parts make this matter: without it other
            values come out than those of the literature.

    Returns:
        0 and more, lower is better; sharp photos have 2 to 6.

    Raises:
        InputError: The shape is no picture's, or fewer than two whole blocks with any texture lie inside the
            border.
    """
    features, _ = block_statistics(picture, border=border, quantise=quantise)
    complete = features[~np.isnan(features).any(axis=1)]
    if len(complete) < 2:
        raise InputError(
            f"NIQE needs at least two textured blocks of {BLOCK}x{BLOCK} pixels; this picture of "
            f"{picture.shape[1]}x{picture.shape[0]} has {len(complete)} of {len(features)}"
        )
    difference = parameters.mean - np.nanmean(features, axis=0)
    pooled = (parameters.covariance + np.cov(complete, rowvar=False)) / 2
    # At a distance of 0, rounding may leave a little less than that.
    return math.sqrt(max(0.0, float(difference @ np.linalg.pinv(pooled) @ difference)))


def sharp_statistics(picture: NDArray[np.floating], sharpness: float = 0.75) -> NDArray[np.float64]:
    """Statistics of the blocks that a photo shows sharp, of which `fit_niqe` makes parameters.

    A block is sharp where its mean local contrast exceeds a part of that of the photo's sharpest block
    (section II-B of the paper), which leaves out sky and what lies out of focus.

    Args:
        picture: A pristine photo: RGB in [0, 1], (H, W, 3), or gray, (H, W, 1).
        sharpness: That part, 0 to below 1; the paper has 0.75.

    Returns:
        (blocks, 36), one row at least.

    Raises:
        InputError: The shape is no picture's, it has no textured block, or `sharpness` is out of range.
    """
    if not 0 <= sharpness < 1:
        raise InputError(
            f"the sharpness of blocks is a part of the sharpest one's: 0 to below 1, not {sharpness}"
        )
    features, contrast = block_statistics(picture)
    textured = ~np.isnan(features).any(axis=1)
    if not textured.any():
        raise InputError(f"no block of {BLOCK}x{BLOCK} pixels in this picture has any texture")
    sharp: NDArray[np.float64] = features[textured & (contrast > sharpness * contrast.max())]
    return sharp


def fit_niqe(features: NDArray[np.float64]) -> NIQEParameters:
    """Parameters of NIQE from the statistics of pristine photos.

    Args:
        features: (blocks, 36), those of all photos by `sharp_statistics`.

    Returns:
        Their mean and covariance.

    Raises:
        InputError: There are too few blocks to tell a covariance of 36 statistics.
    """
    if features.ndim != 2 or features.shape[1] != FEATURES:
        raise InputError(f"NIQE is fitted on (blocks, {FEATURES}) statistics, not on {features.shape}")
    if len(features) <= FEATURES:
        raise InputError(
            f"NIQE needs more than {FEATURES} sharp blocks to be fitted, and these photos have "
            f"{len(features)}: give more photos, or larger ones"
        )
    return NIQEParameters(features.mean(axis=0), np.cov(features, rowvar=False))


def read_niqe(path: Path) -> NIQEParameters:
    """Read parameters of NIQE.

    Args:
        path: An .npz file with `mu_pris_param` and `cov_pris_param`, as `write_niqe` makes it and as other
            programs have it.

    Raises:
        ModelError: The file is missing, damaged, or something else.
    """
    try:
        content = read_npz(path, _LARGEST)
        mean = np.asarray(content["mu_pris_param"], np.float64).reshape(-1)
        covariance = np.asarray(content["cov_pris_param"], np.float64)
    except FileNotFoundError:
        raise ModelError(f"{path}: no such file") from None
    except KeyError:
        raise ModelError(f"{path}: no parameters of NIQE (mu_pris_param and cov_pris_param)") from None
    except NPZ_FAULTS as error:
        raise ModelError(f"{path}: not an .npz file of NIQE's parameters ({brief(error)})") from None
    if mean.shape != (FEATURES,) or covariance.shape != (FEATURES, FEATURES):
        raise ModelError(
            f"{path}: NIQE has {FEATURES} statistics, this file a mean of {mean.shape} "
            f"and a covariance of {covariance.shape}"
        )
    if not (np.isfinite(mean).all() and np.isfinite(covariance).all()):
        raise ModelError(f"{path}: damaged: not every number is finite; fit it again with blindsr fit-niqe")
    if not np.allclose(covariance, covariance.T) or np.linalg.eigvalsh(covariance)[0] < -_FLAT:
        raise ModelError(f"{path}: damaged: its covariance is none; fit it again with blindsr fit-niqe")
    return NIQEParameters(mean, covariance)


def write_niqe(parameters: NIQEParameters, path: Path) -> None:
    """Write parameters of NIQE, under the names that other programs use as well.

    Args:
        parameters: What to write.
        path: An .npz file; it appears whole or not at all.

    Raises:
        InputError: The file's name does not end in .npz, or its folder is not there.
    """
    check_path(path)
    taps = np.exp(-0.5 * np.square(np.arange(-_RADIUS, _RADIUS + 1) / _SIGMA))
    window = np.outer(taps, taps)
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez(
            file,
            mu_pris_param=parameters.mean[None],
            cov_pris_param=parameters.covariance,
            gaussian_window=window / window.sum(),
        )


def check_path(path: Path) -> None:
    """Refuse a place where `write_niqe` cannot write.

    Raises:
        InputError: The file's name does not end in .npz, or its folder is not there.
    """
    check_npz(path, "parameters of NIQE are an .npz file; name it such as niqe.npz")


def block_statistics(
    picture: NDArray[np.floating], *, border: int = 0, quantise: bool = True
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Statistics of a picture's blocks (equations 1 to 8 of the paper).

    Args:
        picture: RGB in [0, 1], (H, W, 3), or gray, (H, W, 1).
        border: Pixels left out along every edge.
        quantise: Clip and round to 8 bit first, and luma again.

    Returns:
        Features, (blocks, 36), with NaN in those of blocks without texture; and each block's mean local
        contrast in levels of 255, (blocks,). Blocks go row by row.

    Raises:
        InputError: The shape is no picture's, or there is no whole block inside the border.
    """
    luma = planes(picture, "y", border, quantise)[0]
    rows, columns = luma.shape[0] // BLOCK, luma.shape[1] // BLOCK
    if rows * columns == 0:
        inside = f" inside the border of {border}" if border else ""
        raise InputError(
            f"NIQE needs blocks of {BLOCK}x{BLOCK} pixels, "
            f"and this picture has {luma.shape[1]}x{luma.shape[0]}{inside}"
        )
    luma = luma[: rows * BLOCK, : columns * BLOCK]
    features, contrast = _features(luma, BLOCK)
    halved, _ = _features(_half(_half(luma).T).T, BLOCK // 2)
    return np.concatenate([features, halved], axis=1), contrast


def _features(luma: NDArray[np.float64], size: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Of each block of one scale: 18 statistics, and the mean local contrast."""
    padded = np.pad(luma, _RADIUS, mode="edge")
    features, contrasts = [], []
    for top in range(0, len(luma), size):  # a row of blocks at a time: large pictures stay out of memory
        strip = padded[None, top : top + size + 2 * _RADIUS]
        mean = gaussian_mean(strip, _RADIUS, _SIGMA)[0]
        variance = gaussian_mean(np.square(strip), _RADIUS, _SIGMA)[0] - np.square(mean)
        contrast = np.sqrt(np.abs(variance))
        coefficients = (luma[top : top + size] - mean) / (contrast + 1)
        # Where the window is flat the coefficient is 0. Left at its rounding error, its sign would count.
        coefficients[np.abs(coefficients) < _FLAT] = 0
        blocks = coefficients.reshape(size, -1, size).swapaxes(0, 1)  # (columns, size, size)
        features.append(_block_features(blocks))
        contrasts.append(contrast.reshape(size, -1, size).mean(axis=(0, 2)))
    return np.concatenate(features), np.concatenate(contrasts)


def _block_features(blocks: NDArray[np.float64]) -> NDArray[np.float64]:
    """(blocks, size, size) -> (blocks, 18)."""
    shape, left, right, _ = _fit_asymmetric(blocks)
    found = [shape, (left + right) / 2]
    for shift in _SHIFTS:
        # The neighbour of the last pixel is the first of its block, as in the authors' program.
        shape, left, right, mean = _fit_asymmetric(blocks * np.roll(blocks, shift, axis=(1, 2)))
        found += [shape, mean, left, right]
    return np.stack(found, axis=1)


def _fit_asymmetric(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
    """Fit an asymmetric generalised Gaussian to each block by its moments.

    Lasmar, Stitou and Berthoumieu, "Multiscale skewed heavy tailed model for texture analysis", ICIP 2009,
    doi:10.1109/ICIP.2009.5414404. Without values on one side there is no fit: NaN, but for the shape.

    Returns:
        Shape, left and right scale, and mean, (blocks,) each.
    """
    values = values.reshape(len(values), -1)
    shapes, ratios, scales, means = _gamma_tables()
    squares = np.square(values)
    below, above = values < 0, values > 0
    with np.errstate(invalid="ignore", divide="ignore"):
        left = np.sqrt((squares * below).sum(axis=1) / below.sum(axis=1))
        right = np.sqrt((squares * above).sum(axis=1) / above.sum(axis=1))
        skew = left / right
        ratio = np.square(np.abs(values).mean(axis=1)) / squares.mean(axis=1)
        ratio *= (skew**3 + 1) * (skew + 1) / np.square(np.square(skew) + 1)
    nearest = np.searchsorted((ratios[1:] + ratios[:-1]) / 2, ratio)
    nearest[np.isnan(ratio)] = 0  # the shape that the authors' program has there, which counts in the mean
    left, right = left * scales[nearest], right * scales[nearest]
    return shapes[nearest], left, right, (right - left) * means[nearest]


@lru_cache(maxsize=1)
def _gamma_tables() -> tuple[NDArray[np.float64], ...]:
    """Shapes 0.2 to 10, and of each: the ratio of moments (rising), the scale's factor, and the mean's."""
    shapes = np.arange(0.2, 10.001, 0.001)
    gamma = np.array([[math.gamma(n / float(shape)) for n in (1, 2, 3)] for shape in shapes])
    first, second, third = gamma.T
    return shapes, np.square(second) / (first * third), np.sqrt(first / third), second / first


def _half(plane: NDArray[np.float64]) -> NDArray[np.float64]:
    """Half as many rows by MATLAB's bicubic with mirrored edges; the number of rows is even."""
    length = len(plane)
    padding = 8  # more than the kernel reaches
    # Away from the edges every output has the same weights: those of one are enough.
    positions, weights = contributions(4 * padding, 2 * padding, 0.5)
    padded = np.pad(plane, ((padding, padding), (0, 0)), mode="symmetric")
    half = np.zeros((length // 2, plane.shape[1]))
    for position, weight in zip(positions[padding], weights[padding], strict=True):
        start = int(position) - padding
        half += weight * padded[start : start + length : 2]
    return half
