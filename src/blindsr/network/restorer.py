"""What every network that restores photos tells of itself."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from blindsr.picture.rim import margins, reflected


@dataclass(frozen=True)
class Adapts:
    """How a network adapts.

    Args:
        support: Patches of a support set, where it takes exactly so many; None: any number.
        least: Smallest side of a patch, LR pixels.
        condition: Numbers of a condition.
        modulation: Numbers of a modulation.
    """

    support: int | None
    least: int
    condition: int
    modulation: int


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

    def restore(self, lr: Tensor, **inputs: Tensor | None) -> Tensor:
        """Restore LR photos as `blindsr.Upscaler` does: extended, see `blindsr.picture.rim`.

        Args:
            lr: LR batch of whole photos, (N, 3, H, W), RGB in [0, 1]; any H and W.
            **inputs: What else the network takes, by name.

        Returns:
            SR batch, (N, 3, scale * H, scale * W), RGB in [0, 1], not clipped.
        """
        kept = []
        for axis in (2, 3):
            length = lr.shape[axis]
            before, after = margins(length, self.halo, self.multiple)
            places = torch.from_numpy(reflected(-before, length + after, length))
            lr = lr.index_select(axis, places.to(lr.device))
            kept.append(slice(before * self.scale, (before + length) * self.scale))
        sr: Tensor = self(lr * self.pixel_range, **inputs)
        rows, columns = kept
        return sr[..., rows, columns] / self.pixel_range

    @property
    def adapts(self) -> Adapts | None:
        """How it adapts; None for a network that does not."""
        return None

    def condition(self, support: Tensor) -> Tensor:
        """Support set of one task, (P, 3, h, w) -> its condition, (1, C); only of a network that adapts."""
        raise NotImplementedError("this network does not adapt")

    def modulation(self, condition: Tensor) -> Tensor:
        """Conditions (T, C) -> modulations (T, M); only of a network that adapts."""
        raise NotImplementedError("this network does not adapt")

    def modulate_weights(self) -> None:
        """From now on every batch is of one condition; a network that does not adapt is ready for it."""
