"""The luma that the super-resolution literature measures on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# ITU-R BT.601, studio swing, for RGB in [0, 1] and Y in [16, 235]: the first row of MATLAB's rgb2ycbcr.
RGB_TO_Y = np.array([65.481, 128.553, 24.966])
Y_OFFSET = 16.0


def rgb_to_y(picture: NDArray[np.floating]) -> NDArray[np.float64]:
    """Luma of a picture as MATLAB's ``rgb2ycbcr`` has it, before its rounding to 8 bit.

    Args:
        picture: RGB in [0, 1], (H, W, 3).

    Returns:
        Y, (H, W), 16 for black and 235 for white.
    """
    luma: NDArray[np.float64] = np.asarray(picture, np.float64) @ RGB_TO_Y + Y_OFFSET
    return luma
