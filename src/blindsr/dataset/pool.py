"""The samplers of a pool: which groups of crops are to be degraded, and what of the pool makes a batch.

To degrade a crop twice over takes as long as to train on it, and tasks of two stages come in groups that
share their sizes. So what was degraded is kept for a while, and a batch is drawn from many groups, as
Real-ESRGAN trains (arXiv 2107.10833). A pool is of pairs, each with a degradation of its own, or of tasks,
each with the patches of two support sets.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset

from blindsr.dataset.crops import draw_places
from blindsr.dataset.photos import PhotoCache
from blindsr.dataset.tasks import draw_negatives, draw_tasks
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
        spaces = parts_of(space)
        one = [part for part in spaces if isinstance(part, DegradationSpace)]
        two = [part for part in spaces if isinstance(part, TwoStageSpace)]
        return cls(
            OneStageLimits.of(one, side) if one else None, TwoStageLimits.of(two, side) if two else None
        )

    def columns(self, tasks: Sequence[Any], seeds: Sequence[int], each: int = 1) -> dict[str, NDArray[Any]]:
        """What a batched degradation takes of tasks of one kind; nothing of a kind that has none.

        Args:
            tasks: All of one kind.
            seeds: One for each.
            each: So many images have the task, and are the items 0, 1, ... of it.
        """
        limits: OneStageLimits | TwoStageLimits | None = None
        if isinstance(tasks[0], Degradation):
            limits = self.one_stage
        elif isinstance(tasks[0], TwoStage):
            limits = self.two_stage
        if limits is None:
            return {}
        images = [(task, seed, item) for task, seed in zip(tasks, seeds, strict=True) for item in range(each)]
        return limits.columns(*zip(*images, strict=True))


def parts_of(space: TaskSpace) -> tuple[TaskSpace, ...]:
    """The spaces that a space is mixed of, each of one kind; itself, if it is no mixture."""
    if not isinstance(space, MixedSpace):
        return (space,)
    return tuple(part for mixed in space.spaces for part in parts_of(mixed))


@dataclass(frozen=True)
class CropGroup:
    """Crops that are degraded together.

    Attributes:
        places: Where they are, (G e, 6), see `draw_places`: e crops in a row have one task.
        tasks: G of them, all of one kind; those of two stages share their sizes.
        seeds: One for each task.
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
        picks: Which pairs, or tasks, of the pool make the batch, (N,).
        offset: Where each is cut, (N, 2) LR pixels (row, column).
        poses: Whether each is mirrored, flipped and transposed, (N, 3).
        negatives: Of tasks: a derangement of those of the batch, (N,).
    """

    step: int
    kept: tuple[int, int]
    fresh: dict[int, CropGroup]
    picks: NDArray[np.int64]
    offset: NDArray[np.int64]
    poses: NDArray[np.bool_]
    negatives: NDArray[np.int64] | None = None

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
        self.each = 1  # crops that share a task
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
        picks = self._picks(min(made, self.slots) * self.group, rng)
        offset = rng.integers(self.margin + 1, size=(self.batch, 2))
        poses = rng.random((self.batch, 3)) < 0.5
        return PoolBatch(step, kept, fresh, picks, offset, poses)

    def crops(self, number: int) -> CropGroup:
        """A group, by its number."""
        rng = np.random.default_rng([self.seed, self.rank, number, 1])  # other draws than those of a step
        space: Any = self.space
        while isinstance(space, MixedSpace):
            space = space.spaces[int(rng.integers(len(space.spaces)))]
        tasks = [space.sample(rng) for _ in range(self.group)]
        if isinstance(tasks[0], TwoStage):
            tasks = share_sizes(tasks)
        places = self._places((self.patch + self.margin) * self.space.scale, rng)
        seeds = tuple(int(s) for s in rng.integers(2**31, size=self.group))
        columns = {} if self.limits is None else self.limits.columns(tasks, seeds, self.each)
        return CropGroup(places, tuple(tasks), seeds, columns)

    def _picks(self, kept: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """Which of the pool's pairs make a batch, (N,)."""
        return rng.integers(kept, size=self.batch)

    def _places(self, size: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """Where the crops of a group are, (G e, 6)."""
        chosen = rng.integers(len(self.photos), size=self.group).tolist()
        return np.array(draw_places(self.photos, chosen, size, rng, self.shrink))

    def _made(self, step: int) -> int:
        """How many groups have been made by a step: some at once, then as many as `reuse` allows."""
        first = min(self.slots, math.ceil(self.batch * self.reuse / self.group))
        return first + math.floor(step * self.batch / (self.reuse * self.group))


class TaskPoolDataset(PoolDataset):
    """The same of a pool of tasks: each has a degradation, and the 2n patches of two support sets.

    All patches of a task are cut at one offset and in one pose, which would else be degradations of their
    own. No task is in a batch twice: it would be its own negative.

    Args:
        photos: See `PoolDataset`, and so for all that is not told here.
        space: See `PoolDataset`.
        tasks: Number T of tasks in a batch.
        support: Number n of patches in a support set.
        group: Number of tasks that are degraded together.
        pool: Number of tasks that are kept.
        single_photo: Share of support sets that are cut from one photo.
        photo_a_task: See `draw_tasks`.
    """

    def __init__(
        self,
        photos: PhotoCache,
        space: TaskSpace,
        *,
        tasks: int,
        support: int,
        patch: int,
        margin: int,
        steps: int,
        group: int,
        pool: int,
        reuse: float,
        seed: int = 0,
        rank: int = 0,
        single_photo: float = 0.5,
        photo_a_task: bool = False,
        shrink: float = 1.0,
        limits: BatchLimits | None = None,
    ) -> None:
        super().__init__(
            photos, space, batch=tasks, patch=patch, margin=margin, steps=steps, group=group, pool=pool,
            reuse=reuse, seed=seed, rank=rank, shrink=shrink, limits=limits,
        )  # fmt: skip
        self.support, self.each = support, 2 * support
        self.single_photo, self.photo_a_task = single_photo, photo_a_task

    def __getitem__(self, step: int) -> PoolBatch:
        rng = np.random.default_rng([self.seed, self.rank, step, 2])  # of no other draws
        return replace(super().__getitem__(step), negatives=draw_negatives(self.batch, rng))

    def _picks(self, kept: int, rng: np.random.Generator) -> NDArray[np.int64]:
        return rng.choice(kept, self.batch, replace=False)

    def _places(self, size: int, rng: np.random.Generator) -> NDArray[np.int64]:
        places = draw_tasks(
            self.photos,
            self.group,
            self.support,
            size,
            rng,
            self.single_photo,
            self.photo_a_task,
            self.shrink,
        )
        return places.reshape(self.group * self.each, -1)
