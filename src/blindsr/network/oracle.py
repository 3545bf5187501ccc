"""What the ConditionNet is to learn: the condition of a task whose true degradation is given."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Oracle(nn.Module):
    """From the parameters of a task to its condition, by three linear layers.

    It starts with one condition for all tasks, `start`: so a trained BaseNet goes on as it restores on
    average.

    Args:
        parameters: How many numbers describe a task.
        size: Length of the condition.
    """

    def __init__(self, parameters: int, size: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(parameters, size), nn.ReLU(), nn.Linear(size, size), nn.ReLU(), nn.Linear(size, size)
        )
        self.start(torch.zeros(size))

    def start(self, condition: Tensor) -> None:
        """Give every task this condition, (C,)."""
        last = self.layers[-1]
        assert isinstance(last, nn.Linear)
        nn.init.zeros_(last.weight)
        with torch.no_grad():
            last.bias.copy_(condition)

    def forward(self, tasks: Tensor) -> Tensor:
        """Parameters of tasks, (T, parameters), see `task_parameters` -> conditions, (T, C)."""
        condition: Tensor = self.layers(tasks)
        return condition
