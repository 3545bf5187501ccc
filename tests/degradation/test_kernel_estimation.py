"""Kernels found in photos: near to those the photos were made with, and nearer than any fixed guess."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from blindsr.degradation import Injection, InjectionBank, degrade, estimate_kernel, jpeg
from blindsr.degradation.blur import elliptic_form
from blindsr.errors import InputError
from blindsr.picture.resampling import cubic

# Standard deviations in LR pixels, and degrees.
ELLIPSES = [(0.8, 0.4, 30), (0.9, 0.7, 0), (0.9, 0.35, 120), (0.5, 0.4, 75)]


def ellipse(scale: int, sigma_x: float, sigma_y: float, degrees: float) -> NDArray[np.float64]:
    form = elliptic_form(scale * sigma_x, scale * sigma_y, math.radians(degrees), 8 * scale + scale % 2)
    kernel = np.exp(-form / 2)
    return np.asarray(kernel / kernel.sum())


def shrink(scene: NDArray[np.float32], kernel: NDArray[np.float64], scale: int) -> NDArray[np.float32]:
    """A photo of 8 bits, (h, w, 1)."""
    none = np.zeros(0, np.int32)
    bank = InjectionBank(
        scale,
        kernel[None].astype(np.float32),
        np.zeros((0, 3, 4, 4), np.float16),
        ("a",),
        np.zeros(1, int),
        none,
    )
    return degrade(np.ascontiguousarray(scene.transpose(2, 0, 1)[None]), Injection(bank), 0)[0].transpose(
        1, 2, 0
    )


def distance(kernel: NDArray[np.float64], truth: NDArray[np.float64]) -> float:
    return float(np.linalg.norm(kernel - truth) / np.linalg.norm(truth))


@pytest.mark.parametrize("scale", [2, 3])
def test_estimate_is_nearer_than_fixed_guesses(scene: NDArray[np.float32], scale: int) -> None:
    size = 8 * scale + scale % 2
    line = cubic((np.arange(size) - (size - 1) / 2) / scale)
    bicubic, gaussian = np.outer(line, line) / line.sum() ** 2, ellipse(scale, 0.6, 0.6, 0)
    errors = []
    for sigma_x, sigma_y, degrees in ELLIPSES:
        truth = ellipse(scale, sigma_x, sigma_y, degrees)
        found = estimate_kernel(shrink(scene, truth, scale), scale)
        assert found.kernel.shape == truth.shape and found.kernel.sum() == pytest.approx(1)
        rounds = [ellipse(scale, sigma, sigma, 0) for sigma in np.linspace(0.2, 1.2, 21)]
        best = min(distance(one, truth) for one in rounds)
        errors.append([distance(kernel, truth) for kernel in (found.kernel, bicubic, gaussian)])
        assert errors[-1][0] < 0.25
        # Where the truth is not round, even the best of the round Gaussians is farther off.
        assert errors[-1][0] < best or sigma_x < 1.5 * sigma_y
    ours, cubics, gaussians = np.mean(errors, axis=0)
    assert ours < 0.3 * cubics
    assert ours < 0.5 * gaussians


def test_direction_noise_and_spectrum_are_told(scene: NDArray[np.float32]) -> None:
    photo = shrink(scene, ellipse(2, 0.9, 0.4, 30), 2)
    noisy = photo + np.random.default_rng(0).normal(0, 6 / 255, photo.shape).astype(np.float32)
    for one, noise in ((photo, 0.3), (noisy, 6.0)):
        found = estimate_kernel(one, 2)
        assert math.degrees(found.angle) == pytest.approx(30, abs=8)
        assert found.sigma_x == pytest.approx(1.8, rel=0.2) and found.sigma_y == pytest.approx(0.8, rel=0.45)
        assert found.noise == pytest.approx(noise, abs=0.8)
        assert 1.3 < found.alpha < 3
    turned = estimate_kernel(np.ascontiguousarray(photo[:, ::-1]), 2)
    assert math.degrees(turned.angle) == pytest.approx(150, abs=8)


def test_jpeg_misleads_little(scene: NDArray[np.float32]) -> None:
    truth = ellipse(2, 0.8, 0.5, 45)
    photo = shrink(scene, truth, 2).repeat(3, axis=2)
    saved = jpeg(np.ascontiguousarray(photo.transpose(2, 0, 1)[None]), 90)[0].transpose(1, 2, 0)
    assert distance(estimate_kernel(saved, 2).kernel, truth) < 0.3


def test_same_photo_same_estimate(scene: NDArray[np.float32]) -> None:
    first, again = estimate_kernel(scene, 1), estimate_kernel(scene, 1)
    np.testing.assert_array_equal(first.kernel, again.kernel)
    assert first.kernel.shape == (9, 9)


def test_what_tells_nothing_is_refused() -> None:
    with pytest.raises(InputError, match="48x48 pixels or more, this photo has 60x40"):
        estimate_kernel(np.zeros((40, 60, 3), np.float32), 2)
    with pytest.raises(InputError, match="one colour"):
        estimate_kernel(np.full((64, 64, 3), 0.5, np.float32), 2)
    with pytest.raises(InputError, match="a photo must be"):
        estimate_kernel(np.zeros((64, 64), np.float32), 2)
    with pytest.raises(InputError, match="scale must be 1"):
        estimate_kernel(np.zeros((64, 64, 3), np.float32), 0)
