"""The perceptual criterion: distances of deep features."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from blindsr.loss.criterion import Distance, Restored

_FLOOR = 0.1
"""Share of a layer's usual length of features that is added to the length at each place."""


def perceptual_distance(
    a: Sequence[Tensor], b: Sequence[Tensor], weights: Sequence[float] | None = None
) -> Tensor:
    """Mean absolute difference of features, summed over the layers.

    After Johnson et al. 2016 (arXiv 1603.08155, section 3.2), with absolute differences as ESRGAN has them
    (arXiv 1809.00219, section 3.3).

    Args:
        a: Features, (N, c, h, w) for each layer.
        b: Features of other images, the same shapes.
        weights: One for each layer; None: 1 each.

    Returns:
        A scalar >= 0, in units of the features.

    Raises:
        ValueError: The numbers of layers or the shapes differ.
    """
    return perceptual_distances(a, b, weights).mean()


def perceptual_distances(
    a: Sequence[Tensor], b: Sequence[Tensor], weights: Sequence[float] | None = None
) -> Tensor:
    """As `perceptual_distance`, of each two images: (N,)."""
    _check(a, b)
    if weights is None:
        weights = [1.0] * len(a)
    elif len(weights) != len(a):
        raise ValueError(f"{len(weights)} weights for {len(a)} layers")
    total = a[0].new_zeros(len(a[0]))
    for x, y, weight in zip(a, b, weights, strict=True):
        total = total + weight * (x - y).abs().mean((1, 2, 3))
    return total


def feature_distances(a: Sequence[Tensor], b: Sequence[Tensor]) -> Tensor:
    """How different features are at each place of each image.

    The mean over the layers of ``|x / l(x) - y / l(y)|^2``, x and y being the features of one place, brought
    to the grid of the coarsest layer by averaging. With l the length this is twice one minus the cosine of
    their angle, as LPIPS compares features (arXiv 1801.03924, equation 1, all channels alike): layers of any
    scale count alike, and so do faint and strong textures. But a place with next to no features has no
    direction, so to the length a tenth of the layer's usual one is added: ``l(x)^2 = |x|^2 + (0.1 r)^2``, r^2
    being the mean of |x|^2 and |y|^2 over the image; no gradient flows through r.

    Args:
        a: Features, (N, c, h, w) for each layer; h and w may differ from layer to layer.
        b: Features of other images, the same shapes.

    Returns:
        (N, 1, h, w) of the coarsest layer; in [0, 4], of features >= 0 in [0, 2]; 0 for equal features.

    Raises:
        ValueError: The numbers of layers or the shapes differ.
    """
    _check(a, b)
    height, width = coarsest_grid(a)
    total = a[0].new_zeros(())
    for x, y in zip(a, b, strict=True):
        # The square multiplied out: scaled features, and their difference, would be maps of all channels.
        xx, yy, xy = ((u * v).sum(1, keepdim=True) for u, v in ((x, x), (y, y), (x, y)))  # (N, 1, h, w)
        floor = (xx + yy).detach().mean((2, 3), keepdim=True) * (_FLOOR**2 / 2)
        floor = floor.clamp_min(1e-12)  # where both images have no features at all
        p, q = (xx + floor).rsqrt(), (yy + floor).rsqrt()
        apart = xx * p * p + yy * q * q - 2 * xy * p * q
        total = total + adaptive_avg_pool2d(apart, (height, width))
    return total / len(a)


def coarsest_grid(features: Sequence[Tensor]) -> tuple[int, int]:
    """Height and width of the layer with the fewest places."""
    height, width = features[0].shape[2:]
    for layer in features:  # no `min` with a key: it would break a compiled graph
        if layer.shape[2] * layer.shape[3] < height * width:
            height, width = layer.shape[2:]
    return height, width


class Perceptual(Distance):
    """`perceptual_distance` as a criterion.

    Args:
        layers: Weight of each layer of the features; None: 1 each.
    """

    needs = ("features",)

    def __init__(self, layers: Sequence[float] | None = None) -> None:
        super().__init__()
        self.layers = layers

    def distances(self, made: Restored, view: str, other: str) -> Tensor:
        """See `Distance.distances`."""
        return perceptual_distances(made.phi(view), made.phi(other), self.layers)


def _check(a: Sequence[Tensor], b: Sequence[Tensor]) -> None:
    shapes, others = ([tuple(x.shape) for x in features] for features in (a, b))
    if shapes != others or not shapes or any(len(shape) != 4 for shape in shapes):
        raise ValueError(
            f"expected two lists of features (N, c, h, w) of the same shapes, got {shapes} and {others}"
        )
