"""Cria-CL's network: an RRDB trunk and a spatial projector with two views (arXiv 2207.12767, section III)."""

from __future__ import annotations

import math

from torch import Tensor, nn

from blindsr.errors import ConfigError
from blindsr.network.basenet import BicubicUpscale, add_image, conv3x3, start_small
from blindsr.network.lattice import LatticeFilter
from blindsr.network.rrdb import RRDBTrunk, leaky
from blindsr.network.views import SpatialProjector, ViewRestorer, Views


class NearestTail(nn.Module):
    """ESRGAN's upsampler: nearest neighbours and a convolution for each doubling, two convolutions more.

    Args:
        channels: Width.
        scale: 1, 2 or 4. The convolutions stay at every scale; the interpolations that are not needed go.
    """

    def __init__(self, channels: int, scale: int) -> None:
        super().__init__()
        self.factors = {1: (1, 1), 2: (2, 1), 4: (2, 2)}[scale]
        self.up = nn.ModuleList(conv3x3(channels, channels) for _ in range(2))
        self.hr, self.last = conv3x3(channels, channels), conv3x3(channels, 3)
        reach, size = 0.0, 1
        for factor in (*self.factors, 1, 1):
            size *= factor
            reach += (1 if factor == 1 else 1.5) / size
        self.reach = reach  # in pixels of the input

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, 3, sH, sW)."""
        for factor, conv in zip(self.factors, self.up, strict=True):
            if factor > 1:
                x = nn.functional.interpolate(x, scale_factor=factor, mode="nearest")
            x = leaky(conv(x))
        image: Tensor = self.last(leaky(self.hr(x)))
        return image


class Cria(ViewRestorer):
    """The generator of Cria-CL; the defaults are the published network.

    The trunk makes an image `mid` at HR size, and the projector two views of it. The *structure* view is a
    restoration of its own (in training it is held to the pixel criterion); structure + texture is the output.

    Args:
        scale: 1, 2 or 4. At 1 the LR image has the size of the HR image, and nothing is interpolated.
        channels: Width of the trunk.
        blocks: Number of RRDBs.
        growth: Growth of their dense blocks.
        projector: Width of the projector; 0 leaves it out, which makes the network ESRGAN's.
        projector_blocks: Residual blocks in each of its branches.
        mask: See `SpatialProjector`.
        tail: "nearest" is the published upsampler. "direct" makes the HR pixels with one convolution and one
            pixel shuffle at the trunk's size: most of the arithmetic beside the trunk goes.
        carry: "direct" only: channels of features that the projector sees beside `mid`.
        skip: Add the (bicubically enlarged) input to `mid`, and `mid` to the structure view.
        unshuffle: The trunk works on an image so many times smaller, with its square times the channels:
            for scale 1 and 2, which otherwise cost as much for each HR pixel as x4 for each LR pixel.
        lattice_filter: Cells over which `LatticeFilter` looks for a lattice in what was made; 0 leaves it in.

    Raises:
        ConfigError: Values that do not go together.
    """

    def __init__(
        self,
        scale: int = 4,
        channels: int = 64,
        blocks: int = 23,
        growth: int = 32,
        projector: int = 64,
        projector_blocks: int = 3,
        mask: str = "channels",
        tail: str = "nearest",
        carry: int = 0,
        skip: bool = False,
        unshuffle: int = 1,
        lattice_filter: int = 0,
    ) -> None:
        super().__init__()
        for name, value, known in (
            ("mask", mask, ("channels", "views")),
            ("tail", tail, ("nearest", "direct")),
        ):
            if value not in known:
                raise ConfigError(f"cria.{name} must be {' or '.join(map(repr, known))}, not {value!r}")
        inner = scale * unshuffle  # of the trunk's size to the HR size
        if scale not in (1, 2, 4) or unshuffle not in (1, 2, 4) or inner > 4:
            raise ConfigError(
                f"cria.scale is 1, 2 or 4, and times unshuffle at most 4, not {scale} and {unshuffle}"
            )
        if carry and (tail != "direct" or not projector):
            raise ConfigError("cria.carry needs the direct tail, and a projector to carry features to")
        if projector and projector_blocks < 1:
            raise ConfigError(f"cria.projector_blocks must be 1 or more, not {projector_blocks}")
        self.scale, self.multiple, self.texture = scale, unshuffle, projector > 0
        self.skip: nn.Module | None = None
        if skip:
            self.skip = nn.Identity() if scale == 1 else BicubicUpscale(scale)
        self.trunk = RRDBTrunk(3 * unshuffle**2, channels, blocks, growth)
        reach: float = self.trunk.reach
        if tail == "nearest":
            self.tail: nn.Module = NearestTail(channels, inner)
            reach += NearestTail(1, inner).reach
        else:
            last = conv3x3(channels, (3 + carry) * inner**2)
            if skip:  # start as the enlarged input, nearly
                start_small(last)
            self.tail = nn.Sequential(last, nn.PixelShuffle(inner))
            reach += 1
        if projector:
            self.projector = SpatialProjector(3 + carry, projector, projector_blocks, mask)
            reach += self.projector.reach / inner
            if skip:
                start_small(self.projector.structure_out, self.projector.texture_out)
        if lattice_filter:
            if inner == 1:
                raise ConfigError("cria.lattice_filter: at scale 1 without unshuffle there is no lattice")
            self.lattice_filter = LatticeFilter(inner, lattice_filter)
            reach += self.lattice_filter.reach
        # In pixels of the input; a place within a group of `unshuffle` pixels sees less on one side.
        self.halo = max(math.ceil(reach * unshuffle), 3) + (unshuffle - 1)

    def views(self, x: Tensor) -> Views:
        """Restore a batch, and tell the views apart.

        Args:
            x: LR batch, (N, 3, H, W), RGB in [0, 1]; H and W multiples of `unshuffle`.

        Returns:
            Both views at HR size, not clipped, and the mask.
        """
        return self.filtered(self._views(x))

    def _views(self, x: Tensor) -> Views:
        """The views as the weights make them."""
        inner = nn.functional.pixel_unshuffle(x, self.multiple) if self.multiple > 1 else x
        made: Tensor = self.tail(self.trunk(inner))  # (N, 3 + carry, sH, sW)
        if self.skip is None:
            return self.project(made, anchored=False)
        return self.project(add_image(made, self.skip(x)), anchored=True)

    def forward(self, x: Tensor, texture: Tensor | None = None) -> Tensor:
        """Restore a batch.

        Args:
            x: As in `views`.
            texture: How much of the texture view is added to the structure view, (1,) or (N,); None: all.

        Returns:
            SR batch, (N, 3, scale * H, scale * W), not clipped.
        """
        return self.blended(self._views(x), texture)
