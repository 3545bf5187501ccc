"""The sampler of the pool: what it keeps, how often it is used, and that a step tells all of it."""

from __future__ import annotations

import numpy as np
import pytest

from blindsr.dataset import PhotoCache
from blindsr.dataset.pool import BatchLimits, PoolDataset
from blindsr.degradation import CAMERA, REAL, REAL_ESRGAN, MixedSpace, TaskSpace, TwoStage

MIXED = MixedSpace((REAL, CAMERA, REAL_ESRGAN))


def make(photos: PhotoCache, space: TaskSpace = MIXED, **changes: object) -> PoolDataset:
    arguments: dict[str, object] = {"batch": 6, "patch": 6, "margin": 2, "steps": 50, "group": 4}
    arguments |= {"pool": 32, "reuse": 2.0, "seed": 7} | changes
    return PoolDataset(photos, space, **arguments)  # type: ignore[arg-type]


def test_a_batch_depends_on_seed_rank_and_step_alone(photos: PhotoCache) -> None:
    one, again, other = make(photos), make(photos), make(photos, rank=1)
    for step in (0, 3, 20):
        one[step + 1]  # what was asked before does not matter
        for name in ("picks", "offset", "poses"):
            np.testing.assert_array_equal(getattr(one[step], name), getattr(again[step], name))
        assert not np.array_equal(one[step].picks, other[step].picks)
        for number, crops in one[step].fresh.items():
            same, unlike = again.crops(number), other.crops(number)
            assert crops.tasks == same.tasks != unlike.tasks
            np.testing.assert_array_equal(crops.places, same.places)
    assert "step 3" in str(one[3])


def test_every_group_is_fresh_once_and_all_that_is_picked_is_kept(photos: PhotoCache) -> None:
    dataset = make(photos)
    seen: list[int] = []
    for step in range(40):
        batch = dataset[step]
        low, high = batch.kept
        seen += batch.fresh
        assert set(batch.fresh) <= set(range(low, high)) and high - low <= 8
        slots = {number % 8 for number in range(low, high)}
        assert {int(pick) // 4 for pick in batch.picks} <= slots
        assert batch.offset.min() >= 0 and batch.offset.max() <= 2
    assert seen == list(range(len(seen)))
    # 6 pairs a step, each used twice: three new ones a step, in groups of four.
    assert len(seen) == 3 + 39 * 6 // 8


def test_pairs_are_used_as_often_as_said(photos: PhotoCache) -> None:
    for reuse in (1.0, 4.0):
        dataset = make(photos, steps=400, reuse=reuse, batch=8)
        uses = 8 * 300
        made = dataset[399].kept[1] - dataset[99].kept[1]
        assert uses / (made * 4) == pytest.approx(reuse, rel=0.02)


def test_a_group_is_of_one_kind_and_two_stages_share_their_sizes(photos: PhotoCache) -> None:
    dataset = make(photos)
    kinds = set()
    for number in range(30):
        group = dataset.crops(number)
        kinds.add(type(group.tasks[0]))
        assert len({type(task) for task in group.tasks}) == 1
        assert len(set(group.tasks)) == len(set(group.seeds)) == 4
        two = [task for task in group.tasks if isinstance(task, TwoStage)]
        assert len({(task.first.resize, task.second.resize, task.filter) for task in two}) <= 1
    assert len(kinds) == 2


def test_columns_are_made_where_there_are_limits(photos: PhotoCache) -> None:
    limits = BatchLimits.of(MIXED, 32)
    assert limits.one_stage is not None and limits.two_stage is not None
    dataset = make(photos, limits=limits)
    assert all(len(c) == 4 for n in range(6) for c in dataset.crops(n).columns.values())
    assert all(dataset.crops(n).columns for n in range(6))
    assert not make(photos).crops(0).columns
    assert BatchLimits.of(REAL, 32).two_stage is None
