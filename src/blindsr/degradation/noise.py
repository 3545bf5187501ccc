"""Gaussian and shot noise from a counter-based generator: one seed, the same noise on every device.

A library's generator gives other numbers on a GPU than on a CPU. Here each element's number is a hash of
(seed, image, element), in integer arithmetic that every backend does to the same bits.
"""

from __future__ import annotations

import hashlib
import math

import numpy as np
from numpy.typing import NDArray

from blindsr.degradation.backend import (
    Array,
    arange,
    channel_mean,
    check_batch,
    constant,
    cos,
    full_precision,
    log,
    sqrt,
    to_float,
)
from blindsr.errors import InputError


def gaussian_noise(x: Array, sigma: float, seed: int, gray: bool = False, first_item: int = 0) -> Array:
    """Add white Gaussian noise, independent for every image, channel and pixel. Nothing is clipped.

    Args:
        x: batch, (N, C, H, W), float32 RGB in [0, 1].
        sigma: standard deviation in levels of 255.
        seed: any integer; the same seed gives the same noise on every backend and device.
        gray: one noise for all channels of a pixel.
        first_item: number of the batch's first image: image i of a batch gets the noise that it gets alone
            with first_item=i.

    Returns:
        Noisy batch, same shape.

    Raises:
        InputError: the batch is malformed, or sigma is negative.
    """
    check_batch(x)
    _check_level("noise sigma", sigma)
    with full_precision(x):
        noisy: Array = x + (sigma / 255) * _normal(x, "gaussian", seed, gray, first_item)
    return noisy


def poisson_noise(x: Array, strength: float, seed: int, gray: bool = False, first_item: int = 0) -> Array:
    """Add shot noise: Gaussian, with a variance proportional to the pixel's brightness. Nothing is clipped.

    The heteroscedastic Gaussian approximation of the Poisson distribution of photon counts (Foi, Trimeche,
    Katkovnik and Egiazarian 2008, doi 10.1109/TIP.2008.2001399), of variance x * (strength / 255)^2.

    Args:
        x: batch, (N, C, H, W), float32 RGB in [0, 1]; values below 0 get no noise.
        strength: standard deviation at white (x = 1), in levels of 255.
        seed: any integer; independent of `gaussian_noise` with the same seed.
        gray: one noise for all channels of a pixel, by their mean brightness.
        first_item: number of the batch's first image, as in `gaussian_noise`.

    Returns:
        Noisy batch, same shape.

    Raises:
        InputError: the batch is malformed, or the strength is negative.
    """
    check_batch(x)
    _check_level("Poisson strength", strength)
    with full_precision(x):
        brightness = channel_mean(x) if gray else x
        noise = _normal(x, "poisson", seed, gray, first_item)
        noisy: Array = x + (strength / 255) * sqrt(brightness.clip(0.0, None)) * noise
    return noisy


def _check_level(name: str, value: float) -> None:
    """Refuse a negative or non-finite noise level."""
    if not (value >= 0 and math.isfinite(value)):
        raise InputError(f"the {name} must be 0 or more levels of 255, got {value:g}")


def noise_key(kind: str, seed: int, item: int) -> NDArray[np.int32]:
    """Return what makes the noise of one image different from all others: three independent words of 32 bits.

    Args:
        kind: "gaussian" or "poisson".
        seed: any integer.
        item: number of the image.

    Returns:
        Key, (3,).
    """
    digest = hashlib.blake2b(f"{kind}/{seed}/{item}".encode(), digest_size=12).digest()
    return np.frombuffer(digest, dtype="<i4").astype(np.int32)


def normal_numbers(element: Array, key: Array) -> Array:
    """Return a standard normal number for each element of an image (Box and Muller 1958).

    Args:
        element: numbers of the elements, int32, of any shape; in an image they count its (C, H, W) values.
        key: the words of `noise_key`, int32, (3, ...); each must broadcast with `element`.

    Returns:
        float32, of the shape that `element` and the words have together.
    """
    radial = _mix(_mix(element ^ key[0]) ^ key[1])
    angular = _mix(radial ^ key[2])
    # 23 bits and a half are exact in float32 and never 0, so the logarithm is finite.
    radius = sqrt(-2.0 * log((to_float((radial >> 9) & 0x7FFFFF) + 0.5) * 2.0**-23))
    normal: Array = radius * cos((2.0 * math.pi) * (to_float((angular >> 9) & 0x7FFFFF) * 2.0**-23))
    return normal


def _normal(x: Array, kind: str, seed: int, gray: bool, first_item: int) -> Array:
    """Return the numbers of a batch's noise: (N, C, H, W), or (N, 1, H, W) if gray."""
    count, channels, height, width = x.shape
    channels = 1 if gray else channels
    keys = np.stack([noise_key(kind, seed, first_item + i) for i in range(count)], axis=1)  # (3, N)
    element = arange(channels * height * width, x).reshape(1, channels, height, width)
    return normal_numbers(element, constant(keys.reshape(3, count, 1, 1, 1), x))


def _mix(word: Array) -> Array:
    """Scramble 32-bit words: xor-shifts and odd multipliers modulo 2^32, each step invertible.

    PyTorch has no unsigned arithmetic everywhere, so words are int32: products wrap to the same bits, and the
    sign that a right shift drags in is masked off. The multipliers are 0x7FEB352D and 0x846CA68B.
    """
    word = word ^ ((word >> 16) & 0xFFFF)
    word = word * 0x7FEB352D
    word = word ^ ((word >> 15) & 0x1FFFF)
    word = word * (0x846CA68B - 2**32)
    mixed: Array = word ^ ((word >> 16) & 0xFFFF)
    return mixed
