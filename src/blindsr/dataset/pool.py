"""The sampler of a pool of pairs: which groups of crops are to be degraded, and which pairs make a batch.

To degrade a crop twice over takes as long as to train on it, and tasks of two stages come in groups that
share their sizes. So pairs are kept for a while, and a batch is drawn from the pairs of many groups, as
Real-ESRGAN trains (arXiv 2107.10833).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset

from blindsr.dataset.crops import draw_places
from blindsr.dataset.photos import PhotoCache
from blindsr.degradation import (
    Degradation,
    DegradationSpace,
    MixedSpace,
    Task,
    TaskSpace,
    TwoStage,
    TwoStageSpace,
)
from blindsr.degradation.batched import OneStageLimits, TwoStageLimits, share_sizes


@dataclass(frozen=True)
class BatchLimits:
    """Limits of the batched degradations that the tasks of a space need; None where it has no such tasks.

    Args:
        one_stage: Of its tasks of one stage.
        two_stage: Of its tasks of two.
    """

    one_stage: OneStageLimits | None
    two_stage: TwoStageLimits | None

    @classmethod
    def of(cls, space: TaskSpace, side: int) -> BatchLimits:
        """Those of a space, for square HR crops of `side` pixels."""
        spaces = space.spaces if isinstance(space, MixedSpace) else (space,)
        one = [part for part in spaces if isinstance(part, DegradationSpace)]
        two = [part for part in spaces if isinstance(part, TwoStageSpace)]
        return cls(
            OneStageLimits.of(one, side) if one else None, TwoStageLimits.of(two, side) if two else None
        )

    def columns(self, tasks: Sequence[Any], seeds: Sequence[int]) -> dict[str, NDArray[Any]]:
        """What a batched degradation takes of tasks of one kind; nothing of a kind that has none."""
        if isinstance(tasks[0], Degradation) and self.one_stage is not None:
            return self.one_stage.columns(tasks, seeds)
        if isinstance(tasks[0], TwoStage) and self.two_stage is not None:
            return self.two_stage.columns(tasks, seeds)
        return {}


@dataclass(frozen=True)
class CropGroup:
    """Crops that are degraded together.

    Attributes:
        places: Where they are, (G, 6), see `draw_places`.
        tasks: One for each, all of one kind; those of two stages share their sizes.
        seeds: One for each.
        columns: What a batched degradation takes of them, if the sampler was given its limits.
    """

    places: NDArray[np.int64]
    tasks: tuple[Task, ...]
    seeds: tuple[int, ...]
    columns: dict[str, NDArray[Any]]


@dataclass(frozen=True)
class PoolBatch:
    """What one training step needs.

    Attributes:
        step: The step it belongs to; the batch is a function of the seed, the rank and this number alone.
        kept: Numbers of the groups that the pool holds at this step, the oldest and one past the newest;
            group g lies in slot g modulo the number of slots.
        fresh: Those of them that the step before did not need, by number.
        picks: Which pairs of the pool make the batch, (N,).
        offset: Where each is cut, (N, 2) LR pixels (row, column).
        poses: Whether each is mirrored, flipped and transposed, (N, 3).
    """

    step: int
    kept: tuple[int, int]
    fresh: dict[int, CropGroup]
    picks: NDArray[np.int64]
    offset: NDArray[np.int64]
    poses: NDArray[np.bool_]

    def __str__(self) -> str:
        return f"step {self.step}, of the pool's groups {self.kept[0]} to {self.kept[1] - 1}"


class PoolDataset(Dataset[PoolBatch]):
    """Item k is the batch of step k: a pure function of (seed, rank, k), so a run resumes anywhere exactly.

    Args:
        photos: Where HR crops come from.
        space: Where degradations are drawn from; the tasks of a group from one part of a mixture.
        batch: Number N of pairs in a batch.
        patch: Side of a trained LR patch.
        margin: LR pixels by which pairs are larger, so that they are cut elsewhere each time.
        steps: Length of the run.
        group: Number G of crops in a group.
        pool: Number of pairs that are kept, a multiple of `group`.
        reuse: How often a pair is used, on average.
        seed: Of all draws.
        rank: Of this process, so that each draws others.
        shrink: See `draw_places`.
        limits: Of the batched degradations, if groups are to be made ready for them.
    """

    def __init__(
        self,
        photos: PhotoCache,
        space: TaskSpace,
        *,
        batch: int,
        patch: int,
        margin: int,
        steps: int,
        group: int,
        pool: int,
        reuse: float,
        seed: int = 0,
        rank: int = 0,
        shrink: float = 1.0,
        limits: BatchLimits | None = None,
    ) -> None:
        self.photos, self.space, self.steps, self.seed, self.rank = photos, space, steps, seed, rank
        self.batch, self.patch, self.margin, self.group = batch, patch, margin, group
        self.slots, self.reuse, self.shrink, self.limits = pool // group, reuse, shrink, limits

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, step: int) -> PoolBatch:
        rng = np.random.default_rng([self.seed, self.rank, step])
        made, before = self._made(step), self._made(step - 1) if step else 0
        kept = max(0, made - self.slots), made
        fresh = {number: self.crops(number) for number in range(max(before, kept[0]), made)}
        picks = rng.integers(min(made, self.slots) * self.group, size=self.batch)
        offset = rng.integers(self.margin + 1, size=(self.batch, 2))
        poses = rng.random((self.batch, 3)) < 0.5
        return PoolBatch(step, kept, fresh, picks, offset, poses)

    def crops(self, number: int) -> CropGroup:
        """A group, by its number."""
        rng = np.random.default_rng([self.seed, self.rank, number, 1])  # other draws than those of a step
        space: Any = self.space
        if isinstance(space, MixedSpace):
            space = space.spaces[int(rng.integers(len(space.spaces)))]
        tasks = [space.sample(rng) for _ in range(self.group)]
        if isinstance(tasks[0], TwoStage):
            tasks = share_sizes(tasks)
        chosen = rng.integers(len(self.photos), size=self.group).tolist()
        size = (self.patch + self.margin) * self.space.scale
        places = draw_places(self.photos, chosen, size, rng, self.shrink)
        seeds = tuple(int(s) for s in rng.integers(2**31, size=self.group))
        columns = {} if self.limits is None else self.limits.columns(tasks, seeds)
        return CropGroup(np.array(places), tuple(tasks), seeds, columns)

    def _made(self, step: int) -> int:
        """How many groups have been made by a step: some at once, then as many as `reuse` allows."""
        first = min(self.slots, math.ceil(self.batch * self.reuse / self.group))
        return first + math.floor(step * self.batch / (self.reuse * self.group))
