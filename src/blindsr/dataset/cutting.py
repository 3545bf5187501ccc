"""Crops cut out of all photos at once, where they are trained on: an index, and no loop over crops."""

from __future__ import annotations

import logging
import math
import warnings

import torch
from torch import Tensor

from blindsr.dataset.photos import PhotoCache
from blindsr.degradation.resize import resize_matrix

log = logging.getLogger(__name__)

_SHARE = 0.5
"""The photos may take this much of a device's free memory; else they stay in the host's."""


class Cutter:
    """Cuts square crops in any pose, and shrinks those that were drawn larger.

    Args:
        photos: The photos. Their pixels are copied to the device if it has room, and stay in the file that
            the cache keeps them in otherwise, as they do on a CPU.
        size: Side S of the crops.
        shrink: See `draw_places`.
        device: Where crops are wanted.
    """

    def __init__(
        self, photos: PhotoCache, size: int, shrink: float = 1.0, device: torch.device | str = "cpu"
    ) -> None:
        self.size, self.device = size, torch.device(device)
        with warnings.catch_warnings():  # that the pixels are not to be written to; they are not
            warnings.simplefilter("ignore", UserWarning)
            self._pixels = torch.from_numpy(photos.pixels)
        if self._pixels.numel() < _room(self.device):
            self._pixels = self._pixels.to(self.device)
        else:
            log.warning("the photos are larger than half of the device's free memory; cut on the host")
        self.largest = math.floor(size / shrink)
        self._shrinking: Tensor | None = None
        if self.largest > size:
            matrices = torch.zeros(self.largest - size + 1, size, self.largest)
            for i, matrix in enumerate(matrices):
                matrix[:, : size + i] = torch.from_numpy(resize_matrix(size + i, size))
            self._shrinking = matrices.to(self.device)
        self._line = torch.arange(self.largest, device=self._pixels.device)

    @property
    def on_device(self) -> bool:
        """Whether the photos are where crops are wanted, so that cutting may be part of a recorded step."""
        return self._pixels.device.type == self.device.type

    @torch.no_grad()
    def __call__(self, places: Tensor) -> Tensor:
        """Cut a batch.

        Args:
            places: (N, 6) integers, see `draw_places`.

        Returns:
            HR crops, (N, 3, S, S) float32 RGB in [0, 1], in whole levels of 255.
        """
        first, width, side, mirrored, flipped, transposed = places.to(self._line.device).unbind(1)
        last = (side - 1)[:, None]
        line = torch.minimum(self._line, last)  # (N, L); beyond a crop's own side its last line again
        rows = torch.where(flipped[:, None] > 0, last - line, line)
        columns = torch.where(mirrored[:, None] > 0, last - line, line)
        upright = (rows * width[:, None])[:, :, None] + columns[:, None, :]  # (N, L, L)
        index = torch.where(transposed[:, None, None] > 0, upright.transpose(1, 2), upright)
        index = index + first[:, None, None]
        crops = self._pixels.index_select(0, index.flatten()).to(self.device)  # (N L L, 3)
        crops = crops.view(*index.shape, 3).permute(0, 3, 1, 2).to(torch.float32).contiguous()
        if self._shrinking is not None:
            matrix = self._shrinking[side.to(self.device) - self.size][:, None]  # (N, 1, S, L)
            crops = (matrix @ crops @ matrix.transpose(2, 3)).round().clamp(0, 255)
        return crops / 255


def _room(device: torch.device) -> float:
    """How many bytes the photos may take of a device's memory; a CPU does not copy them."""
    return _SHARE * torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else math.inf


def cut_patches(images: Tensor, offset: Tensor, size: int) -> Tensor:
    """Cut a square patch out of each image, each at a place of its own.

    Args:
        images: (N, C, H, W).
        offset: First row and column of each patch, (N, 2) integers.
        size: Side of a patch.

    Returns:
        (N, C, size, size).
    """
    line = torch.arange(size, device=images.device)
    rows = (offset[:, :1] + line)[:, None, :, None].expand(-1, images.shape[1], -1, images.shape[3])
    columns = (offset[:, 1:] + line)[:, None, None, :].expand(-1, images.shape[1], size, -1)
    return images.gather(2, rows).gather(3, columns)
