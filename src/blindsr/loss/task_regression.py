"""Reading a task's parameters from its condition: what tells a ConditionNet at once what there is to see."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor

from blindsr.degradation import Degradation

PARAMETERS = 9
"""Numbers that describe a task."""


def task_parameters(tasks: Iterable[Degradation]) -> Tensor:
    """Describe tasks by numbers of about the same spread, none of which jumps where another changes smoothly.

    Of the blur its mean width, and how far and which way it is elongated; of the noise both levels on a
    logarithmic scale (what matters of noise is its ratio), whether it is gray, and the logarithm of its size;
    of JPEG whether there is one, and how strong.

    Args:
        tasks: K degradations.

    Returns:
        (K, PARAMETERS).
    """
    return torch.tensor([_parameters(task) for task in tasks])


def task_regression(read: Tensor, tasks: Tensor) -> Tensor:
    """L1 distance between what was read of tasks and what they are, summed over the parameters.

    Args:
        read: (K, PARAMETERS).
        tasks: (K, PARAMETERS), see `task_parameters`.

    Returns:
        The mean over the tasks, a scalar tensor.
    """
    return (read.float() - tasks).abs().sum(1).mean()


def _parameters(task: Degradation) -> list[float]:
    stretch = (task.sigma_x - task.sigma_y) / 2
    direction = 2 * task.angle  # half a turn is the same ellipse
    return [
        (task.sigma_x + task.sigma_y) / 4 - 0.5,
        stretch * math.cos(direction),
        stretch * math.sin(direction),
        math.log1p(task.noise) / 2,
        math.log1p(task.poisson) / 2,
        float(task.gray_noise),
        math.log(task.noise_scale),
        float(task.jpeg is not None),
        0.0 if task.jpeg is None else (100 - task.jpeg) / 35,
    ]
