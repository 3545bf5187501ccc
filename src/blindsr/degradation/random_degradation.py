"""A task that every picture draws for itself from a space, so that a test set can hold many degradations."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from blindsr.degradation.backend import Array, check_batch, concat
from blindsr.degradation.pipeline import Task
from blindsr.degradation.space import DegradationSpace
from blindsr.degradation.two_stage import TwoStageSpace


@dataclasses.dataclass(frozen=True)
class RandomDegradation:
    """Whatever a space gives for a picture's seed.

    Args:
        name: what tables call it.
        space: what the tasks are drawn from.
    """

    name: str
    space: DegradationSpace | TwoStageSpace

    @property
    def scale(self) -> int:
        """HR side / LR side."""
        return self.space.scale

    def as_dict(self) -> dict[str, Any]:
        """Return the ranges as plain values, for JSON."""
        return {"drawn_from": self.name, "space": self.space.as_dict()}

    def task(self, seed: int, item: int = 0) -> Task:
        """Return what image `item` of a batch with this seed is degraded by."""
        return self.space.sample(np.random.default_rng([seed, item]))

    def apply(self, x: Array, seed: int, first_item: int = 0) -> Array:
        """Make LR images from HR images, each by a task of its own; see `degrade`."""
        check_batch(x)
        items = range(first_item, first_item + len(x))
        parts = [self.task(seed, item).apply(x[i : i + 1], seed, item) for i, item in enumerate(items)]
        return concat(parts, axis=0)

    def __str__(self) -> str:
        return self.name
