"""The task sampler of CMDSR: T tasks, one degradation and 2n patches each (arXiv 2104.03926, section IV)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset

from blindsr.dataset.crops import draw_places
from blindsr.dataset.photos import PhotoCache
from blindsr.degradation import DegradationSpace, Task, TaskSpace
from blindsr.degradation.batched import OneStageLimits
from blindsr.errors import InputError


@dataclass(frozen=True)
class TaskBatch:
    """What one training step needs, before patches are cut and degraded on the training device.

    Attributes:
        step: The step it belongs to; the batch is a function of the seed, the rank and this number alone.
        places: Where HR patches are, (T, 2n, 6), see `draw_places`; patches 0..n-1 are the first support set
            of the task.
        degradations: One for each task.
        seeds: One noise seed for each task.
        offset: Where each task's patches are cut after the degradation, (T, 2) LR pixels (row, column).
        negatives: A derangement of the tasks, (T,).
        columns: What `OneStageBatch` takes of the T 2n patches, if the sampler was given its limits.
    """

    step: int
    places: NDArray[np.int64]
    degradations: tuple[Task, ...]
    seeds: tuple[int, ...]
    offset: NDArray[np.int64]
    negatives: NDArray[np.int64]
    columns: dict[str, NDArray[Any]]

    def __str__(self) -> str:
        tasks = "; ".join(f"{d} (seed {s})" for d, s in zip(self.degradations, self.seeds, strict=True))
        return f"step {self.step}: {tasks}"


class TaskDataset(Dataset[TaskBatch]):
    """Item k is the batch of step k: a pure function of (seed, rank, k), so a run resumes anywhere exactly.

    Patches are `margin` LR pixels larger than what is trained on. The cut after the degradation falls at a
    random offset, so the trained patch sees neither the border handling of the operators nor always the same
    position of the JPEG grid.

    Args:
        photos: Where HR patches come from.
        space: Where degradations are drawn from; its scale is the one trained.
        tasks: Number T of tasks in a batch.
        support: Number n of patches in a support set; a task has two of them.
        patch: Side of a trained LR patch.
        margin: LR pixels cut off.
        steps: Length of the run.
        seed: Of all draws.
        rank: Of this process, so that each draws other batches.
        single_photo: Share of support sets cut from one photo (as they are when one photo is restored)
            instead of from n photos.
        photo_a_task: Where a support set is cut from one photo, the other one of its task is cut from the
            same.
        neighbours: Share of batches whose tasks come in pairs that differ in one factor alone, each the
            other's negative. Two tasks drawn at random mostly differ in noise, so without such pairs the
            conditions need not tell one blur from another.
        shrink: See `draw_places`.
        limits: Of the batched degradation, if batches are to be made ready for it.
    """

    def __init__(
        self,
        photos: PhotoCache,
        space: TaskSpace,
        *,
        tasks: int = 8,
        support: int = 20,
        patch: int = 48,
        margin: int = 8,
        steps: int = 1_000_000,
        seed: int = 0,
        rank: int = 0,
        single_photo: float = 0.5,
        photo_a_task: bool = False,
        neighbours: float = 0.0,
        shrink: float = 1.0,
        limits: OneStageLimits | None = None,
    ) -> None:
        if neighbours and tasks % 2:
            raise InputError(
                f"neighbours {neighbours}: tasks in pairs need an even number of them, not {tasks}"
            )
        if neighbours and not isinstance(space, DegradationSpace):
            raise InputError(f"neighbours {neighbours}: only tasks of one stage differ in one factor alone")
        self.photos, self.space, self.steps, self.seed, self.rank = photos, space, steps, seed, rank
        self.tasks, self.support, self.patch, self.margin = tasks, support, patch, margin
        self.single_photo, self.photo_a_task = single_photo, photo_a_task
        self.neighbours, self.shrink = neighbours, shrink
        self.limits = limits

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, step: int) -> TaskBatch:
        rng = np.random.default_rng([self.seed, self.rank, step])
        paired = bool(self.neighbours) and rng.random() < self.neighbours
        degradations: tuple[Task, ...]
        if paired:
            assert isinstance(self.space, DegradationSpace)
            firsts = [self.space.sample(rng) for _ in range(self.tasks // 2)]
            degradations = tuple(d for first in firsts for d in (first, self.space.neighbour(first, rng)))
        else:
            degradations = tuple(self.space.sample(rng) for _ in range(self.tasks))
        size = (self.patch + self.margin) * self.space.scale
        where = draw_tasks(
            self.photos,
            self.tasks,
            self.support,
            size,
            rng,
            self.single_photo,
            self.photo_a_task,
            self.shrink,
        )
        seeds = tuple(int(s) for s in rng.integers(2**31, size=self.tasks))
        offset = rng.integers(self.margin + 1, size=(self.tasks, 2))
        negatives = np.arange(self.tasks) ^ 1 if paired else draw_negatives(self.tasks, rng)
        columns: dict[str, NDArray[Any]] = {}
        if self.limits is not None:
            items = list(range(2 * self.support))
            images = [(d, s, item) for d, s in zip(degradations, seeds, strict=True) for item in items]
            columns = self.limits.columns(*zip(*images, strict=True))
        return TaskBatch(step, where, degradations, seeds, offset, negatives, columns)


def draw_tasks(
    photos: PhotoCache,
    tasks: int,
    support: int,
    size: int,
    rng: np.random.Generator,
    single_photo: float = 0.5,
    photo_a_task: bool = False,
    shrink: float = 1.0,
) -> NDArray[np.int64]:
    """Draw where the patches of tasks are: of each two support sets, each set in one photo or in many.

    Args:
        photos: The photos.
        tasks: So many tasks ...
        support: ... of twice so many patches.
        size: Side of a patch, HR pixels.
        rng: Source of all randomness.
        single_photo: Share of support sets that are cut from one photo.
        photo_a_task: Both sets of a task are drawn as one.
        shrink: See `draw_places`.

    Returns:
        Rows of `draw_places`, (tasks, 2 support, 6), a task's two sets one after the other.
    """
    sets, count = (tasks, 2 * support) if photo_a_task else (2 * tasks, support)
    places: list[tuple[int, ...]] = []
    for _ in range(sets):
        one = rng.random() < single_photo
        chosen = np.resize(rng.integers(len(photos), size=1 if one else count), count)
        places += draw_places(photos, chosen.tolist(), size, rng, shrink)
    return np.array(places).reshape(tasks, 2 * support, -1)


def draw_negatives(tasks: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw a derangement of tasks, (T,): a cyclic shift, which is one for every shift but 0."""
    return np.asarray((np.arange(tasks) + rng.integers(1, max(tasks, 2))) % tasks)
