"""Blur: the kernel against its formula, the operator against a correlation written out."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from blindsr.degradation import blur, gaussian_kernel
from blindsr.degradation.blur import kernel_terms
from blindsr.errors import InputError


def correlate(x: NDArray[np.float32], kernel: NDArray[np.floating]) -> NDArray[np.float64]:
    """Correlation under reflection, tap by tap; np.pad reflects as often as needed."""
    down, across = kernel.shape[0] // 2, kernel.shape[1] // 2
    padded = np.pad(x.astype(np.float64), ((0, 0), (0, 0), (down, down), (across, across)), mode="reflect")
    height, width = x.shape[2:]
    result = np.zeros(x.shape)
    for i, j in np.ndindex(kernel.shape):
        result += kernel[i, j] * padded[:, :, i : i + height, j : j + width]
    return result


@pytest.mark.parametrize("angle", [0.0, 0.4, math.pi / 2])
def test_kernel_has_the_moments_asked_for(angle: float) -> None:
    kernel = gaussian_kernel(3.0, 1.5, angle, 41)
    y, x = np.mgrid[-20:21, -20:21]
    direction = np.array([math.cos(angle), math.sin(angle)])
    normal = np.array([-math.sin(angle), math.cos(angle)])
    expected = 9 * np.outer(direction, direction) + 2.25 * np.outer(normal, normal)
    measured = [[(kernel * a * b).sum() for b in (x, y)] for a in (x, y)]
    assert kernel.sum() == pytest.approx(1, abs=1e-12)
    np.testing.assert_allclose(measured, expected, rtol=1e-3, atol=1e-6)


def test_isotropic_kernel_does_not_depend_on_the_angle() -> None:
    np.testing.assert_allclose(gaussian_kernel(2, 2, 0.7, 15), gaussian_kernel(2, 2, 0, 15), atol=1e-15)


def test_known_kernel() -> None:
    edge = math.exp(-0.5)
    expected = np.outer([edge, 1, edge], [edge, 1, edge])
    np.testing.assert_allclose(gaussian_kernel(1, 1, 0, 3), expected / expected.sum(), atol=1e-15)


@pytest.mark.parametrize(
    "arguments", [(0, 1, 0, 15), (1, -1, 0, 15), (math.nan, 1, 0, 15), (1, 1, 0, 4), (1, 1, 0, 0)]
)
def test_impossible_kernels_are_refused(arguments: tuple[float, float, float, int]) -> None:
    with pytest.raises(InputError):
        gaussian_kernel(*arguments)


@settings(max_examples=30, deadline=None)
@given(
    st.floats(0.2, 4),
    st.floats(0.2, 4),
    st.floats(0, math.pi),
    st.sampled_from([1, 3, 7, 15, 21]),
    st.integers(1, 24),
    st.integers(1, 24),
)
def test_blur_is_the_correlation(
    sx: float, sy: float, angle: float, size: int, height: int, width: int
) -> None:
    x = np.random.default_rng(height * 100 + width).random((2, 3, height, width), dtype=np.float32)
    kernel = gaussian_kernel(sx, sy, angle, size)
    np.testing.assert_allclose(blur(x, kernel), correlate(x, kernel), atol=3e-6)


def test_any_kernel_is_a_correlation_and_not_a_convolution(batch: NDArray[np.float32]) -> None:
    kernel = np.random.default_rng(1).random((5, 9))
    kernel /= kernel.sum()
    np.testing.assert_allclose(blur(batch, kernel), correlate(batch, kernel), atol=3e-6)


def test_large_images_are_no_different() -> None:
    """Larger than the blocks that matrices are cut into."""
    x = np.random.default_rng(2).random((1, 1, 300, 270), dtype=np.float32)
    kernel = gaussian_kernel(3, 1, 0.5, 15)
    np.testing.assert_allclose(blur(x, kernel), correlate(x, kernel), atol=3e-6)


def test_isotropic_blur_is_one_product() -> None:
    rows, columns = kernel_terms(gaussian_kernel(2.6, 2.6, 0, 15))
    assert rows.shape == columns.shape == (1, 15)


@pytest.mark.parametrize("kernel", [np.ones((4, 3)), np.ones(3), np.full((3, 3), np.nan)])
def test_impossible_blurs_are_refused(kernel: NDArray[np.float64], batch: NDArray[np.float32]) -> None:
    with pytest.raises(InputError, match="a blur kernel must be"):
        blur(batch, kernel)
