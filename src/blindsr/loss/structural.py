"""The structural criterion: 1 - SSIM, differentiable."""

from __future__ import annotations

import torch
from torch import Tensor

from blindsr.loss.criterion import Distance, Restored

WINDOW, SIGMA = 11, 1.5
C1, C2 = 0.01**2, 0.03**2  # for pixels in [0, 1]


def structural_dissimilarity(x: Tensor, y: Tensor) -> Tensor:
    """1 - SSIM of the luma, to keep contrast and texture that an L1 loss averages away.

    SSIM of Wang et al. 2004 (doi 10.1109/TIP.2003.819861): 11x11 Gaussian window of sigma 1.5, where it fits
    wholly. As a training criterion beside L1 as in Zhao et al. 2017 (doi 10.1109/TCI.2016.2644865).

    Args:
        x: (N, 3, H, W), RGB in [0, 1].
        y: Ground truth, the same shape.

    Returns:
        A scalar in [0, 2]; 0 for equal images.

    Raises:
        ValueError: The shapes differ, or the images are smaller than the window.
    """
    return structural_dissimilarities(x, y).mean()


def structural_dissimilarities(x: Tensor, y: Tensor) -> Tensor:
    """As `structural_dissimilarity`, of each two images: (N,)."""
    if x.shape != y.shape or x.ndim != 4 or x.shape[1] != 3 or min(x.shape[2:]) < WINDOW:
        raise ValueError(
            f"expected two (N, 3, H, W) tensors of at least {WINDOW}x{WINDOW}, got {tuple(x.shape)} "
            f"and {tuple(y.shape)}"
        )
    with torch.autocast(x.device.type, enabled=False):  # differences of squares need float32
        return 1 - structural_similarity(_luma(x.float()), _luma(y.float()))


def structural_similarity(a: Tensor, b: Tensor) -> Tensor:
    """SSIM of planes, (N, H, W) with values in [0, 1]: (N,), means over all places where the window fits."""
    moments = torch.stack([a, b, a * a, b * b, a * b])  # (5, N, H, W)
    # The window is separable; a product with a banded matrix is far faster than a convolution.
    down, across = (_window(side, a) for side in a.shape[1:])
    moments = down @ moments @ across.T
    mean_a, mean_b, aa, bb, ab = moments
    luminance = (2 * mean_a * mean_b + C1) / (mean_a**2 + mean_b**2 + C1)
    variances = aa - mean_a**2 + bb - mean_b**2
    structure = (2 * (ab - mean_a * mean_b) + C2) / (variances + C2)
    similarity: Tensor = (luminance * structure).mean((1, 2))
    return similarity


class Structural(Distance):
    """`structural_dissimilarity` as a criterion."""

    def distances(self, made: Restored, view: str, other: str) -> Tensor:
        """See `Distance.distances`."""
        return structural_dissimilarities(made.image(view), made.image(other))


def _luma(x: Tensor) -> Tensor:
    """(N, 3, H, W) -> (N, H, W)."""
    return 0.299 * x[:, 0] + 0.587 * x[:, 1] + 0.114 * x[:, 2]


def _window(side: int, like: Tensor) -> Tensor:
    """The window at every place where it fits on a line of `side` pixels, (side - WINDOW + 1, side)."""
    places = torch.arange(side - WINDOW + 1, device=like.device)[:, None] + WINDOW // 2
    distance = torch.arange(side, device=like.device)[None] - places
    window = torch.exp(-(distance.to(like.dtype) ** 2) / (2 * SIGMA**2)) * (distance.abs() <= WINDOW // 2)
    return window / window.sum(1, keepdim=True)
