"""Kernels by their parameters: what they sum to, their shapes, their dictionary form."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from blindsr.degradation import Kernel, gaussian_kernel
from blindsr.degradation.kernels import sinc_kernel
from blindsr.errors import InputError

KERNELS = [
    Kernel("gaussian", 21, 2.0, 0.7, 0.5),
    Kernel("gaussian", 7, 0.2, 0.2),
    Kernel("generalised", 15, 1.5, 0.9, 1.0, beta=0.5),
    Kernel("generalised", 13, 1.5, 1.5, beta=4.0),
    Kernel("plateau", 21, 3.0, 0.4, 2.0, beta=1.6),
    Kernel("sinc", 21, cutoff=math.pi / 5),
    Kernel("sinc", 7, cutoff=math.pi),
    Kernel("sinc", 1, cutoff=1.0),
]


@pytest.mark.parametrize("kernel", KERNELS, ids=str)
def test_sums_to_one_is_centred_and_comes_back_from_its_dictionary(kernel: Kernel) -> None:
    pixels = kernel.pixels()
    assert pixels.shape == (kernel.size, kernel.size)
    assert pixels.sum() == pytest.approx(1, abs=1e-12)
    np.testing.assert_allclose(pixels, pixels[::-1, ::-1], atol=1e-15)
    assert pixels.max() == pytest.approx(pixels[kernel.size // 2, kernel.size // 2])
    assert Kernel.from_dict(json.loads(json.dumps(kernel.as_dict()))) == kernel


def test_shape_of_one_is_the_gaussian_and_larger_is_flatter() -> None:
    gaussian = gaussian_kernel(2, 1, 0.3, 15)
    np.testing.assert_allclose(Kernel("generalised", 15, 2, 1, 0.3, beta=1.0).pixels(), gaussian, atol=1e-15)
    lines = [Kernel("generalised", 21, 3, 3, beta=beta).pixels()[10, 10:] for beta in (0.5, 1.0, 4.0)]
    half_way = [line[2] / line[0] for line in lines]
    assert half_way[0] < half_way[1] < half_way[2]
    plateau = Kernel("plateau", 15, 2, 2, beta=1.0).pixels()
    assert plateau[7, 9] / plateau[7, 7] == pytest.approx(0.5)  # 1 / (1 + q) where q = 1


def test_sinc_passes_what_lies_below_its_cutoff_and_stops_what_lies_above() -> None:
    spectrum = np.abs(np.fft.fft2(sinc_kernel(math.pi / 2, 101), (200, 200)))
    # Radians a pixel: 2 pi i / 200.
    assert np.abs(spectrum[0, :40] - 1).max() < 0.15
    assert spectrum[0, 60:101].max() < 0.06
    assert sinc_kernel(math.pi / 2, 21).min() < 0


def test_bessel_values() -> None:
    # J1(1) and J1(10), Abramowitz and Stegun, table 9.1; ratio to the centre's limit 1/2 of J1(x) / x.
    for x, j1 in ((1.0, 0.4400505857), (10.0, 0.0434727462)):
        cutoff = x / 5 if x < 10 else 2.0
        radius = round(x / cutoff)
        kernel = sinc_kernel(cutoff, 2 * radius + 1)
        assert kernel[radius, 2 * radius] / kernel[radius, radius] == pytest.approx(2 * j1 / x, abs=1e-8)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "family is missing"),
        ({"family": "box"}, "family must be one of gaussian"),
        ({"family": "gaussian", "sigma": 1}, "unknown key 'sigma'; did you mean 'sigma_"),
        ({"family": "gaussian"}, "sigmas must be above 0"),
        ({"family": "gaussian", "sigma_x": "1", "sigma_y": 1}, "sigma_x must be a finite number"),
        ({"family": "gaussian", "sigma_x": 1, "sigma_y": 1, "size": 4}, "size must be odd"),
        ({"family": "gaussian", "sigma_x": 1, "sigma_y": 1, "cutoff": 1}, "only a sinc"),
        ({"family": "plateau", "sigma_x": 1, "sigma_y": 1, "beta": 0}, "beta must be above 0"),
        ({"family": "sinc"}, "cutoff must be above 0"),
        ({"family": "sinc", "cutoff": 3.2}, "at most pi"),
        ({"family": "sinc", "cutoff": 1.0, "sigma_x": 1.0}, "no sigmas"),
    ],
)
def test_impossible_kernels_are_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(InputError) as caught:
        Kernel.from_dict(values)
    assert message in str(caught.value)
