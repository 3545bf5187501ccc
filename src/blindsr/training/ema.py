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
        network: The network to follow.
        decay: In [0, 1); 0 copies the weights.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay, self.updates = decay, 0
        self.average = {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Take in the network's present weights."""
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        self.updates += 1
        state = network.state_dict()
        averages = [self.average[name] for name in state if state[name].is_floating_point()]
        torch._foreach_lerp_(averages, [t for t in state.values() if t.is_floating_point()], 1 - decay)

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
