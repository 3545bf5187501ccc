"""The task contrastive loss of CMDSR (arXiv 2104.03926, section III-D)."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import softplus


def task_contrastive(first: Tensor, second: Tensor, negatives: Tensor, by_channel: bool = False) -> Tensor:
    """Pull the conditions of one task together and push those of different tasks apart.

    The mean over tasks i of ``log(1 + exp(d(f1_i, f2_i)^2)) + log(1 + exp(-d(f1_i, f2_pi(i))^2))``, d being
    the Euclidean distance between whole conditions. Written with softplus, which does not overflow.

    Args:
        first: Conditions of the first support set of each task, (T, C).
        second: Conditions of the second support set of each task, (T, C).
        negatives: pi, (T,) integers: for each task another one; pi(i) != i for all i.
        by_channel: d is between single channels, and the mean is over these, too: what the official code
            computes, whose conditions are (T, C, 1, 1) and whose distances run over the last axis.

    Returns:
        The loss, a scalar tensor >= log 2.

    Raises:
        ValueError: The shapes differ or are not (T, C).
    """
    if first.shape != second.shape or first.ndim != 2 or negatives.shape != first.shape[:1]:
        raise ValueError(
            f"expected two (T, C) tensors and (T,) indices, got {tuple(first.shape)}, "
            f"{tuple(second.shape)} and {tuple(negatives.shape)}"
        )
    # The squared distance directly: the square root has no gradient where two conditions coincide.
    same = (first - second).square()  # (T, C)
    other = (first - second[negatives]).square()
    if not by_channel:
        same, other = same.sum(1), other.sum(1)  # (T,)
    return (softplus(same) + softplus(-other)).mean()
