"""The pixel criterion: regression towards the mean of all plausible images."""

from __future__ import annotations

from torch import Tensor

from blindsr.loss.criterion import Distance, Restored, at_least_single


class Pixel(Distance):
    """Mean absolute difference of the pixels, for RGB in [0, 1]."""

    def distances(self, made: Restored, view: str, other: str) -> Tensor:
        """See `Distance.distances`."""
        a, b = (at_least_single(made.image(name)) for name in (view, other))
        return (a - b).abs().mean((1, 2, 3))
