"""The task sampler: shapes, one degradation a task, and batches that depend on (seed, rank, step) alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from blindsr.dataset import PhotoCache, TaskDataset
from blindsr.degradation import REAL
from blindsr.errors import InputError

Cut = Callable[..., NDArray[np.int64]]


def make(photos: PhotoCache, **changes: object) -> TaskDataset:
    arguments = {"tasks": 3, "support": 5, "patch": 6, "margin": 2, "steps": 50, "seed": 7} | changes
    return TaskDataset(photos, REAL, **arguments)  # type: ignore[arg-type]


def test_a_batch_has_its_shapes(photos: PhotoCache) -> None:
    dataset = make(photos)
    assert len(dataset) == 50
    batch = dataset[4]
    assert batch.places.shape == (3, 10, 6)
    assert len(batch.degradations) == len(batch.seeds) == 3
    assert batch.offset.shape == (3, 2)
    assert "step 4" in str(batch)
    assert all(str(d) in str(batch) for d in batch.degradations)


def test_a_batch_depends_on_seed_rank_and_step_alone(photos: PhotoCache) -> None:
    again, other_rank = make(photos), make(photos, rank=1)
    dataset = make(photos)
    for step in (0, 3):
        dataset[step + 1]  # what was asked before does not matter
        np.testing.assert_array_equal(dataset[step].places, again[step].places)
        assert dataset[step].degradations == again[step].degradations
        assert dataset[step].seeds == again[step].seeds
        assert dataset[step].seeds != other_rank[step].seeds
        assert not np.array_equal(dataset[step].places, other_rank[step].places)
    assert dataset[0].degradations != dataset[1].degradations


def test_patches_are_crops_flipped_and_transposed(photos: PhotoCache, cut: Cut) -> None:
    """Within a patch the two ramps run along the two axes, each up or down: 8 poses, and all occur."""
    poses = set()
    for step in range(10):
        for patch in cut(photos, make(photos)[step].places, 32).reshape(-1, 3, 32, 32):
            assert np.ptp(patch[0]) == 0  # one photo
            dx, dy = patch[1], patch[2]
            along_columns = dx[0, 1] != dx[0, 0]
            if not along_columns:
                dx, dy = dx.T, dy.T
            steps = dx[0, 1] - dx[0, 0], dy[1, 0] - dy[0, 0]
            assert set(map(abs, steps)) == {1}
            np.testing.assert_array_equal(dx, dx[:1] + 0 * dx)
            poses.add((bool(along_columns), *map(int, steps)))
    assert len(poses) == 8


@pytest.mark.parametrize(("share", "many"), [(1.0, False), (0.0, True)])
def test_support_sets_from_one_photo_or_many(photos: PhotoCache, cut: Cut, share: float, many: bool) -> None:
    batch = make(photos, single_photo=share)[0]
    hr = cut(photos, batch.places, 32)
    sources = [len(np.unique(half[:, 0])) for task in hr for half in (task[:5], task[5:])]
    assert (max(sources) > 1) == many


@pytest.mark.parametrize("together", [False, True])
def test_both_sets_of_a_task_from_one_photo(photos: PhotoCache, cut: Cut, together: bool) -> None:
    dataset = make(photos, single_photo=1.0, photo_a_task=together)
    sources = [
        [len(np.unique(part[:, 0])) for part in (task, task[:5], task[5:])]
        for step in range(4)
        for task in cut(photos, dataset[step].places, 32)
    ]
    assert all(first == second == 1 for _, first, second in sources)
    assert (max(both for both, _, _ in sources) == 1) == together


def test_negatives_are_a_derangement_and_offsets_stay_in_the_margin(photos: PhotoCache) -> None:
    for tasks in (2, 5):
        dataset = make(photos, tasks=tasks)
        for step in range(20):
            batch = dataset[step]
            assert sorted(batch.negatives) == list(range(tasks))
            assert all(batch.negatives != np.arange(tasks))
            assert batch.offset.min() >= 0
            assert batch.offset.max() <= 2


def test_neighbours_differ_in_one_factor_alone_and_are_each_others_negative(photos: PhotoCache) -> None:
    dataset = make(photos, tasks=4, neighbours=1.0)
    factors = {
        "blur": ("sigma_x", "sigma_y", "angle", "kernel_size"),
        "noise": ("noise", "poisson", "gray_noise", "noise_scale"),
        "jpeg": ("jpeg",),
    }
    seen = set()
    for step in range(12):
        batch = dataset[step]
        np.testing.assert_array_equal(batch.negatives, [1, 0, 3, 2])
        for first, second in (batch.degradations[:2], batch.degradations[2:]):
            changed = {
                factor
                for factor, fields in factors.items()
                if any(getattr(first, name) != getattr(second, name) for name in fields)
            }
            assert len(changed) == 1
            seen |= changed
    assert seen == set(factors)


def test_only_a_share_of_the_batches_is_paired(photos: PhotoCache) -> None:
    dataset = make(photos, tasks=4, neighbours=0.5)
    paired = [bool((dataset[step].negatives == [1, 0, 3, 2]).all()) for step in range(40)]
    assert 8 < sum(paired) < 32


def test_pairs_need_an_even_number_of_tasks(photos: PhotoCache) -> None:
    with pytest.raises(InputError, match="even number"):
        make(photos, tasks=3, neighbours=0.5)
