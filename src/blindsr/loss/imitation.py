"""How far conditions are from those that they are to imitate, in what they do to the BaseNet."""

from __future__ import annotations

from torch import Tensor

_FLOOR = 1e-2
"""Share of the mean variance of all scales that is added to each scale's own."""


def imitation(own: Tensor, given: Tensor) -> Tensor:
    """Squared error of modulations over their spread: 1 where a constant is all that was learned.

    Distances of conditions would count what no modulation depends on. As knowledge is distilled for blind
    restoration by KDSR (Xia et al. 2022, arXiv 2211.16928), from a network that sees what is to be estimated.

    Args:
        own: Modulations of conditions that were read of patches, (K T, M).
        given: Modulations of the conditions to imitate, (T, M), K times in a row as many; no gradient flows
            into them.

    Returns:
        The mean over tasks and scales, a scalar tensor >= 0.
    """
    given = given.detach().float()
    spread = given.var(0, unbiased=False)  # (M,)
    spread = spread + _FLOOR * spread.mean() + 1e-8
    error = own.float().unflatten(0, (-1, len(given))) - given  # (K, T, M)
    loss: Tensor = (error.square() / spread).mean()
    return loss
