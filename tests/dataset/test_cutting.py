"""Crops cut on the training device: against cutting them one by one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from blindsr.dataset import PhotoCache
from blindsr.dataset.crops import Crop, draw_places
from blindsr.dataset.cutting import Cutter, cut_patches
from blindsr.degradation import resize


def test_crops_are_those_of_the_photos_one_by_one(photos: PhotoCache) -> None:
    chosen = [0, 3, 1, 2, 3, 0, 1, 2] * 4
    places = draw_places(photos, chosen, 24, np.random.default_rng(5))
    crops = Cutter(photos, 24)(torch.tensor(places))
    assert crops.shape == (32, 3, 24, 24) and crops.dtype == torch.float32
    rng = np.random.default_rng(5)
    poses = set()
    for photo, crop in zip(chosen, crops.numpy(), strict=True):
        drawn = Crop.draw(photos.shape(photo), 24, rng)
        np.testing.assert_array_equal(np.rint(crop * 255), drawn.cut(photos[photo]))
        poses.add((drawn.mirrored, drawn.flipped, drawn.transposed))
    assert len(poses) > 5


def test_what_is_drawn_larger_is_shrunk_like_a_photo(photos: PhotoCache) -> None:
    chosen = [0, 1, 2, 3] * 8
    rng = np.random.default_rng(2)
    places = draw_places(photos, chosen, 16, rng, shrink=0.4)
    sides = {side for _, _, side, *_ in places}
    assert min(sides) < 20 < 35 < max(sides) <= 40
    crops = Cutter(photos, 16, shrink=0.4)(torch.tensor(places))
    rng = np.random.default_rng(2)
    for photo, crop in zip(chosen, crops, strict=True):
        side = int(rng.integers(16, 41))
        cut = Crop.draw(photos.shape(photo), side, rng).cut(photos[photo])
        whole = np.ascontiguousarray(cut[None], np.float32) / 255
        expected = np.rint((resize(whole, (16, 16))[0] * 255).clip(0, 255))
        difference = np.abs(crop.numpy() * 255 - expected)
        assert difference.max() <= 1.001 and (difference > 0.5).mean() < 1e-3  # halves, at most


def test_a_photo_that_is_too_small_is_cut_as_large_as_it_is(photos: PhotoCache) -> None:
    places = draw_places(photos, [0] * 40, 50, np.random.default_rng(0), shrink=0.25)
    assert {side for _, _, side, *_ in places} <= set(range(50, 61))  # the photos are 60 high
    assert torch.isfinite(Cutter(photos, 50, 0.25)(torch.tensor(places))).all()


@pytest.mark.parametrize("channels", [1, 3])
def test_patches_are_cut_each_at_its_place(channels: int) -> None:
    images = torch.arange(4 * channels * 10 * 12, dtype=torch.float32).view(4, channels, 10, 12)
    offset = torch.tensor([[0, 0], [4, 6], [2, 1], [3, 5]])
    for image, patch, (top, left) in zip(
        images, cut_patches(images, offset, 6), offset.tolist(), strict=True
    ):
        assert torch.equal(patch, image[:, top : top + 6, left : left + 6])
