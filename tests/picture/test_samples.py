"""Samples come back as they were put, from memory and from disk, upright and in any window."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from blindsr.picture.samples import Coverage, Samples


def upright(stored: NDArray[Any], orientation: int) -> NDArray[Any]:
    """What EXIF 2.32 says (4.6.4, Orientation): where row 0 and column 0 of the stored picture are seen."""
    return {
        1: stored,
        2: stored[:, ::-1],  # row 0 at the top, column 0 at the right
        3: stored[::-1, ::-1],
        4: stored[::-1],
        5: stored.transpose(1, 0, 2),
        6: np.rot90(stored, -1),  # row 0 at the right, column 0 at the top
        7: np.rot90(stored, 2).transpose(1, 0, 2),
        8: np.rot90(stored),  # row 0 at the left, column 0 at the bottom
    }[orientation]


@settings(max_examples=80, deadline=None)
@given(
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    bands=st.integers(1, 5),
    dtype=st.sampled_from(["u1", "u2", "u4", "f4", "f8"]),
    orientation=st.integers(1, 8),
    most=st.sampled_from([None, 0]),
    draw=st.randoms(use_true_random=False),
)
def test_any_window_of_what_was_put(
    height: int, width: int, bands: int, dtype: str, orientation: int, most: int | None, draw: Any
) -> None:
    stored = np.arange(height * width * bands).reshape(height, width, bands).astype(dtype)
    samples = Samples(height, width, bands, np.dtype(dtype), most, orientation=orientation)
    assert (samples.in_memory is None) == (most == 0)
    for top in range(0, height, 3):  # in boxes, not in order
        for left in reversed(range(0, width, 4)):
            samples.put(top, left, stored[top : top + 3, left : left + 4])
    expected = upright(stored, orientation)
    assert (samples.height, samples.width) == expected.shape[:2]
    rows, columns = (
        slice(*sorted(draw.sample(range(side + 1), 2))) for side in (samples.height, samples.width)
    )
    np.testing.assert_array_equal(samples.window(rows, columns), expected[rows, columns])
    whole = np.concatenate([part for _, part in samples.chunks()])
    np.testing.assert_array_equal(whole, expected)
    samples.close()


@pytest.mark.parametrize(("bands", "dtype"), [(1, "u1"), (2, "u2"), (3, "u1"), (4, "u2"), (3, "u2")])
def test_the_file_on_disk_is_a_tiff(bands: int, dtype: str) -> None:
    import pyvips

    levels = np.random.default_rng(0).integers(0, 250, (700, 900, bands)).astype(dtype)  # several strips
    samples = Samples(700, 900, bands, np.dtype(dtype), 0)
    samples.put(0, 0, levels)
    file = samples.as_tiff
    assert file is not None
    source = pyvips.Source.new_from_descriptor(file.fileno())
    image = pyvips.Image.new_from_source(source, "", access="sequential")
    np.testing.assert_array_equal(image.numpy().reshape(levels.shape), levels)
    samples.close()


def test_nothing_is_left_on_disk(tmp_path: Path) -> None:
    samples = Samples(40, 40, 3, np.dtype("u1"), 100, tmp_path)
    samples.put(0, 0, np.zeros((40, 40, 3), np.uint8))
    samples.close()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(OSError, match="No such file"):
        Samples(40, 40, 3, np.dtype("u1"), 100, tmp_path / "absent")


class TestCoverage:
    """What was never stored is noticed, wherever it lies."""

    @settings(max_examples=150, deadline=None)
    @given(
        boxes=st.lists(st.tuples(*[st.integers(0, 6)] * 2, *[st.integers(0, 4)] * 2), max_size=12),
        whole=st.booleans(),
    )
    def test_the_first_gap(self, boxes: list[tuple[int, int, int, int]], whole: bool) -> None:
        """Against a mask of every pixel; boxes may overlap and be empty."""
        coverage, mask = Coverage(6, 6), np.zeros((6, 6), bool)
        for top, left, height, width in [*boxes, *([(0, 0, 6, 6)] if whole else [])]:
            height, width = min(height, 6 - top), min(width, 6 - left)
            coverage.add(top, left, height, width)
            mask[top : top + height, left : left + width] = True
        gaps = np.argwhere(~mask)
        assert coverage.gap() == (tuple(gaps[0]) if len(gaps) else None)
        assert coverage.gap() == (tuple(gaps[0]) if len(gaps) else None), "asking changes nothing"

    @pytest.mark.parametrize("box", [(-1, 0, 2, 2), (0, -1, 2, 2), (5, 0, 2, 2), (0, 5, 2, 2)])
    def test_a_box_beyond_the_picture(self, box: tuple[int, int, int, int]) -> None:
        with pytest.raises(ValueError, match="leaves a picture of 6x6"):
            Coverage(6, 6).add(*box)

    @pytest.mark.parametrize("most", [None, 0])
    def test_samples_that_were_never_put(self, most: int | None, tmp_path: Path) -> None:
        samples = Samples(10, 12, 3, np.dtype("u1"), most, tmp_path)
        samples.put(0, 0, np.ones((4, 12, 3), np.uint8))
        samples.put(4, 0, np.ones((6, 7, 3), np.uint8))
        for read in (
            lambda: samples.window(slice(0, 2), slice(0, 2)),
            lambda: next(samples.chunks()),
            lambda: samples.as_tiff,
        ):
            with pytest.raises(ValueError, match="no sample was ever stored at row 4, column 7"):
                read()
        samples.put(4, 6, np.ones((6, 6, 3), np.uint8))
        assert (samples.window(slice(0, 10), slice(0, 12)) == 1).all()
        samples.close()

    @pytest.mark.parametrize("shape", [(4, 4), (4, 4, 1), (4, 4, 4)])
    def test_a_block_of_other_channels(self, shape: tuple[int, ...]) -> None:
        samples = Samples(4, 4, 3, np.dtype("u1"))
        with pytest.raises(ValueError, match=r"where \(h, w, 3\) is stored"):
            samples.put(0, 0, np.ones(shape, np.uint8))
