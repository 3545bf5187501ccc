"""Equalised learning rate (arXiv 1710.10196) without weights that are divided whenever they run.

There a convolution stores weights v of N(0, 1) and runs with w = g v, where g is one over the square root of
its inputs. Adam's step does not depend on the scale of its gradients, so v moves by the learning rate times
something that is the same for w: to let w move as g v does, its learning rate is g times as large. What is
trained, kept and exported is w itself.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable

from torch import Tensor, nn


def start_equalised(network: nn.Module) -> None:
    """Draw the weights of all convolutions anew, as they begin there, and set their biases to zero."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.normal_(module.weight, std=gain(module.weight))
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def gain(parameter: Tensor) -> float:
    """What a stored weight is multiplied by: of convolutions, which alone have four axes.

    Example:
        >>> gain(nn.Parameter(torch.zeros(64, 16, 3, 3))), gain(nn.Parameter(torch.zeros(64)))
        (0.08333333333333333, 1.0)
    """
    return 1 / math.sqrt(parameter[0].numel()) if parameter.ndim == 4 else 1.0


def by_gain(parameters: Iterable[nn.Parameter]) -> list[tuple[float, list[nn.Parameter]]]:
    """Neighbours of one gain together; the order stays, by which states of runs know them."""
    return [(share, list(some)) for share, some in itertools.groupby(parameters, gain)]
