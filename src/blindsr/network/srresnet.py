"""SRResNet without batch normalisation, the BaseNet of CMDSR (arXiv 2104.03926, figure 3)."""

from __future__ import annotations

import math

from torch import Tensor, nn

from blindsr.errors import ConfigError
from blindsr.network.basenet import (
    BaseNet,
    BicubicUpscale,
    ModulatedConv2d,
    add_image,
    conv3x3,
    scale_residual,
)


class ModulatedBlock(nn.Module):
    """Residual block x + conv(ReLU(conv(x))), both convolutions modulated."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = ModulatedConv2d(channels, channels, 3, padding=1)
        self.conv2 = ModulatedConv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor, scale1: Tensor | None, scale2: Tensor | None) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W)."""
        residual: Tensor = self.conv2(self.conv1(x, scale1).relu_(), scale2)
        return x + residual


class DirectTail(nn.ModuleList):
    """A modulated convolution, then a pixel shuffle."""

    def forward(self, x: Tensor, scale: Tensor | None) -> Tensor:
        """(N, C, H, W) -> (N, 3 + carry, sH, sW)."""
        conv, shuffle = self
        output: Tensor = shuffle(conv(x, scale))
        return output


class SRResNet(BaseNet):
    """SRResNet with modulated residual blocks.

    Args:
        scale: 2, 3 or 4.
        channels: Width of the trunk.
        blocks: Number of residual blocks.
        tail: "shuffle" is the published upsampler (a convolution and a pixel shuffle for each factor of 2,
            or one for 3, then a convolution at HR size). "direct" makes the HR pixels with one convolution
            and one pixel shuffle: at x4 it removes half of the arithmetic.
        skip: Add the bicubically upscaled input, so that the trunk only has to learn what is missing.
        ends: Let the condition enter the first and the last convolution too; needs the direct tail.
        carry: So many channels of features come out beside the image, for what is to follow; needs the direct
            tail.

    Raises:
        ConfigError: For another scale or tail, or ends or carry without the direct tail.
    """

    def __init__(
        self,
        scale: int = 4,
        channels: int = 64,
        blocks: int = 10,
        tail: str = "shuffle",
        skip: bool = False,
        ends: bool = False,
        carry: int = 0,
    ) -> None:
        super().__init__()
        if scale not in (1, 2, 3, 4):
            raise ConfigError(f"scale must be 2, 3 or 4, or 1 to enlarge nothing, not {scale}")
        if tail not in ("shuffle", "direct"):
            raise ConfigError(f"tail must be 'shuffle' or 'direct', not {tail!r}")
        if ends and tail != "direct":
            raise ConfigError("ends: only the direct tail has one last convolution to modulate")
        if carry and tail != "direct":
            raise ConfigError("carry: only the direct tail carries features beside the image")
        self.scale = scale
        self.skip = BicubicUpscale(scale) if skip else None
        self.ends, self.carry = ends, carry
        self.modulated = (channels,) * (2 * blocks) + ((3, channels) if ends else ())
        self.input_conv = ModulatedConv2d(3, channels, 3, padding=1)
        self.backbone = nn.ModuleList(ModulatedBlock(channels) for _ in range(blocks))
        stages: tuple[int, ...] = {1: (), 2: (2,), 3: (3,), 4: (2, 2)}[scale]
        layers: list[nn.Module] = []
        reach = 1.0 + 2.0 * blocks  # LR pixels seen by the trunk on each side
        if tail == "shuffle":
            size = 1
            for stage in stages:
                layers += [conv3x3(channels, channels * stage**2), nn.PixelShuffle(stage)]
                reach += 1 / size
                size *= stage
            self.upsampler = nn.Sequential(*layers)
            self.output_conv: nn.Module = ModulatedConv2d(channels, 3, 3, padding=1)
            reach += 1 / size
        else:
            self.upsampler = nn.Sequential()
            last = ModulatedConv2d(channels, (3 + carry) * scale**2, 3, padding=1)
            self.output_conv = DirectTail([last, nn.PixelShuffle(scale)])
            reach += 1
            if skip:  # start as the bicubic interpolation, nearly
                scale_residual([last], gain=0.1)
        self.halo = math.ceil(reach)
        scale_residual([block.conv2 for block in self.modulated_blocks()], gain=0.1)

    def modulated_blocks(self) -> list[ModulatedBlock]:
        """The residual blocks, typed."""
        return [block for block in self.backbone if isinstance(block, ModulatedBlock)]

    def forward(self, x: Tensor, modulation: Tensor | None = None) -> Tensor:
        """See `BaseNet.forward`."""
        scales = self.split(modulation)
        first_scale, last_scale = scales[-2:] if self.ends else (None, None)
        first = self.input_conv(x, first_scale)  # (N, C, H, W)
        features = first
        for i, block in enumerate(self.backbone):
            features = block(features, scales[2 * i], scales[2 * i + 1])
        features = self.upsampler(features + first)
        output: Tensor = self.output_conv(features, last_scale)  # (N, 3 + carry, sH, sW)
        if self.skip is not None:
            output = add_image(output, self.skip(x))
        return output
