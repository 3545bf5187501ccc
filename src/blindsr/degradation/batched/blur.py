"""Blur of a batch, every image by its own kernel."""

from __future__ import annotations

import torch
from torch import Tensor

from blindsr.degradation.backend import smooth_length
from blindsr.degradation.blur import reflected


class Blur:
    """Blurs batches of one size of images, as `blur` does: reflecting at the borders, without end.

    Args:
        side: of the square images, in pixels.
        largest: side of the largest kernel, in pixels, odd; it may be larger than the images.
        device: where the batches live.
    """

    def __init__(self, side: int, largest: int, device: torch.device | str) -> None:
        self.side = side
        self._places = torch.from_numpy(reflected(side, largest // 2)).to(device)
        self._length = smooth_length(len(self._places))

    def __call__(self, x: Tensor, kernels: Tensor, sizes: Tensor) -> Tensor:
        """Correlate every channel of each image with its kernel.

        Args:
            x: batch, (N, C, side, side), float32.
            kernels: (N, largest, largest), float32, zero beyond their sizes.
            sizes: the kernels' own sides, (N,); an image whose kernel has one pixel comes back as it is.

        Returns:
            Batch, same shape.
        """
        lengths = (self._length, self._length)
        wide = x.index_select(2, self._places).index_select(3, self._places)
        spectrum = torch.fft.rfft2(kernels, lengths).conj()[:, None]
        blurred = torch.fft.irfft2(torch.fft.rfft2(wide, lengths) * spectrum, lengths)
        # Whole levels that are not blurred must stay whole: the transform would leave them a hair off, which
        # shows where a later mean of them lies half-way between two levels.
        return torch.where(sizes[:, None, None, None] == 1, x, blurred[:, :, : self.side, : self.side])
