"""The sampler of the pool: what it keeps, how often it is used, and that a step tells all of it."""

from __future__ import annotations

import numpy as np
import pytest

from blindsr.dataset import PhotoCache
from blindsr.dataset.pool import BatchLimits, PoolDataset, TaskPoolDataset, parts_of
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


def test_mixtures_of_mixtures_are_of_their_parts(photos: PhotoCache) -> None:
    nested = MixedSpace((REAL, MixedSpace((CAMERA, REAL_ESRGAN))))
    assert parts_of(nested) == (REAL, CAMERA, REAL_ESRGAN) and parts_of(REAL) == (REAL,)
    assert BatchLimits.of(nested, 32) == BatchLimits.of(MIXED, 32)
    dataset = make(photos, nested)
    groups = [dataset.crops(number).tasks for number in range(12)]
    assert all(len({type(task) for task in tasks}) == 1 for tasks in groups)
    assert len({type(tasks[0]) for tasks in groups}) == 2


def make_tasks(photos: PhotoCache, space: TaskSpace = MIXED, **changes: object) -> TaskPoolDataset:
    arguments: dict[str, object] = {"tasks": 5, "support": 3, "patch": 6, "margin": 2, "steps": 50}
    arguments |= {"group": 4, "pool": 24, "reuse": 2.0, "seed": 7} | changes
    return TaskPoolDataset(photos, space, **arguments)  # type: ignore[arg-type]


def test_a_batch_of_tasks_depends_on_seed_rank_and_step_alone(photos: PhotoCache) -> None:
    one, again = make_tasks(photos), make_tasks(photos)
    others = [make_tasks(photos, rank=1), make_tasks(photos, seed=8)]
    for step in (0, 5, 21):
        one[step + 1]  # what was asked before does not matter
        for name in ("picks", "offset", "poses", "negatives"):
            np.testing.assert_array_equal(getattr(one[step], name), getattr(again[step], name))
        for number, crops in one[step].fresh.items():
            same = again.crops(number)
            assert crops.tasks == same.tasks and crops.seeds == same.seeds
            np.testing.assert_array_equal(crops.places, same.places)
            for other in others:
                assert crops.tasks != other.crops(number).tasks
                assert not np.array_equal(crops.places, other.crops(number).places)
    steps = range(10)
    assert any(not np.array_equal(one[step].picks, other[step].picks) for other in others for step in steps)


def test_tasks_of_a_batch_are_several_and_of_several_kinds(photos: PhotoCache) -> None:
    dataset, kinds = make_tasks(photos), []
    for step in range(6, 40):
        batch = dataset[step]
        assert len(set(batch.picks)) == 5  # none is its own negative
        assert batch.negatives is not None and sorted(batch.negatives) == list(range(5))
        assert all(batch.negatives != np.arange(5))
        groups = [dataset.crops(int(number)) for number in range(*batch.kept)]
        slots = {number % 6: group for number, group in zip(range(*batch.kept), groups, strict=True)}
        kinds.append({type(slots[pick // 4].tasks[pick % 4]) for pick in batch.picks.tolist()})
    assert np.mean([len(found) > 1 for found in kinds]) > 0.7


def test_a_tasks_patches_are_two_support_sets(photos: PhotoCache) -> None:
    limits = BatchLimits.of(MIXED, 32)
    for number in range(8):
        group = make_tasks(photos, limits=limits).crops(number)
        assert group.places.shape == (4 * 6, 6) and len(group.tasks) == len(group.seeds) == 4
        assert all(len(column) == 24 for column in group.columns.values()) and group.columns
    for single, most in ((1.0, 1), (0.0, 3)):
        dataset = make_tasks(photos, single_photo=single)
        pixels = [photos.first_pixel(i) for i in range(len(photos))]
        sets = [
            len({int(np.searchsorted(pixels, first, "right")) for first in one})
            for number in range(6)
            for one in dataset.crops(number).places[:, 0].reshape(-1, 3)
        ]
        assert max(sets) == most
