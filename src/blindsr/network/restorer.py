"""What every network that restores photos tells of itself."""

from __future__ import annotations

from torch import nn


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
