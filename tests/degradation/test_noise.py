"""Noise: its statistics, its independence, and that a seed means the same everywhere."""

from __future__ import annotations

import hashlib
import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from blindsr.degradation import gaussian_noise, poisson_noise
from blindsr.errors import InputError

FLAT = np.zeros((1, 3, 256, 256), np.float32)
N = FLAT.size


@pytest.fixture(scope="module")
def normal() -> NDArray[np.float64]:
    """196,608 numbers that should be standard normal."""
    return gaussian_noise(FLAT, 255, seed=11)[0].astype(np.float64)


def test_moments(normal: NDArray[np.float64]) -> None:
    # Five standard errors each: 1/sqrt(n), 1/sqrt(2n), sqrt(6/n), sqrt(24/n).
    assert abs(normal.mean()) < 5 / np.sqrt(N)
    assert abs(normal.std() - 1) < 5 / np.sqrt(2 * N)
    assert abs((normal**3).mean()) < 5 * np.sqrt(15 / N)
    assert abs((normal**4).mean() / normal.var() ** 2 - 3) < 5 * np.sqrt(24 / N)


def test_distribution_function(normal: NDArray[np.float64]) -> None:
    """Kolmogorov-Smirnov distance to the normal distribution, at the 0.1 % level."""
    ordered = torch.from_numpy(np.sort(normal.ravel()))
    expected = torch.special.ndtr(ordered)
    steps = torch.arange(1, N + 1) / N
    assert float((steps - expected).abs().max()) < 1.95 / np.sqrt(N)


def test_no_correlation_within_an_image(normal: NDArray[np.float64]) -> None:
    for values in (normal, normal**2 - 1):
        spread = values.var()
        for dy, dx in ((0, 1), (1, 0), (1, 1), (0, 2), (2, 0), (0, 16), (64, 0), (0, 128), (128, 128)):
            product = values[:, dy:, dx:] * values[:, : 256 - dy, : 256 - dx]
            assert abs(product.mean()) < 5 * spread / np.sqrt(product.size)
        assert abs((values[0] * values[1]).mean()) < 5 * spread / 256
        assert abs((values[1] * values[2]).mean()) < 5 * spread / 256


def test_flat_spectrum(normal: NDArray[np.float64]) -> None:
    """White: each sixteenth of the frequencies holds its share of the power."""
    power = np.abs(np.fft.rfft(normal.reshape(-1)))[1:] ** 2 / N
    means = power[: len(power) // 16 * 16].reshape(16, -1).mean(axis=1)
    assert np.abs(means - 1).max() < 5 / np.sqrt(len(power) / 16)


def test_seeds_images_and_kinds_are_independent() -> None:
    white = np.ones_like(FLAT)
    drawn = [gaussian_noise(white, 255, seed=seed)[0] - 1 for seed in (0, 1, 2, 2**32, -1, 10**30)]
    drawn.append(gaussian_noise(np.concatenate([white, white]), 255, seed=0)[1] - 1)
    drawn.append(poisson_noise(white, 255, seed=0)[0] - 1)
    correlation = np.corrcoef([noise.ravel() for noise in drawn])
    assert np.abs(correlation - np.eye(len(drawn))).max() < 5 / np.sqrt(N)


def test_image_of_a_batch_can_be_made_alone(batch: NDArray[np.float32]) -> None:
    for operator in (gaussian_noise, poisson_noise):
        together = operator(batch, 20, 9)
        np.testing.assert_array_equal(operator(batch, 20, 9), together)
        for i in range(3):
            np.testing.assert_array_equal(operator(batch[i : i + 1], 20, 9, first_item=i)[0], together[i])


def mix(word: int) -> int:
    """The hash in unbounded integers, against the wrapping signed words of the operators."""
    word = (word ^ (word >> 16)) * 0x7FEB352D % 2**32
    word = (word ^ (word >> 15)) * 0x846CA68B % 2**32
    return word ^ (word >> 16)


def test_known_numbers() -> None:
    """Seeds must mean the same in later versions, or published test sets could not be made again."""
    noise = gaussian_noise(np.zeros((2, 3, 5, 7), np.float32), 255, seed=1)
    for image in range(2):
        digest = hashlib.blake2b(f"gaussian/1/{image}".encode(), digest_size=12).digest()
        key = [int.from_bytes(digest[i : i + 4], "little") for i in (0, 4, 8)]
        for element, value in enumerate(noise[image].ravel()):
            radial = mix(mix(element ^ key[0]) ^ key[1])
            angle = 2 * math.pi * (mix(radial ^ key[2]) >> 9) / 2**23
            expected = math.sqrt(-2 * math.log(((radial >> 9) + 0.5) / 2**23)) * math.cos(angle)
            assert value == pytest.approx(expected, abs=3e-6)
    start = [0.190913, 0.518094, -0.663694, 1.778616]
    np.testing.assert_allclose(noise.ravel()[:4], start, atol=3e-6)


def test_gray_noise_is_the_same_in_all_channels(batch: NDArray[np.float32]) -> None:
    for operator in (gaussian_noise, poisson_noise):
        noise = operator(batch, 30, 2, gray=True) - batch
        assert np.abs(noise).max() > 0.1
        np.testing.assert_allclose(noise[:, 1], noise[:, 0], atol=1e-6)
        np.testing.assert_allclose(noise[:, 2], noise[:, 0], atol=1e-6)


@pytest.mark.parametrize("level", [0.0, 0.1, 0.5, 1.0])
def test_poisson_variance_is_proportional_to_brightness(level: float) -> None:
    noise = poisson_noise(np.full_like(FLAT, level), 51, seed=3).astype(np.float64) - level
    assert noise.var() == pytest.approx(level * 0.2**2, rel=5 * np.sqrt(2 / N), abs=1e-12)


def test_poisson_leaves_what_is_below_black_alone() -> None:
    below = np.full_like(FLAT, -0.25)
    np.testing.assert_array_equal(poisson_noise(below, 50, seed=1), below)


def test_zero_noise_changes_nothing_and_negative_is_refused(batch: NDArray[np.float32]) -> None:
    for operator in (gaussian_noise, poisson_noise):
        np.testing.assert_array_equal(operator(batch, 0, 1), batch)
        for level in (-1.0, float("nan")):
            with pytest.raises(InputError, match="levels of 255"):
                operator(batch, level, 1)
