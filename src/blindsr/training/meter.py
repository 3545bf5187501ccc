"""Losses summed on the training device, so that no step waits for a number to come to the host."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import torch
from torch import Tensor


class LossMeter:
    """Means of what the steps since the last reading logged, and the first step that was not finite.

    Args:
        device: Where the losses are.
    """

    def __init__(self, device: torch.device) -> None:
        self._sums: dict[str, Tensor] = {}
        self._counts: Counter[str] = Counter()
        self._device = device
        self._step = torch.zeros((), dtype=torch.int64, device=device)
        self._bad = torch.full((), -1, dtype=torch.int64, device=device)

    def begin(self, step: int) -> None:
        """Tell the number of the step that comes."""
        self._step.fill_(step)

    def count(self, names: list[str]) -> None:
        """The host's half of `add`: that a step has logged these."""
        self._counts.update(names)

    @torch.no_grad()
    def add(self, losses: Mapping[str, Tensor]) -> list[str]:
        """The device's half: take in a step's losses, scalars by name; returns the names."""
        for name, loss in losses.items():
            if name not in self._sums:
                self._sums[name] = torch.zeros((), device=self._device)
            self._sums[name] += loss.detach().float()
            fault = (self._bad < 0) & ~torch.isfinite(loss.detach())
            self._bad.copy_(torch.where(fault, self._step, self._bad))
        return list(losses)

    def read(self) -> tuple[dict[str, float], int | None]:
        """Wait for the device and begin anew.

        Returns:
            The mean of each loss over the steps that had it, and the first step with a loss that is not
            finite.
        """
        names = [name for name, count in self._counts.items() if count]
        bad = int(self._bad)
        means = {name: float(self._sums[name]) / self._counts[name] for name in names}
        for total in self._sums.values():
            total.zero_()
        self._bad.fill_(-1)
        self._counts.clear()
        return means, None if bad < 0 else bad
