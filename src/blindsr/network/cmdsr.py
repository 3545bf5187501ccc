"""CMDSR: a BaseNet whose convolutions are modulated by the condition of the task (arXiv 2104.03926)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from blindsr.network.basenet import BaseNet, ModulatedConv2d
from blindsr.network.condition import ConditionNet
from blindsr.network.restorer import Adapts, Restorer


class Modulation(nn.Module):
    """The fully connected layers that turn a condition into the scales of every modulated convolution.

    ``s = (W / sqrt(C)) f + b`` with W ~ N(0, 1) and b = 1 at the start (section III-C). All layers read the
    same condition, so they are kept as one matrix: one product instead of twenty.

    Args:
        condition: Length C of the condition.
        channels: Input channels of each modulated convolution.
    """

    def __init__(self, condition: int, channels: tuple[int, ...]) -> None:
        super().__init__()
        self.gain = 1 / math.sqrt(condition)
        self.weight = nn.Parameter(torch.randn(sum(channels), condition))
        self.bias = nn.Parameter(torch.ones(sum(channels)))

    def forward(self, condition: Tensor) -> Tensor:
        """(T, C) -> (T, M), M = sum(channels)."""
        return nn.functional.linear(condition, self.weight * self.gain, self.bias)


class CMDSR(Restorer):
    """Conditional hyper-network for super-resolution with multiple degradations.

    Args:
        basenet: The network that restores.
        condition_net: The network that reads the degradation; None makes a plain blind network of the
            BaseNet (the unconditioned baseline that the adaptive one is compared with).
        pixel_range: Pixels are RGB in [0, pixel_range]; the published network uses 255, ours 1.
    """

    def __init__(
        self, basenet: BaseNet, condition_net: ConditionNet | None, pixel_range: float = 1.0
    ) -> None:
        super().__init__()
        self.basenet, self.condition_net, self.pixel_range = basenet, condition_net, pixel_range
        self.scale, self.halo, self.adaptive = basenet.scale, basenet.halo, condition_net is not None
        self.modulations = (
            None if condition_net is None else Modulation(condition_net.size, basenet.modulated)
        )

    @property
    def adapts(self) -> Adapts | None:
        """See `Restorer.adapts`."""
        reader = self.condition_net
        if reader is None:
            return None
        return Adapts(reader.support, reader.least, reader.size, sum(self.basenet.modulated))

    def condition(self, support: Tensor) -> Tensor:
        """Support set of one task, (P, 3, h, w) -> its condition, (1, C)."""
        return self.conditions(support[None])

    def conditions(self, support: Tensor) -> Tensor:
        """Support sets of T tasks, (T, n, 3, h, w) -> conditions, (T, C)."""
        assert self.condition_net is not None, "this network does not adapt"
        conditions: Tensor = self.condition_net(support)
        return conditions

    def modulation(self, condition: Tensor) -> Tensor:
        """Conditions (T, C) -> modulations (T, M)."""
        assert self.modulations is not None, "this network does not adapt"
        modulation: Tensor = self.modulations(condition)
        return modulation

    def forward(self, lr: Tensor, modulation: Tensor | None = None) -> Tensor:
        """Restore LR photos under a modulation.

        Args:
            lr: LR batch, (N, 3, H, W), RGB in [0, pixel_range].
            modulation: (N, M), or (1, M) for all of them; None for a network that does not adapt.

        Returns:
            SR batch, (N, 3, scale * H, scale * W), in the same range, not clipped.
        """
        sr: Tensor = self.basenet(lr, modulation)
        return sr

    def modulate_weights(self) -> None:
        """From now on every batch is of one condition: the modulation (1, M) scales weights, not features.

        The same function, and less work, because the weights are far smaller than the image.
        """
        for module in self.modules():
            if isinstance(module, ModulatedConv2d):
                module.scales_weight = True

    def restore_tasks(self, lr: Tensor, condition: Tensor | None) -> Tensor:
        """Restore m photos of each of T tasks: (T, m, 3, H, W) under (T, C) -> (T, m, 3, sH, sW)."""
        sr: Tensor = self(lr.flatten(0, 1), self.modulation_of_tasks(condition, lr.shape[1]))
        return sr.unflatten(0, lr.shape[:2])  # type: ignore[no-any-return]

    def modulation_of_tasks(self, condition: Tensor | None, photos: int) -> Tensor | None:
        """The modulation of every one of so many photos of each of T tasks: (T, C) -> (T m, M)."""
        return None if condition is None else self.modulation(condition).repeat_interleave(photos, 0)
