"""Takes out of an enlarged image what repeats with the LR grid: the lattice that pixel shuffles leave."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from blindsr.errors import ConfigError
from blindsr.network.basenet import BicubicUpscale


class LatticeFilter(nn.Module):
    """Subtracts the local lattice of an image that a network has enlarged.

    The `scale` x `scale` HR pixels that belong to one LR pixel, a *cell*, are made by different weights each
    (Shi et al. 2016, arXiv 1609.05158), so in a flat colour they may settle at different values, and the same
    pattern is then in every cell. No LR photo can ask for that: what has the period of its grid looks flat in
    it. So what all cells around have in common is the network's own doing, and is subtracted:

    1. The detail of an image is what its cells' means, enlarged bicubically, leave of it. A ramp has none.
    2. Over `cells` x `cells` cells the detail is averaged, phase by phase. A cell counts the less, the more
       detail it has, so that an edge neither passes for a lattice nor is softened: with energy e^2 by
       ``1 / (1 + (e / level)^2)``.
    3. That average is the lattice.

    It has no weights, leaves every cell its mean, and works at LR size throughout, so it costs little.

    Args:
        scale: Magnification of the image, 2 to 4.
        cells: Side of the average, cells; odd.
        level: Detail that a cell may have and still count for half, in units of the pixel range.

    Attributes:
        reach: How far a pixel is seen, LR pixels.

    Raises:
        ConfigError: `cells` is even or less than 3.

    Example:
        >>> lattice = torch.zeros(1, 3, 64, 64)
        >>> lattice[..., ::4, ::4] = 0.02
        >>> restored = 0.5 + lattice
        >>> round(float(LatticeFilter(4)(restored).std()), 4)
        0.0
    """

    kernel: Tensor

    def __init__(self, scale: int, cells: int = 7, level: float = 4 / 255) -> None:
        super().__init__()
        if cells < 3 or cells % 2 == 0:
            raise ConfigError(f"lattice filter: cells must be odd and 3 or more, not {cells}")
        self.scale, self.cells, self.level = scale, cells, level
        # Bicubic, and moved to the cell's own mean: a lattice is what differs within a cell.
        kernel = BicubicUpscale(scale).kernel.unflatten(0, (3, -1)).clone()  # (3, s^2, 3, 5, 5)
        kernel -= kernel.mean(1, keepdim=True)
        kernel[:, :, :, 2, 2] += torch.eye(3)[:, None]
        self.register_buffer("kernel", kernel.flatten(0, 1), persistent=False)
        self.reach = 2 + cells // 2  # of the bicubic kernel, and of the average

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, sH, sW) -> the same without its lattice; in float32 at least, whatever a network runs in."""
        with torch.autocast(x.device.type, enabled=False):
            image = x.to(torch.promote_types(x.dtype, torch.float32))
            return image - F.pixel_shuffle(self._lattice(image), self.scale)

    def _lattice(self, image: Tensor) -> Tensor:
        """(N, 3, sH, sW) -> the lattice around every cell, (N, 3 s^2, H, W)."""
        phases = F.pixel_unshuffle(image, self.scale)  # (N, 3 s^2, H, W)
        means = F.avg_pool2d(image, self.scale)  # (N, 3, H, W)
        enlarged = F.conv2d(F.pad(means, (2, 2, 2, 2), mode="replicate"), self.kernel)
        detail = phases - enlarged
        # Where the weights come from is no way to make the image better, so no gradient takes it.
        energy = detail.detach().square().mean(1, keepdim=True)
        weight = 1 / (1 + energy / self.level**2)  # (N, 1, H, W)
        return self._mean(detail * weight) / self._mean(weight)

    def _mean(self, x: Tensor) -> Tensor:
        """Over the cells around each; beyond the rim nothing counts, in the weights as in what they weigh."""
        return F.avg_pool2d(x, self.cells, stride=1, padding=self.cells // 2)
