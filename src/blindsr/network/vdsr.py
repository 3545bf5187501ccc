"""VDSR (Kim, Lee, Lee, CVPR 2016, arXiv 1511.04587) as a BaseNet of CMDSR."""

from __future__ import annotations

import math

from torch import Tensor, nn

from blindsr.errors import ConfigError
from blindsr.network.basenet import BaseNet, BicubicUpscale, ModulatedConv2d, conv3x3


class VDSR(BaseNet):
    """A plain chain of 3x3 convolutions on the bicubically upscaled image, predicting the residual.

    The inner convolutions are modulated; the first and the last, which see pixels, are not.

    Args:
        scale: Integer magnification, 2 to 4.
        channels: Width.
        depth: Number of convolutions, first and last included.

    Raises:
        ConfigError: For a scale outside 2 to 4 or a depth below 3.
    """

    def __init__(self, scale: int = 4, channels: int = 64, depth: int = 20) -> None:
        super().__init__()
        if scale not in (2, 3, 4) or depth < 3:
            raise ConfigError(f"VDSR needs scale 2, 3 or 4 and depth >= 3, not {scale} and {depth}")
        self.scale = scale
        self.enlarge = BicubicUpscale(scale)
        self.modulated = (channels,) * (depth - 2)
        # Every convolution reaches one HR pixel; the bicubic kernel reaches two LR pixels and a bit more.
        self.halo = math.ceil(depth / scale) + 3
        self.input_conv = conv3x3(3, channels)
        self.backbone = nn.ModuleList(
            ModulatedConv2d(channels, channels, 3, padding=1) for _ in range(depth - 2)
        )
        self.output_conv = conv3x3(channels, 3)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        nn.init.normal_(self.output_conv.weight, std=1e-3)

    def forward(self, x: Tensor, modulation: Tensor | None = None) -> Tensor:
        """See `BaseNet.forward`."""
        x = self.enlarge(x)  # (N, 3, sH, sW)
        features = self.input_conv(x).relu_()
        for convolution, scale in zip(self.backbone, self.split(modulation), strict=True):
            features = convolution(features, scale).relu_()
        residual: Tensor = self.output_conv(features)
        return x + residual
