"""What is done to two pictures before a metric sees them: the unprinted half of a published number.

The defaults of the metrics are those of the MATLAB scripts behind most tables of the field: both pictures are
rounded to 8 bit, luma is BT.601 and rounded to 8 bit again, gray pictures are compared on their gray values,
and as many pixels as the scale are left out along the edges. Bicubic x4 of the rounded luma then measures
28.42 dB / 0.8104 on Set5 and 26.00 dB / 0.7019 on Set14; published are 28.42 / 0.8104 and 26.00 / 0.7027.
None of the conventions tried gives all four numbers: luma, LR and result rounded or not, edges repeated or
mirrored in resizing, borders of 0 to 8, and SSIM's window kept inside the picture or run over its edges
(repeated or mirrored there). What gives 0.7027 on Set14 (luma and LR rounded, the result not, edges mirrored,
the window run over the edges as in MATLAB's own `ssim`) gives 0.8102 on Set5.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from blindsr.errors import InputError
from blindsr.metrics.color import rgb_to_y
from blindsr.picture import quantise as as_saved

Channel = Literal["y", "rgb"]

PEAK = 255.0


def comparable(
    output: NDArray[np.floating],
    ground_truth: NDArray[np.floating],
    channel: Channel,
    border: int,
    quantise: bool,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Bring two pictures to the planes a metric compares.

    Args:
        output: The restored picture, RGB in [0, 1], (H, W, 3), or gray, (H, W, 1).
        ground_truth: What it should be, same shape and range.
        channel: "y" for BT.601 luma, "rgb" for the colours; gray is compared as it is.
        border: Pixels left out along every edge (the literature leaves out as many as the scale).
        quantise: Clip to [0, 1] and round to 8 bit, as saving would; luma is rounded once more.

    Returns:
        Both as (C, H - 2 * border, W - 2 * border) on the scale of 8-bit values.

    Raises:
        InputError: The shapes differ or are no picture's, or the border leaves nothing.
    """
    if output.shape != ground_truth.shape:
        raise InputError(
            f"cannot compare a picture of {output.shape} with a ground truth of {ground_truth.shape}: "
            "both must have the same size"
        )
    return planes(output, channel, border, quantise), planes(ground_truth, channel, border, quantise)


def planes(
    picture: NDArray[np.floating], channel: Channel, border: int, quantise: bool
) -> NDArray[np.float64]:
    """Bring a picture to the planes a metric measures.

    Args:
        picture: RGB in [0, 1], (H, W, 3), or gray, (H, W, 1).
        channel: "y" for BT.601 luma, "rgb" for the colours; gray is measured as it is.
        border: Pixels left out along every edge.
        quantise: Clip to [0, 1] and round to 8 bit, as saving would; luma is rounded once more.

    Returns:
        (C, H - 2 * border, W - 2 * border) on the scale of 8-bit values.

    Raises:
        InputError: The shape is no picture's, or the border leaves nothing.
    """
    if picture.ndim != 3 or picture.shape[2] not in (1, 3):
        raise InputError(f"metrics measure pictures of shape (H, W, 3) or (H, W, 1), not {picture.shape}")
    if channel not in ("y", "rgb"):
        raise InputError(f'channel is "y" or "rgb", not {channel!r}')
    height, width, channels = picture.shape
    if border < 0 or min(height, width) <= 2 * border:
        raise InputError(f"a border of {border} leaves nothing of a picture of {width}x{height}")
    inside = picture[border : height - border, border : width - border]
    levels = as_saved(np.asarray(inside, np.float32), 8).astype(np.float64) if quantise else inside * PEAK
    if channel == "y" and channels == 3:
        luma = rgb_to_y(levels / PEAK)[None]
        return np.round(luma) if quantise else luma
    return np.ascontiguousarray(levels.transpose(2, 0, 1), np.float64)
