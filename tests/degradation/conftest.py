"""Batches that every operator is tried on."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray


@pytest.fixture
def photo() -> NDArray[np.float32]:
    """A picture with smooth colour, fine texture, an edge and grain: (1, 3, 96, 64), whole levels of 255."""
    rng = np.random.default_rng(7)
    y, x = np.mgrid[:96, :64] / 64
    smooth = np.stack(
        [0.5 + 0.35 * np.sin(5 * x + 2 * y), 0.5 + 0.35 * np.cos(4 * y - 3 * x), 0.3 + 0.4 * x * y]
    )
    texture = 0.12 * np.sin(50 * x + 35 * y) + 0.25 * (x + y > 1.2) + rng.normal(0, 0.03, (3, 96, 64))
    return (np.rint((smooth + texture).clip(0, 1) * 255) / 255).astype(np.float32)[None]


@pytest.fixture
def batch() -> NDArray[np.float32]:
    """Uniform noise: the hardest content for agreement between backends, (3, 3, 32, 48)."""
    return np.random.default_rng(3).random((3, 3, 32, 48), dtype=np.float32)


@pytest.fixture(scope="session")
def scene() -> NDArray[np.float32]:
    """A picture with the spectrum of photos, sharp to the last pixel: dead leaves, (384, 384, 1) in [0, 1].

    Leaves of all sizes, with a density of r^-3, lie over each other (Lee, Mumford and Huang 2001).
    """
    rng = np.random.default_rng(11)
    side, least, most = 384, 1.0, 100.0
    picture = np.full((side, side), 0.5, np.float32)
    y, x = np.mgrid[:side, :side]
    for _ in range(20_000):
        radius = least / np.sqrt(1 - rng.random() * (1 - (least / most) ** 2))
        top, left = rng.uniform(-radius, side + radius, 2)
        box = tuple(
            slice(max(0, int(place - radius)), max(0, int(place + radius) + 2)) for place in (top, left)
        )
        inside = (y[box] - top) ** 2 + (x[box] - left) ** 2 < radius**2
        picture[box][inside] = rng.uniform(0.05, 0.95)
    return picture[:, :, None]
