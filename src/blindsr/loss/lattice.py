"""The lattice criterion: no phase of the grid may be brighter or darker than the ground truth has it."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from blindsr.errors import ConfigError
from blindsr.loss.criterion import Distance, Restored


def phase_error(x: Tensor, y: Tensor, scale: int = 4, cells: int = 7) -> Tensor:
    """How far the means of the phases of an image stray from those of another.

    The `scale` x `scale` pixels that belong to one LR pixel, a cell, come from weights of their own. What
    these add to every cell alike shows when the error is averaged phase by phase over many cells: texture
    averages out, a lattice stays. Deep features with strides hardly see it.

    Args:
        x: (N, C, s H, s W).
        y: Ground truth, the same shape.
        scale: Side of a cell, s.
        cells: Side of the squares of cells over which is averaged; all cells where there are fewer.

    Returns:
        (N,) >= 0, mean absolute value; 0 for images that differ by cells of one value each.

    Raises:
        ValueError: The shapes differ, or the sides are no multiples of the scale.

    Example:
        >>> import torch
        >>> truth, lattice = torch.rand(1, 3, 64, 64), torch.zeros(1, 3, 64, 64)
        >>> lattice[..., ::4, ::4] = 0.16
        >>> [round(float(phase_error(truth + other, truth)), 3) for other in (lattice, 0.16)]
        [0.019, 0.0]
    """
    if x.shape != y.shape or x.ndim != 4 or x.shape[2] % scale or x.shape[3] % scale:
        raise ValueError(
            f"expected two (N, C, H, W) tensors whose sides are multiples of {scale}, got {tuple(x.shape)} "
            f"and {tuple(y.shape)}"
        )
    error = F.pixel_unshuffle(x.float() - y.float(), scale).unflatten(1, (x.shape[1], -1))
    error = (error - error.mean(2, keepdim=True)).flatten(1, 2)  # (N, C s^2, H, W)
    window = min(cells, error.shape[2]), min(cells, error.shape[3])
    return F.avg_pool2d(error, window, stride=1).abs().mean((1, 2, 3))


class Lattice(Distance):
    """`phase_error` as a criterion.

    Args:
        scale: Magnification of the network.
        cells: Side of the squares of cells over which is averaged.
    """

    def __init__(self, scale: int = 4, cells: int = 7) -> None:
        super().__init__()
        if scale < 2 or cells < 1:
            raise ConfigError(f"lattice: scale must be 2 or more and cells 1 or more, not {scale}, {cells}")
        self.scale, self.cells = scale, cells

    def distances(self, made: Restored, view: str, other: str) -> Tensor:
        """See `Distance.distances`."""
        return phase_error(made.image(view), made.image(other), self.scale, self.cells)
