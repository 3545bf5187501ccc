"""Peak signal-to-noise ratio."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from blindsr.metrics.convention import PEAK, Channel, comparable


def psnr(
    output: NDArray[np.floating],
    ground_truth: NDArray[np.floating],
    *,
    border: int,
    channel: Channel = "y",
    quantise: bool = True,
) -> float:
    """Peak signal-to-noise ratio in dB, by default as the super-resolution literature takes it.

    ``10 * log10(255^2 / MSE)`` over all pixels and channels that are compared. The peak is 255 for luma too,
    although BT.601 luma ends at 235: published numbers are taken so.

    Args:
        output: The restored picture, RGB in [0, 1], (H, W, 3), or gray, (H, W, 1).
        ground_truth: What it should be, same shape and range.
        border: Pixels left out along every edge; the literature takes the scale.
        channel: "y" for BT.601 luma, "rgb" for the colours; gray is compared as it is.
        quantise: Clip and round both to 8 bit first, as saving them would.

    Returns:
        Decibels, higher is better; infinity for equal pictures.

    Raises:
        InputError: The shapes differ or are no picture's, or the border leaves nothing.
    """
    a, b = comparable(output, ground_truth, channel, border, quantise)
    mean_squared_error = float(np.mean(np.square(a - b)))
    if mean_squared_error == 0.0:
        return math.inf
    return 10.0 * math.log10(PEAK**2 / mean_squared_error)
