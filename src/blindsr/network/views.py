"""Two views of a restored image, as Cria-CL's projector makes them (arXiv 2207.12767, section III)."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn

from blindsr.network.basenet import conv3x3
from blindsr.network.lattice import LatticeFilter
from blindsr.network.restorer import Restorer
from blindsr.network.rrdb import leaky


class Views(NamedTuple):
    """What the network makes of a batch.

    Args:
        structure: The view that is held to the pixel criterion, (N, 3, sH, sW).
        texture: What the other view adds to it, same shape; None without a projector.
        mask: Share of the structure view at each place, in [0, 1], (N, K, sH, sW), K = 1 or the projector's
            width; None without a projector.
    """

    structure: Tensor
    texture: Tensor | None = None
    mask: Tensor | None = None

    @property
    def output(self) -> Tensor:
        """Both views together, (N, 3, sH, sW)."""
        return self.structure if self.texture is None else self.structure + self.texture


class ResidualBlock(nn.Module):
    """conv1x1(x) + conv(lrelu(conv(x))) and one more lrelu on the branch."""

    def __init__(self, inputs: int, channels: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = conv3x3(inputs, channels), conv3x3(channels, channels)
        self.skip = nn.Conv2d(inputs, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) -> (N, channels, H, W)."""
        branch = leaky(self.conv2(leaky(self.conv1(x))))
        residual: Tensor = branch + self.skip(x)
        return residual


class SpatialProjector(nn.Module):
    """Three branches on an image: two views of it, and the mask that shares the places out between them.

    Args:
        inputs: Channels of the input.
        channels: Width of the branches.
        blocks: Residual blocks in each branch.
        mask: "channels" is the published softmax over the mask branch's channels. "views" is one over the two
            views, so that the mask is one number a place and what the one view has the other has not.
    """

    def __init__(self, inputs: int, channels: int, blocks: int, mask: str) -> None:
        super().__init__()

        def branch(last: int) -> nn.Sequential:
            widths = [inputs, *[channels] * (blocks - 1), last]
            return nn.Sequential(*(ResidualBlock(a, b) for a, b in pairwise(widths)))

        self.structure, self.texture = branch(channels), branch(channels)
        self.mask = branch(channels if mask == "channels" else 2)
        self.structure_out, self.texture_out = conv3x3(channels, 3), conv3x3(channels, 3)
        self.spatial = mask == "views"
        self.reach = 2 * blocks + 1

    def forward(self, x: Tensor) -> Views:
        """(N, inputs, H, W) -> the two views, (N, 3, H, W) each, and the mask."""
        mask = torch.softmax(self.mask(x), 1)
        if self.spatial:
            mask = mask[:, :1]  # (N, 1, H, W); the other channel is the rest to 1
        structure = self.structure_out(mask * self.structure(x))
        texture = self.texture_out((1 - mask) * self.texture(x))
        return Views(structure, texture, mask)


class ViewRestorer(Restorer):
    """A network that restores in two views, if it has a projector, and takes out the lattice, if told to.

    Attributes:
        projector: Makes the views; None: there is the structure view alone.
        lattice_filter: What the views, and what is blended of them, go through at last.
    """

    projector: SpatialProjector | None
    lattice_filter: LatticeFilter | None

    def __init__(self) -> None:
        super().__init__()
        self.projector = self.lattice_filter = None

    def project(self, made: Tensor, anchored: bool) -> Views:
        """Views of what a trunk made, as the weights make them.

        Args:
            made: An image, and what features are carried to the projector beside it, (N, 3 + K, sH, sW).
            anchored: The structure view is the image and what the projector adds to it, not that alone.
        """
        if self.projector is None:
            return Views(made)
        views: Views = self.projector(made)
        return views._replace(structure=made[:, :3] + views.structure) if anchored else views

    def filtered(self, views: Views) -> Views:
        """The views without their lattice."""
        if self.lattice_filter is None:
            return views
        structure = self.lattice_filter(views.structure)
        if views.texture is None:
            return Views(structure)
        return Views(structure, self.lattice_filter(views.output) - structure, views.mask)

    def blended(self, views: Views, texture: Tensor | None) -> Tensor:
        """The structure view and so much of the texture view, (1,) or (N,), None: all; without a lattice."""
        image = views.output
        if texture is not None and views.texture is not None:
            image = views.structure + texture.view(-1, 1, 1, 1) * views.texture
        return image if self.lattice_filter is None else self.lattice_filter(image)
