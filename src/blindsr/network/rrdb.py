"""ESRGAN's trunk: residual-in-residual dense blocks (Wang et al. 2018, arXiv 1809.00219, section 3.1)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from blindsr.network.basenet import conv3x3, scale_residual

SLOPE = 0.2  # of the leaky ReLU
RESIDUAL = 0.2  # share of a block's output that is added to its input


def leaky(x: Tensor) -> Tensor:
    """The activation of every layer, in place."""
    return nn.functional.leaky_relu(x, SLOPE, inplace=True)


class DenseBlock(nn.Module):
    """Five convolutions, each of which sees the input and what all before it have made.

    Args:
        channels: Width of the input and of the output.
        growth: Channels that each of the first four adds.
    """

    def __init__(self, channels: int, growth: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(conv3x3(channels + i * growth, growth) for i in range(4))
        self.convs.append(conv3x3(channels + 4 * growth, channels))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W)."""
        features = x
        for conv in self.convs[:-1]:
            features = torch.cat([features, leaky(conv(features))], 1)  # (N, C + i growth, H, W)
        residual: Tensor = self.convs[-1](features)
        return x + RESIDUAL * residual


class RRDB(nn.Module):
    """Three dense blocks in a residual branch."""

    def __init__(self, channels: int, growth: int) -> None:
        super().__init__()
        self.dense = nn.Sequential(*(DenseBlock(channels, growth) for _ in range(3)))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W)."""
        residual: Tensor = self.dense(x)
        return x + RESIDUAL * residual


class RRDBTrunk(nn.Module):
    """From pixels to features.

    Args:
        inputs: Channels of the input.
        channels: Width.
        blocks: Number of RRDBs.
        growth: See `DenseBlock`.

    Attributes:
        reach: Receptive radius, pixels.
    """

    def __init__(self, inputs: int, channels: int, blocks: int, growth: int) -> None:
        super().__init__()
        self.first = conv3x3(inputs, channels)
        self.blocks = nn.Sequential(*(RRDB(channels, growth) for _ in range(blocks)))
        self.last = conv3x3(channels, channels)
        self.reach = 2 + 15 * blocks
        # Section 3.2: residual branches start small.
        convs = [module for module in self.blocks.modules() if isinstance(module, nn.Conv2d)]
        for conv in convs:
            nn.init.kaiming_normal_(conv.weight, nonlinearity="leaky_relu", a=SLOPE)
            assert conv.bias is not None
            nn.init.zeros_(conv.bias)
        scale_residual(convs, gain=0.1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) -> (N, channels, H, W)."""
        first = self.first(x)
        features: Tensor = first + self.last(self.blocks(first))
        return features
