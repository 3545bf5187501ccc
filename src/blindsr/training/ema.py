"""An exponential moving average of a network's weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class WeightAverage:
    """Keeps ``average = decay * average + (1 - decay) * weight`` of all floating-point weights.

    The decay grows with the number of updates, (1 + k) / (10 + k), until it reaches `decay`: the first steps
    of a run do not weigh on the average for long.

    Args:
        network: The network to follow, on its device.
        decay: In [0, 1); 0 copies the weights.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay, self.updates = decay, 0
        state = network.state_dict()
        self.average = {name: tensor.detach().clone() for name, tensor in state.items()}
        self._kept = next(iter(state.values())).new_zeros(())

    def update(self, network: nn.Module) -> None:
        """Take in the network's present weights."""
        self.count()
        self.follow(network)

    def count(self) -> None:
        """The half of `update` that the host does: how much the next weights weigh."""
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        self.updates += 1
        self._kept.fill_(decay)

    @torch.no_grad()
    def follow(self, network: nn.Module) -> None:
        """The half that the device does, a few launches for all weights, of which a graph can be made."""
        state = {name: t for name, t in network.state_dict().items() if t.is_floating_point()}
        averages, weights = [self.average[name] for name in state], list(state.values())
        torch._foreach_sub_(averages, weights)
        torch._foreach_mul_(averages, self._kept)
        torch._foreach_add_(averages, weights)

    @contextmanager
    def applied_to(self, network: nn.Module) -> Iterator[None]:
        """Within the block the network has the averaged weights."""
        kept = {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}
        network.load_state_dict(self.average)
        try:
            yield
        finally:
            network.load_state_dict(kept)

    def state_dict(self) -> dict[str, Tensor]:
        """The averaged weights."""
        return self.average

    def load_state_dict(self, average: dict[str, Tensor], updates: int) -> None:
        """Go on from saved averages."""
        self.updates = updates
        for name, tensor in average.items():
            self.average[name].copy_(tensor)
