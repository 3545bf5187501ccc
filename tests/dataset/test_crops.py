"""Crops: where they are cut, and the sampler of HR crops that each have a degradation of their own."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from blindsr.dataset import CropDataset, PhotoCache
from blindsr.dataset.crops import Crop
from blindsr.degradation import REAL, Degradation
from blindsr.errors import InputError

Cut = Callable[..., NDArray[np.int64]]


def make(photos: PhotoCache, **changes: int) -> CropDataset[Degradation]:
    arguments = {"batch": 6, "patch": 6, "margin": 2, "steps": 50, "seed": 7} | changes
    return CropDataset(photos, REAL, **arguments)  # type: ignore[arg-type]


def test_every_place_and_pose_is_drawn() -> None:
    rng = np.random.default_rng(0)
    crops = [Crop.draw((5, 7), 4, rng) for _ in range(2000)]
    assert {(c.top, c.left) for c in crops} == {(top, left) for top in range(2) for left in range(4)}
    assert len({(c.mirrored, c.flipped, c.transposed) for c in crops}) == 8


@pytest.mark.parametrize("pose", [(m, f, t) for m in (0, 1) for f in (0, 1) for t in (0, 1)])
def test_a_crop_cuts_both_sides_of_a_pair_alike(pose: tuple[int, int, int]) -> None:
    lr = np.random.default_rng(1).integers(0, 256, (9, 11, 3), np.uint8)
    hr = lr.repeat(3, axis=0).repeat(3, axis=1)
    crop = Crop(2, 4, 5, *map(bool, pose))
    small, large = crop.cut(lr), crop.cut(hr, 3)
    assert small.shape == (3, 5, 5) and large.shape == (3, 15, 15)
    np.testing.assert_array_equal(small.repeat(3, axis=1).repeat(3, axis=2), large)


def test_a_batch_has_its_shapes(photos: PhotoCache) -> None:
    dataset = make(photos)
    assert len(dataset) == 50
    batch = dataset[4]
    assert batch.places.shape == (6, 6)
    assert len(batch.tasks) == len(batch.seeds) == 6
    assert len(set(batch.tasks)) == len(set(batch.seeds)) == 6
    assert batch.offset.shape == (6, 2)
    assert "step 4" in str(batch)
    assert all(f"{t} (seed {s})" in str(batch) for t, s in zip(batch.tasks, batch.seeds, strict=True))


def test_crops_come_from_all_photos_and_are_whole(photos: PhotoCache, cut: Cut) -> None:
    seen = set()
    for step in range(10):
        batch = make(photos)[step]
        for crop in cut(photos, batch.places, 32):
            assert np.ptp(crop[0]) == 0 and np.ptp(crop[1]) == np.ptp(crop[2]) == 31
            seen.add(int(crop[0, 0, 0]))
        assert batch.offset.min() >= 0 and batch.offset.max() <= 2
    assert seen == {0, 50, 100, 150}


def test_a_batch_depends_on_seed_rank_and_step_alone(photos: PhotoCache) -> None:
    dataset, again = make(photos), make(photos)
    others = [make(photos, rank=1), make(photos, seed=8)]
    for step in (0, 3):
        dataset[step + 1]  # what was asked before does not matter
        for name in ("places", "offset"):
            np.testing.assert_array_equal(getattr(dataset[step], name), getattr(again[step], name))
        assert (dataset[step].tasks, dataset[step].seeds) == (again[step].tasks, again[step].seeds)
        for other in others:
            assert other[step].tasks != dataset[step].tasks and other[step].seeds != dataset[step].seeds
            assert not np.array_equal(other[step].places, dataset[step].places)
    assert dataset[0].tasks != dataset[1].tasks


def test_a_group_shares_its_task_and_seed_but_not_its_places(photos: PhotoCache) -> None:
    batch = make(photos, group=3)[0]
    for shared in (batch.tasks, batch.seeds):
        assert shared[0] == shared[1] == shared[2] != shared[3] == shared[4] == shared[5]
    assert len({tuple(place) for place in batch.places}) == 6
    assert str(batch).count("seed") == 2


@pytest.mark.parametrize("group", [4, 0, 7])
def test_a_batch_is_made_of_whole_groups(photos: PhotoCache, group: int) -> None:
    with pytest.raises(InputError, match="whole groups"):
        make(photos, group=group)
