"""Noise of a batch: the numbers that every image would get alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from blindsr.degradation.backend import arange, channel_mean
from blindsr.degradation.noise import noise_key, normal_numbers

# In the order of the words in "keys", which is that in which they are added.
_KINDS = ("poisson", "gaussian")


class Noisy(Protocol):
    """What has noise: a one-stage task, or a stage."""

    @property
    def noise(self) -> float:
        """Gaussian noise, standard deviation in levels of 255."""
        ...

    @property
    def poisson(self) -> float:
        """Shot noise, standard deviation at white in levels of 255."""
        ...

    @property
    def gray_noise(self) -> bool:
        """One noise for all channels instead of one each."""
        ...


def noise_columns(
    noisy: Sequence[Noisy], seeds: Sequence[int], items: Sequence[int]
) -> dict[str, NDArray[Any]]:
    """Return the parameters of noise, by name.

    Args:
        noisy: what each image gets.
        seeds: seed of each image.
        items: number of each image, `first_item` of `gaussian_noise`.

    Returns:
        What `add_noise` reads: "noise" and "poisson", (N,), float32, standard deviations in units of the
        pixels' range; "gray", (N,), bool; "keys", (N, 2, 3), int32, the words of the shot and
        the Gaussian noise.
    """
    return {
        "noise": np.array([one.noise / 255 for one in noisy], dtype=np.float32),
        "poisson": np.array([one.poisson / 255 for one in noisy], dtype=np.float32),
        "gray": np.array([one.gray_noise for one in noisy], dtype=np.bool_),
        "keys": np.array(
            [
                [noise_key(kind, seed, item) for kind in _KINDS]
                for seed, item in zip(seeds, items, strict=True)
            ],
            dtype=np.int32,
        ).reshape(-1, len(_KINDS), 3),
    }


def add_noise(x: Tensor, columns: Mapping[str, Tensor], sides: Tensor | int) -> Tensor:
    """Add shot and Gaussian noise, as `poisson_noise` and `gaussian_noise` do. Nothing is clipped.

    Args:
        x: batch, (N, C, H, W), float32 RGB in [0, 1].
        columns: those of `noise_columns`.
        sides: of the images, where they fill only the upper left of the arrays, (N,); or of all.

    Returns:
        Noisy batch, same shape. What lies beyond an image's own side is of no meaning.
    """
    gray = columns["gray"][:, None, None, None]
    shot, gaussian = noise_numbers(x, columns["keys"], gray, sides)
    brightness = torch.where(gray, channel_mean(x), x)
    strength = columns["poisson"][:, None, None, None] * brightness.clip(0.0, None).sqrt()
    return x + strength * shot + columns["noise"][:, None, None, None] * gaussian


def noise_numbers(x: Tensor, keys: Tensor, gray: Tensor, sides: Tensor | int) -> tuple[Tensor, Tensor]:
    """Return the standard normal numbers of the shot and of the Gaussian noise, each (N, C, H, W).

    Args:
        x: batch, (N, C, H, W).
        keys: the words, (N, 2, 3), int32.
        gray: whether all channels have the same, (N, 1, 1, 1).
        sides: as in `add_noise`.
    """
    channels, height, width = x.shape[1:]
    if isinstance(sides, Tensor):
        sides = sides.to(torch.int32)[:, None, None, None]
    channel = arange(channels, x)[:, None, None] * (~gray).to(torch.int32)  # (N, C, 1, 1)
    # Elements are counted within the image, not within the array that it may lie in.
    element = (channel * sides + arange(height, x)[:, None]) * sides + arange(width, x)
    words = keys.permute(2, 0, 1)[..., None, None, None]  # (3, N, 2, 1, 1, 1)
    shot, gaussian = normal_numbers(element[:, None], words).unbind(1)
    return shot, gaussian
