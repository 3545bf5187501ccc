"""How far a run has come, and learning rates as pure functions of that, so that resuming needs no state."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from blindsr.training.config import OptimiserSection


class Clock:
    """Where a run stands in its schedule: at a place from 0 to `steps`.

    By steps the place is the step. By minutes it is the share of the time that is gone, times `steps`: so a
    schedule has the same shape however fast the machine is.

    Args:
        steps: Length of the schedule.
        minutes: Time for it; None goes by steps.
        reserve: Seconds of that time that are not for steps: gone already, or kept for what comes after them.
        begun: Place that an earlier run had reached: the time is for the rest of the schedule.
        now: Seconds from a fixed moment on; None: `time.monotonic`.
    """

    def __init__(
        self,
        steps: int,
        minutes: float | None = None,
        reserve: float = 0.0,
        begun: float = 0.0,
        now: Callable[[], float] | None = None,
    ) -> None:
        self.steps, self.begun, self._now = steps, begun, now or time.monotonic
        self._start = self._now()
        self.seconds = None if minutes is None else max(60 * minutes - reserve, 1e-3)

    def place(self, taken: int) -> float:
        """The place of a step that is about to begin, after so many that were taken by this clock."""
        if self.seconds is None:
            return self.begun + taken
        share = (self._now() - self._start) / self.seconds
        return min(float(self.steps), self.begun + share * (self.steps - self.begun))

    def over(self, place: float) -> bool:
        """Whether the schedule has ended."""
        return place >= self.steps


def learning_rate(section: OptimiserSection, place: float, places: float) -> float:
    """The learning rate at a place of the schedule.

    Args:
        section: Initial rate, form and its parameters.
        place: See `Clock`; 0 to `places`.
        places: Length of the schedule.
    """
    rate = section.lr
    if section.schedule == "multistep":
        rate *= section.gamma ** sum(place >= milestone * places for milestone in section.milestones)
    elif section.schedule == "cosine":
        progress = max(0.0, place - section.warmup) / max(1.0, places - section.warmup)
        rate *= section.floor + (1 - section.floor) * 0.5 * (1 + math.cos(math.pi * progress))
    elif place > decays_from(section, places):
        gone = (place - decays_from(section, places)) / (section.decay * places)
        rate *= 1 - (1 - section.floor) * min(1.0, gone)
    # Weights that begin late begin gently as well.
    if section.after <= place < section.after + section.warmup:
        rate *= min(1.0, (place - section.after + 1) / section.warmup)  # a place may lie between two steps
    return rate


def decays_from(section: OptimiserSection, places: float) -> float:
    """The place from which a "stable" schedule falls; others have none, and fall from the start."""
    return places * (1 - section.decay) if section.schedule == "stable" else 0.0
