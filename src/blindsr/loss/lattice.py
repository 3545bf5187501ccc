"""The lattice criterion: the phases of the grid are as bright and as lively as the ground truth has them."""

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
    _check(x, y, scale)
    error = F.pixel_unshuffle(x.float() - y.float(), scale).unflatten(1, (x.shape[1], -1))
    error = (error - error.mean(2, keepdim=True)).flatten(1, 2)  # (N, C s^2, H, W)
    return _averaged(error, cells).abs().mean((1, 2, 3))


def amplitude_error(x: Tensor, y: Tensor, scale: int = 4, cells: int = 13) -> Tensor:
    """How far the phases of an image differ in how much detail they have, beyond what another image's do.

    What a network adds to rough parts, fur or grain, may stand at the same place of every cell and yet be
    bright in one and dark in the next: `phase_error` averages that out as it does texture, but it looks like
    a screen of dots. No photo has more detail at one place of the cells of its LR picture than at another.

    Args:
        x: (N, C, s H, s W).
        y: Ground truth, the same shape.
        scale: Side of a cell, s.
        cells: Side of the squares of cells over which detail is averaged; all cells where there are fewer.

    Returns:
        (N,) >= 0, mean absolute value, in units of the images.

    Raises:
        ValueError: The shapes differ, or the sides are no multiples of the scale.

    Example:
        >>> import torch
        >>> truth, dots = torch.zeros(1, 3, 64, 64), torch.zeros(1, 3, 64, 64)
        >>> dots[..., ::4, ::4] = 0.16 * torch.randn(16, 16).sign()
        >>> noise = 0.04 * torch.randn(1, 3, 64, 64)
        >>> float(amplitude_error(truth + dots, truth)) > 5 * float(amplitude_error(truth + noise, truth))
        True
    """
    _check(x, y, scale)
    error = _amplitudes(x, scale, cells) - _amplitudes(y, scale, cells)
    return (error - error.mean(1, keepdim=True)).abs().mean((1, 2, 3))


def _amplitudes(image: Tensor, scale: int, cells: int) -> Tensor:
    """(N, C, s H, s W) -> root mean square of the detail of each phase around each cell, (N, s^2, h, w)."""
    image = image.float()
    detail = image - F.avg_pool2d(F.pad(image, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    energy = F.pixel_unshuffle(detail.square().mean(1, keepdim=True), scale)
    return (_averaged(energy, cells) + 1e-6).sqrt()


def _averaged(x: Tensor, cells: int) -> Tensor:
    return F.avg_pool2d(x, (min(cells, x.shape[2]), min(cells, x.shape[3])), stride=1)


def _check(x: Tensor, y: Tensor, scale: int) -> None:
    if x.shape != y.shape or x.ndim != 4 or x.shape[2] % scale or x.shape[3] % scale:
        raise ValueError(
            f"expected two (N, C, H, W) tensors whose sides are multiples of {scale}, got {tuple(x.shape)} "
            f"and {tuple(y.shape)}"
        )


class Lattice(Distance):
    """`phase_error` as a criterion, and `amplitude_error` beside it.

    Args:
        scale: Magnification of the network.
        cells: Side of the squares of cells over which the means of the phases are averaged.
        amplitude: What their amplitudes count in units of their means; 0 leaves them out.
    """

    def __init__(self, scale: int = 4, cells: int = 7, amplitude: float = 0.0) -> None:
        super().__init__()
        if scale < 2 or cells < 1:
            raise ConfigError(f"lattice: scale must be 2 or more and cells 1 or more, not {scale}, {cells}")
        if not 0 <= amplitude < float("inf"):
            raise ConfigError(f"lattice: amplitude must be 0 or more, not {amplitude}")
        self.scale, self.cells, self.amplitude = scale, cells, amplitude

    def distances(self, made: Restored, view: str, other: str) -> Tensor:
        """See `Distance.distances`."""
        images = made.image(view), made.image(other)
        found = phase_error(*images, self.scale, self.cells)
        if self.amplitude:
            found = found + self.amplitude * amplitude_error(*images, self.scale)
        return found
