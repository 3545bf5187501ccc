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
        share: How much of what the projector passes on at each place goes to the texture view, in [0, 1],
            (N, 1, sH, sW): see `texture_share`; None without a projector.
    """

    structure: Tensor
    texture: Tensor | None = None
    mask: Tensor | None = None
    share: Tensor | None = None

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


def texture_share(mask: Tensor, structure: Tensor, texture: Tensor) -> Tensor:
    """How much of what the projector passes on at each place goes to the texture view.

    A mask of one channel says it itself, by 1 - m. Of a mask of K channels that sum to 1 the mean of 1 - m is
    (K - 1) / K everywhere, which says nothing. There what passes is compared: with s = sum(m |B1|) and
    t = sum((1 - m) |B2|) / (K - 1), both averages over the channels, by weights that sum to 1, the share is
    t / (s + t). How the official training weighted places, if it did, was never published: this is ours.

    Args:
        mask: m, (N, K, H, W), in [0, 1].
        structure: What passes to the structure view, m B1, (N, C, H, W), C = K unless K is 1.
        texture: What passes to the texture view, (1 - m) B2, same shape.

    Returns:
        (N, 1, H, W), in [0, 1], without a gradient: it says where, and is not to be moved.

    Example:
        >>> mask = torch.tensor([0.5, 0.25, 0.25]).view(1, 3, 1, 1)
        >>> b1, b2 = torch.tensor([2.0, 0.0, 0.0]).view(1, 3, 1, 1), torch.full((1, 3, 1, 1), 3.0)
        >>> texture_share(mask, mask * b1, (1 - mask) * b2).item()  # 3 / (1 + 3)
        0.75
    """
    channels = mask.shape[1]
    if channels == 1:
        return 1 - mask.detach()
    kind = torch.promote_types(structure.dtype, torch.float32)
    s, t = (view.detach().abs().sum(1, keepdim=True, dtype=kind) for view in (structure, texture))
    t = t / (channels - 1)
    return t / (s + t).clamp_min(torch.finfo(kind).tiny)


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
        structure, texture = mask * self.structure(x), (1 - mask) * self.texture(x)
        share = texture_share(mask, structure, texture)
        return Views(self.structure_out(structure), self.texture_out(texture), mask, share)


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
        texture = self.lattice_filter(views.output) - structure
        return views._replace(structure=structure, texture=texture)

    def blended(self, views: Views, texture: Tensor | None) -> Tensor:
        """The structure view and so much of the texture view, (1,) or (N,), None: all; without a lattice."""
        image = views.output
        if texture is not None and views.texture is not None:
            image = views.structure + texture.view(-1, 1, 1, 1) * views.texture
        return image if self.lattice_filter is None else self.lattice_filter(image)
