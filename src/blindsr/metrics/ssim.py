"""Structural similarity."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from blindsr.errors import InputError
from blindsr.metrics.convention import PEAK, Channel, comparable
from blindsr.metrics.gaussian import gaussian_mean

_RADIUS = 5
_SIGMA = 1.5
_C1 = (0.01 * PEAK) ** 2
_C2 = (0.03 * PEAK) ** 2


def ssim(
    output: NDArray[np.floating],
    ground_truth: NDArray[np.floating],
    *,
    border: int,
    channel: Channel = "y",
    quantise: bool = True,
) -> float:
    """Mean structural similarity, by default as the super-resolution literature takes it.

    Wang, Bovik, Sheikh and Simoncelli, "Image quality assessment: from error visibility to structural
    similarity", IEEE TIP 2004, doi:10.1109/TIP.2003.819861: equation 13 with the Gaussian window of section
    III-C (11x11, sigma 1.5), K1 = 0.01, K2 = 0.03, range 255, averaged over the positions where the window
    lies wholly inside the picture. Colour channels are measured each for itself and averaged.

    Args:
        output: The restored picture, RGB in [0, 1], (H, W, 3), or gray, (H, W, 1).
        ground_truth: What it should be, same shape and range.
        border: Pixels left out along every edge before the window moves; the literature takes the scale.
        channel: "y" for BT.601 luma, "rgb" for the colours; gray is compared as it is.
        quantise: Clip and round both to 8 bit first, as saving them would.

    Returns:
        At most 1 (equal pictures); higher is better.

    Raises:
        InputError: The shapes differ or are no picture's, or the border leaves less than the window.
    """
    a, b = comparable(output, ground_truth, channel, border, quantise)
    if min(a.shape[1:]) <= 2 * _RADIUS:
        raise InputError(
            f"SSIM needs at least {2 * _RADIUS + 1} pixels each way inside the border of {border}, "
            f"and the picture has {a.shape[2]}x{a.shape[1]} there"
        )
    mean_a, mean_b, mean_squares, mean_product = (
        gaussian_mean(plane, _RADIUS, _SIGMA) for plane in (a, b, np.square(a) + np.square(b), a * b)
    )
    product_of_means = mean_a * mean_b
    squares_of_means = np.square(mean_a) + np.square(mean_b)
    covariance = mean_product - product_of_means
    variances = mean_squares - squares_of_means
    similarity = ((2.0 * product_of_means + _C1) * (2.0 * covariance + _C2)) / (
        (squares_of_means + _C1) * (variances + _C2)
    )
    return float(np.mean(similarity))
