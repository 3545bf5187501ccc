"""Which patches tell the degradation."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from blindsr.upscaling.support import select_support


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(1, 120),
    width=st.integers(1, 120),
    count=st.integers(1, 24),
    patch=st.integers(1, 40),
)
def test_count_and_shape(height: int, width: int, count: int, patch: int) -> None:
    pixels = np.random.default_rng(0).random((height, width, 3), np.float32)
    support = select_support(pixels, count, patch)
    positions = max(1, height - patch + 1) * max(1, width - patch + 1)
    assert support.shape[1:] == (3, patch, patch) and 1 <= len(support) <= min(count, positions)
    if height >= 2 * patch and width >= 2 * patch and patch >= 8:
        assert len(support) == count
    assert support.flags.c_contiguous and support.dtype == np.float32
    assert (support == select_support(pixels, count, patch)).all()


def test_patches_are_of_the_image_and_differ() -> None:
    y, x = np.mgrid[0:100, 0:140].astype(np.float32)
    support = select_support(np.stack([y, x, y * 0], axis=2), 20, 32)
    corners = support[:, :2, 0, 0]
    assert len(np.unique(corners, axis=0)) == 20
    assert (support[:, 0] - corners[:, :1, None] == np.arange(32)[:, None]).all()


def test_evenly_spread() -> None:
    y, x = np.mgrid[0:200, 0:200].astype(np.float32)
    support = select_support(np.stack([y, x, y * 0], axis=2), 16, 32)
    quarters = (support[:, 0, 16, 16] > 100).astype(int) * 2 + (support[:, 1, 16, 16] > 100)
    assert np.bincount(quarters, minlength=4).tolist() == [4, 4, 4, 4]


def test_content_is_preferred_within_a_cell() -> None:
    pixels = np.full((96, 96, 3), 0.5, np.float32)
    pixels[:, 48:] = np.random.default_rng(0).random((96, 48, 3), np.float32)
    (patch,) = select_support(pixels, 1, 32)
    assert patch.std() > 0.15


def test_small_image_is_reflected() -> None:
    pixels = np.random.default_rng(0).random((8, 8, 3), np.float32)
    support = select_support(pixels, 20, 32)
    assert support.shape == (1, 3, 32, 32)
    np.testing.assert_array_equal(support[0, :, 12:20, 12:20], pixels.transpose(2, 0, 1))
    np.testing.assert_array_equal(support[0, :, 11, 12:20], pixels[1].T)
