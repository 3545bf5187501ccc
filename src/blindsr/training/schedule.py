"""Learning rates as pure functions of the step, so that resuming needs no scheduler state."""

from __future__ import annotations

import math

from blindsr.training.config import OptimiserSection


def learning_rate(section: OptimiserSection, step: int, steps: int) -> float:
    """The learning rate of one step.

    Args:
        section: Initial rate, form and its parameters.
        step: The step, 0 .. steps - 1.
        steps: Length of the run.
    """
    rate = section.lr
    if section.schedule == "multistep":
        rate *= section.gamma ** sum(step >= milestone * steps for milestone in section.milestones)
    else:
        progress = max(0, step - section.warmup) / max(1, steps - section.warmup)
        rate *= section.floor + (1 - section.floor) * 0.5 * (1 + math.cos(math.pi * progress))
    # Weights that begin late begin gently as well.
    if section.after <= step < section.after + section.warmup:
        rate *= (step - section.after + 1) / section.warmup
    return rate
