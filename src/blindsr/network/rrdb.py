"""ESRGAN's trunk: residual-in-residual dense blocks (Wang et al. 2018, arXiv 1809.00219, section 3.1)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from blindsr.errors import ConfigError
from blindsr.network.basenet import (
    BaseNet,
    BicubicUpscale,
    ScaledConv2d,
    add_image,
    conv3x3,
    scale_residual,
    start_small,
)

SLOPE = 0.2  # of the leaky ReLU
RESIDUAL = 0.2  # share of a block's output that is added to its input


Scales = Sequence[Tensor | None]
"""Of the channels that convolutions make, (N, C) each; None: all ones."""
_NONE: list[Tensor | None] = [None] * 5


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
        self.convs = nn.ModuleList(_scaled3x3(channels + i * growth, growth) for i in range(4))
        self.convs.append(_scaled3x3(channels + 4 * growth, channels))

    def forward(self, x: Tensor, scales: Scales = _NONE) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W), under five scales."""
        features = x
        for conv, scale in zip(self.convs[:-1], scales[:-1], strict=True):
            features = torch.cat([features, leaky(conv(features, scale))], 1)  # (N, C + i growth, H, W)
        residual: Tensor = self.convs[-1](features, scales[-1])
        return x + RESIDUAL * residual


class RRDB(nn.Module):
    """Three dense blocks in a residual branch."""

    def __init__(self, channels: int, growth: int) -> None:
        super().__init__()
        self.dense = nn.ModuleList(DenseBlock(channels, growth) for _ in range(3))

    def forward(self, x: Tensor, scales: Scales = 3 * _NONE) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W), under 15 scales."""
        residual = x
        for i, dense in enumerate(self.dense):
            residual = dense(residual, scales[5 * i : 5 * i + 5])
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
        modulated: Channels that its convolutions make: of the dense blocks' convolutions, and of the last.
    """

    def __init__(self, inputs: int, channels: int, blocks: int, growth: int) -> None:
        super().__init__()
        self.first = conv3x3(inputs, channels)
        self.blocks = nn.ModuleList(RRDB(channels, growth) for _ in range(blocks))
        self.last = _scaled3x3(channels, channels)
        self.modulated = (*(3 * blocks * (*4 * (growth,), channels)), channels)
        self.reach = 2 + 15 * blocks
        # Section 3.2: residual branches start small.
        convs = [module for module in self.blocks.modules() if isinstance(module, nn.Conv2d)]
        for conv in convs:
            nn.init.kaiming_normal_(conv.weight, nonlinearity="leaky_relu", a=SLOPE)
            assert conv.bias is not None
            nn.init.zeros_(conv.bias)
        scale_residual(convs, gain=0.1)

    def forward(self, x: Tensor, scales: Scales | None = None) -> Tensor:
        """(N, inputs, H, W) -> (N, channels, H, W), under a scale for each of `modulated`."""
        if scales is None:
            scales = [None] * len(self.modulated)
        first = self.first(x)
        features = first
        for i, block in enumerate(self.blocks):
            features = block(features, scales[15 * i : 15 * i + 15])
        summed: Tensor = first + self.last(features, scales[-1])
        return summed


class RRDBNet(BaseNet):
    """A BaseNet with ESRGAN's trunk: what the convolutions of its dense blocks make is modulated.

    Args:
        scale: 2, 3 or 4.
        channels: Width of the trunk.
        blocks: Number of RRDBs.
        growth: Growth of their dense blocks.
        skip: Add the bicubically upscaled input, so that the trunk only has to learn what is missing.
        carry: So many channels of features come out beside the image, for what is to follow.

    Raises:
        ConfigError: For another scale.
    """

    def __init__(
        self,
        scale: int = 4,
        channels: int = 48,
        blocks: int = 3,
        growth: int = 24,
        skip: bool = True,
        carry: int = 0,
    ) -> None:
        super().__init__()
        if scale not in (2, 3, 4):
            raise ConfigError(f"scale must be 2, 3 or 4, not {scale}")
        self.scale, self.carry = scale, carry
        self.trunk = RRDBTrunk(3, channels, blocks, growth)
        self.modulated = self.trunk.modulated
        last = conv3x3(channels, (3 + carry) * scale**2)
        self.tail = nn.Sequential(last, nn.PixelShuffle(scale))
        self.skip = BicubicUpscale(scale) if skip else None
        if skip:  # start as the bicubic interpolation, nearly
            start_small(last)
        self.halo = self.trunk.reach + 1

    def forward(self, x: Tensor, modulation: Tensor | None = None) -> Tensor:
        """See `BaseNet.forward`."""
        made: Tensor = self.tail(self.trunk(x, self.split(modulation)))  # (N, 3 + carry, sH, sW)
        return made if self.skip is None else add_image(made, self.skip(x))


def _scaled3x3(c_in: int, c_out: int) -> ScaledConv2d:
    """As `conv3x3`."""
    return ScaledConv2d(c_in, c_out, 3, padding=1)
