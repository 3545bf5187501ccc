"""What every BaseNet of CMDSR shares: modulated convolutions and the interface they are driven through."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn


class ModulatedConv2d(nn.Conv2d):
    """A convolution whose input channels are scaled by the modulation of the task.

    CMDSR multiplies the weight along its input channels (arXiv 2104.03926, section III-C). Because
    ``conv(x; W * s) == conv(s * x; W)`` this scales the input instead: the same function and the same
    gradients for a batch of tasks as for one image, without per-sample weights or grouped convolutions.
    """

    def forward(self, x: Tensor, scale: Tensor | None = None) -> Tensor:
        """Convolve.

        Args:
            x: Features, (N, C, H, W).
            scale: One scale a channel, (N, C) or (1, C); None leaves the convolution as it is.

        Returns:
            Features, (N, C_out, H', W').
        """
        if scale is not None:
            x = x * scale[:, :, None, None]
        return super().forward(x)


class BaseNet(nn.Module, ABC):
    """A super-resolution network whose convolutions can be modulated.

    Attributes:
        scale: Integer magnification.
        halo: Receptive radius in LR pixels: an output pixel depends on no LR pixel further away.
        modulated: Input channels of each modulated convolution, in the order in which the modulation
            vector lists them.
    """

    scale: int
    halo: int
    modulated: tuple[int, ...]

    @abstractmethod
    def forward(self, x: Tensor, modulation: Tensor | None = None) -> Tensor:
        """Restore a batch.

        Args:
            x: LR batch, (N, 3, H, W), RGB in the network's pixel range.
            modulation: All scales side by side, (N, M) or (1, M) with M = sum(modulated); None: all ones.

        Returns:
            SR batch, (N, 3, scale * H, scale * W), not clipped.
        """

    def split(self, modulation: Tensor | None) -> list[Tensor | None]:
        """Cut a modulation (N, M) into one (N, C_i) for each modulated convolution."""
        if modulation is None:
            return [None] * len(self.modulated)
        return list(torch.split(modulation, list(self.modulated), dim=1))


def conv3x3(c_in: int, c_out: int) -> nn.Conv2d:
    """A plain 3x3 convolution that keeps the size."""
    return nn.Conv2d(c_in, c_out, 3, padding=1)


def bicubic_upscale(x: Tensor, scale: int) -> Tensor:
    """Bicubic interpolation (a = -0.75, edges repeated), (N, C, H, W) -> (N, C, scale H, scale W)."""
    return nn.functional.interpolate(x, scale_factor=float(scale), mode="bicubic", align_corners=False)


def scale_residual(convolutions: list[nn.Conv2d], gain: float) -> None:
    """Make residual branches start small, so that a deep sum is well conditioned at the first step."""
    with torch.no_grad():
        for convolution in convolutions:
            convolution.weight.mul_(gain)
