"""IDN, the information distillation network (Hui, Wang, Gao, CVPR 2018, arXiv 1803.09454), as a BaseNet."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from blindsr.errors import ConfigError
from blindsr.network.basenet import BaseNet, BicubicUpscale, ModulatedConv2d, conv3x3

SLOPE = 0.05  # of the leaky ReLU, section 3.1 of the paper


class DistillationBlock(nn.Module):
    """Enhancement unit (two stacks of three convolutions) and compression unit, section 3.2.

    Of the first stack's output a part is kept aside with the input (short path), the rest is enhanced by
    the second stack (long path). All six 3x3 convolutions are modulated.
    """

    def __init__(self, channels: int, distilled: int) -> None:
        super().__init__()
        c, d = channels, distilled
        widths = [(c, c - d, 1), (c - d, c - 2 * d, 4), (c - 2 * d, c, 1)]
        widths += [(c - d, c, 1), (c, c - d, 4), (c - d, c + d, 1)]
        self.distilled = d
        self.convs = nn.ModuleList(
            ModulatedConv2d(c_in, c_out, 3, padding=1, groups=groups) for c_in, c_out, groups in widths
        )
        self.compress = nn.Conv2d(c + d, c, 1)
        self.modulated = tuple(c_in for c_in, _, _ in widths)

    def forward(self, x: Tensor, scales: list[Tensor | None]) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W)."""
        features = x
        for convolution, scale in zip(self.convs[:3], scales[:3], strict=True):
            features = leaky_relu(convolution(features, scale), SLOPE)
        kept, features = features[:, : self.distilled], features[:, self.distilled :]
        for convolution, scale in zip(self.convs[3:], scales[3:], strict=True):
            features = leaky_relu(convolution(features, scale), SLOPE)
        return leaky_relu(self.compress(features + torch.cat([x, kept], 1)), SLOPE)


class IDN(BaseNet):
    """Feature extraction, distillation blocks and one transposed convolution over a bicubic skip.

    Args:
        scale: Integer magnification, 2 to 4.
        channels: Width, a multiple of 4.
        distilled: Channels that each block keeps aside; (channels - distilled) must be a multiple of 4.
        blocks: Number of distillation blocks.

    Raises:
        ConfigError: For another scale, or widths that the grouped convolutions cannot split.
    """

    def __init__(self, scale: int = 4, channels: int = 64, distilled: int = 16, blocks: int = 4) -> None:
        super().__init__()
        if scale not in (2, 3, 4):
            raise ConfigError(f"scale must be 2, 3 or 4, not {scale}")
        if channels % 4 or distilled % 4 or channels <= 2 * distilled:
            raise ConfigError(
                f"IDN needs channels and distilled to be multiples of 4 and channels > 2 * distilled, "
                f"not {channels} and {distilled}"
            )
        self.scale = scale
        self.skip = BicubicUpscale(scale)
        self.head1, self.head2 = conv3x3(3, channels), conv3x3(channels, channels)
        self.blocks = nn.ModuleList(DistillationBlock(channels, distilled) for _ in range(blocks))
        self.modulated = tuple(c for block in self.blocks for c in self._block(block).modulated)
        kernel = 17
        self.upsample = nn.ConvTranspose2d(
            channels, 3, kernel, stride=scale, padding=kernel // 2, output_padding=scale - 1
        )
        # Output pixel p is made of LR pixels q with |scale q - p| <= kernel // 2.
        self.halo = 2 + 6 * blocks + math.ceil((kernel // 2 + scale - 1) / scale)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, a=SLOPE)
        nn.init.normal_(self.upsample.weight, std=1e-3)

    @staticmethod
    def _block(module: nn.Module) -> DistillationBlock:
        assert isinstance(module, DistillationBlock)
        return module

    def forward(self, x: Tensor, modulation: Tensor | None = None) -> Tensor:
        """See `BaseNet.forward`."""
        scales = self.split(modulation)
        features = leaky_relu(self.head1(x), SLOPE)
        features = leaky_relu(self.head2(features), SLOPE)
        for i, block in enumerate(self.blocks):
            features = block(features, scales[6 * i : 6 * i + 6])
        residual: Tensor = self.upsample(features)
        skip: Tensor = self.skip(x)
        return residual + skip
