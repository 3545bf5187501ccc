"""How large a result is to be."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blindsr.errors import InputError
from blindsr.picture.sizing import MAX_OUTPUT_PIXELS, OutputSize


@pytest.mark.parametrize(
    ("size", "expected", "label"),
    [
        (OutputSize(scale=2.5), (50, 75), "x2.5"),
        (OutputSize(scale=3), (60, 90), "x3"),
        (OutputSize(scale=0.001), (1, 1), "x0.001"),
        (OutputSize(width=100), (67, 100), "100w"),
        (OutputSize(height=100), (100, 150), "100h"),
        (OutputSize(fit=(300, 300)), (200, 300), "300x300"),
        (OutputSize(fit=(3840, 100)), (100, 150), "3840x100"),
        (OutputSize(fit=(15, 15)), (10, 15), "15x15"),
    ],
)
def test_sizes(size: OutputSize, expected: tuple[int, int], label: str) -> None:
    assert size.of(20, 30) == expected
    assert size.label == label


@given(st.integers(1, 5000), st.integers(1, 5000), st.tuples(st.integers(1, 9000), st.integers(1, 9000)))
def test_fit_lies_within_and_touches(height: int, width: int, box: tuple[int, int]) -> None:
    rows, columns = OutputSize(fit=box).of(height, width)
    assert 1 <= rows <= box[1] and 1 <= columns <= box[0]
    assert rows == box[1] or columns == box[0]
    assert abs(rows * width / height - columns) <= 0.51 + 0.51 * width / height or 1 in (rows, columns)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"scale": 2.0, "width": 10},
        {"height": 10, "fit": (1, 1)},
        {"scale": 0.0},
        {"scale": -1.0},
        {"scale": float("nan")},
        {"scale": float("inf")},
        {"width": 0},
        {"height": -5},
        {"fit": (10, 0)},
    ],
)
def test_impossible_sizes(options: dict[str, Any]) -> None:
    with pytest.raises(InputError) as caught:
        OutputSize(**options)
    assert all(name in str(caught.value) for name in options)


@pytest.mark.parametrize("text", ["", "3840", "3840x", "x2160", "a x b", "1x2x3", "-1x5", "3840*2160", "²x3"])
def test_text_that_is_no_box(text: str) -> None:
    with pytest.raises(InputError, match="WIDTHxHEIGHT"):
        OutputSize.parse_fit(text)


def test_a_box_in_text() -> None:
    assert OutputSize.parse_fit("3840X2160") == OutputSize(fit=(3840, 2160))


@pytest.mark.parametrize("size", [OutputSize(scale=1e300), OutputSize(width=10**9), OutputSize(scale=1e4)])
def test_more_than_a_result_may_have(size: OutputSize) -> None:
    with pytest.raises(InputError, match="ask for less"):
        size.of(20, 30)
    assert OutputSize(width=1 << 15).of(1, 1) == (1 << 15, 1 << 15)
    assert MAX_OUTPUT_PIXELS == 2 * (1 << 15) ** 2
