"""The JPEG round trip of a batch, every image in its own quality."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from blindsr.degradation.jpeg import block_transforms, quantisation_tables, round_trip


def quality_column(qualities: Sequence[int | None]) -> NDArray[np.int64]:
    """Return qualities as `Jpeg` reads them: (N,), 0 for None."""
    return np.array([quality or 0 for quality in qualities], dtype=np.int64)


class Jpeg:
    """Compresses and decompresses batches, as `jpeg` does with 4:2:0.

    Args:
        device: where the batches live; the transforms of all qualities, 7 MB, are kept there.
    """

    def __init__(self, device: torch.device | str) -> None:
        # (luma or chroma, forward or backward, quality, 64, 64); quality 0 is never looked at.
        transforms = np.zeros((2, 2, 101, 64, 64), np.float32)
        for quality in range(1, 101):
            for i, table in enumerate(quantisation_tables(quality)):
                transforms[i, 0, quality], transforms[i, 1, quality] = block_transforms(table)
        self._luma, self._chroma = torch.from_numpy(transforms).to(device).unbind()

    def __call__(self, x: Tensor, quality: Tensor) -> Tensor:
        """Take each image through JPEG.

        Args:
            x: batch, (N, 3, H, W), float32 RGB; it is clipped to [0, 1] and rounded to 8 bits first.
            quality: (N,), int64; an image of quality 0 comes back as it is.

        Returns:
            Batch, same shape.
        """
        luma = self._luma.index_select(1, quality).unbind()
        chroma = self._chroma.index_select(1, quality.repeat(2)).unbind()
        return torch.where(quality[:, None, None, None] > 0, round_trip(x, luma, chroma), x)
