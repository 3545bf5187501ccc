"""What every network that restores photos tells of itself."""

from __future__ import annotations

from torch import Tensor, nn


class Restorer(nn.Module):
    """A network from LR to SR batches, RGB in [0, pixel_range].

    Attributes:
        scale: Integer magnification.
        halo: Receptive radius in LR pixels: an output pixel depends on no LR pixel further away.
        pixel_range: Pixels are RGB in [0, pixel_range].
        adaptive: Whether it is modulated by the condition of a support set.
        texture: Whether its texture view can be turned up and down.
        multiple: Its LR sides must be multiples of this; tiles begin at such places too.
    """

    scale: int
    halo: int
    pixel_range: float = 1.0
    adaptive: bool = False
    texture: bool = False
    multiple: int = 1

    def condition(self, support: Tensor) -> Tensor:
        """Support set of one task, (P, 3, h, w) -> its condition, (1, C); only of a network that adapts."""
        raise NotImplementedError("this network does not adapt")

    def modulation(self, condition: Tensor) -> Tensor:
        """Conditions (T, C) -> modulations (T, M); only of a network that adapts."""
        raise NotImplementedError("this network does not adapt")

    def modulate_weights(self) -> None:
        """From now on every batch is of one condition; a network that does not adapt is ready for it."""
