"""Resizing piece by piece is resizing whole."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blindsr.degradation import resize
from blindsr.picture.resampling import Axis


@settings(max_examples=60, deadline=None)
@given(length=st.integers(1, 90), out=st.integers(1, 400), cuts=st.lists(st.integers(1, 89), max_size=4))
def test_the_shares_of_pieces_add_up_to_the_whole(length: int, out: int, cuts: list[int]) -> None:
    axis = Axis(length, out)
    line = np.random.default_rng(length).random((2, length), np.float32)
    whole = axis.apply(line, (0, length), (0, out))
    total = np.zeros_like(whole)
    ends = sorted({0, length, *(cut for cut in cuts if cut < length)})
    for start, stop in pairwise(ends):
        reached = axis.reached(start, stop)
        total[:, slice(*reached)] += axis.apply(line[:, start:stop], (start, stop), reached)
    np.testing.assert_allclose(total, whole, atol=1e-5)


@settings(max_examples=60, deadline=None)
@given(
    length=st.integers(1, 90),
    out=st.integers(1, 400),
    part=st.tuples(st.integers(0, 399), st.integers(1, 60)),
)
def test_a_stretch_needs_only_what_it_says(length: int, out: int, part: tuple[int, int]) -> None:
    axis = Axis(length, out)
    start = min(part[0], out - 1)
    stop = min(start + part[1], out)
    line = np.random.default_rng(out).random((1, length), np.float32)
    needed = axis.needed(start, stop)
    stretch = axis.apply(line[:, slice(*needed)], needed, (start, stop))
    np.testing.assert_allclose(stretch, axis.apply(line, (0, length), (0, out))[:, start:stop], atol=1e-6)


@pytest.mark.parametrize("out", [20, 33, 90, 600])
def test_enlarging_is_cubic_as_in_the_degradations(out: int) -> None:
    line = np.random.default_rng(0).random((1, 1, 20, 1), np.float32)
    expected = resize(line, (out, 1))[0, 0, :, 0]
    np.testing.assert_allclose(Axis(20, out).apply(line[0, 0].T, (0, 20), (0, out))[0], expected, atol=2e-6)


@pytest.mark.parametrize(("length", "out"), [(100, 40), (90, 77), (64, 3), (300, 299)])
def test_shrinking_keeps_constants_means_and_places(length: int, out: int) -> None:
    axis = Axis(length, out)
    lines = np.stack([np.full(length, 0.7), np.arange(length) / length]).astype(np.float32)
    flat, ramp = axis.apply(lines, (0, length), (0, out))
    np.testing.assert_allclose(flat, 0.7, atol=1e-5)
    places = ((np.arange(out) + 0.5) * length / out - 0.5) / length
    inner = slice(min(4, out // 2), max(out - 4, out // 2 + 1))
    np.testing.assert_allclose(ramp[inner], places[inner], atol=2e-3)


def test_what_the_shrunk_line_cannot_hold_is_gone() -> None:
    """A wave of three pixels, shrunk four times, would be an alias of another wave: it must vanish."""
    wave = np.cos(2 * np.pi * np.arange(240) / 3).astype(np.float32)[None]
    shrunk = Axis(240, 60).apply(wave, (0, 240), (0, 60))
    assert np.abs(shrunk[:, 5:-5]).max() < 0.02
    slow = np.cos(2 * np.pi * np.arange(240) / 40).astype(np.float32)[None]
    assert np.abs(Axis(240, 60).apply(slow, (0, 240), (0, 60))).max() > 0.95
