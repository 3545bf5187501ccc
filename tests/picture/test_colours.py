"""What a network sees where a picture is transparent, whole and window by window."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blindsr.picture import Picture
from blindsr.picture.colours import Colours

from ..conftest import made_photo


def whole(picture: Picture) -> np.ndarray:
    return Colours(picture).window(slice(0, picture.height), slice(0, picture.width))


@settings(max_examples=40, deadline=None)
@given(height=st.integers(1, 60), width=st.integers(1, 60), draw=st.randoms(use_true_random=False))
def test_any_window_is_a_part_of_the_whole(height: int, width: int, draw: object) -> None:
    rng = np.random.default_rng(height * 61 + width)
    alpha = (rng.random((height, width)) * 3 - 1).clip(0, 1).astype(np.float32)
    alpha[: height // 2, : width // 2] = 0
    picture = Picture(rng.random((height, width, 3), np.float32), alpha=alpha)
    expected = whole(picture)
    colours = Colours(picture)
    for _ in range(4):
        rows, columns = (slice(*sorted(draw.sample(range(side + 1), 2))) for side in (height, width))  # type: ignore[attr-defined]
        np.testing.assert_array_equal(colours.window(rows, columns), expected[rows, columns])


def test_what_it_was_cut_from_is_not_seen_at_its_edge() -> None:
    """A dark disc cut from white: its soft edge holds white, which must not shine around it."""
    radius = np.hypot(*np.mgrid[-30:30, -30:30])
    alpha = (20.5 - radius).clip(0, 1).astype(np.float32)
    for _ in range(2):  # a soft edge, three pixels wide
        alpha = (
            np.roll(alpha, 1, 0) + np.roll(alpha, -1, 0) + np.roll(alpha, 1, 1) + np.roll(alpha, -1, 1)
        ) / 4
    pixels = np.where(alpha[:, :, None] == 1, 0.2, 1 - 0.8 * alpha[:, :, None]).repeat(3, axis=2)
    seen = whole(Picture(pixels.astype(np.float32), alpha=alpha))
    edge = (alpha > 0) & (alpha < 0.4)
    assert pixels[edge].mean() > 0.8 and seen[edge].mean() < 0.6
    assert (seen[alpha == 1] == pixels[alpha == 1].astype(np.float32)).all(), "the inside stays"


@pytest.mark.parametrize("opacity", [1.0, 0.5, 0.0])
def test_the_same_opacity_everywhere_changes_nothing(opacity: float) -> None:
    pixels = made_photo(30, 40).astype(np.float32) / 255
    picture = Picture(pixels, alpha=np.full((30, 40), opacity, np.float32))
    np.testing.assert_array_equal(whole(picture), pixels)
    assert Colours(picture).opacity == opacity


def test_inside_a_half_transparent_shape_colours_stay() -> None:
    pixels = made_photo(40, 40).astype(np.float32) / 255
    alpha = np.zeros((40, 40), np.float32)
    alpha[8:32, 8:32] = 0.5
    seen = whole(Picture(pixels, alpha=alpha))
    np.testing.assert_array_equal(seen[8:32, 8:32], pixels[8:32, 8:32])
    assert not (seen[:8] == pixels[:8]).all()
