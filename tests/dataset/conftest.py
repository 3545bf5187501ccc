"""Photos whose pixels tell where they were."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from blindsr.dataset import PhotoCache
from blindsr.dataset.cutting import Cutter
from blindsr.picture import find_pictures


def save_ramps(path: Path, height: int, width: int, red: int, scale: int = 1) -> Path:
    """Write a photo: red tells which it is, green and blue the column and the row, repeated `scale` times."""
    path.parent.mkdir(parents=True, exist_ok=True)
    y, x = np.mgrid[:height, :width].astype(np.uint8)
    pixels = np.stack([np.full_like(x, red), x, y], 2).repeat(scale, axis=0).repeat(scale, axis=1)
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def photos(tmp_path: Path) -> PhotoCache:
    """Four photos whose pixels tell which photo they are (red) and where they were (green: x, blue: y)."""
    for i in range(4):
        save_ramps(tmp_path / "photos" / f"{i}.png", 60, 80, 50 * i)
    return PhotoCache(find_pictures(tmp_path / "photos"), tmp_path / "cache")


@pytest.fixture
def cut() -> Callable[[PhotoCache, NDArray[np.int64], int], NDArray[np.int64]]:
    """Cut the crops of a batch: (..., 6) places -> (..., 3, size, size) levels."""

    def cut(photos: PhotoCache, places: NDArray[np.int64], size: int) -> NDArray[np.int64]:
        crops = Cutter(photos, size)(torch.from_numpy(places.reshape(-1, 6)))
        return np.rint(crops.numpy() * 255).astype(np.int64).reshape(*places.shape[:-1], 3, size, size)

    return cut
