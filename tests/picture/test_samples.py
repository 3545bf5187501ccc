"""Samples come back as they were put, from memory and from disk, upright and in any window."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from blindsr.picture.samples import Samples


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
