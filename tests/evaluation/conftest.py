"""Made test sets and methods for evaluations."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from blindsr.evaluation.methods.method import Method, Pixels

from ..conftest import made_photo


class Repeater:
    """Enlarges by repeating pixels, and counts what it was asked for."""

    def __init__(self, scale: int | None = 2, brighter: float = 0.0) -> None:
        self.scale = scale
        self.brighter = brighter
        self.restored: list[tuple[int, ...]] = []

    def restore(self, lr: Pixels, scale: int) -> Pixels:
        self.restored.append(lr.shape)
        enlarged: Pixels = lr.repeat(scale, axis=0).repeat(scale, axis=1)
        return (enlarged + np.float32(self.brighter)).clip(0, 1)

    def method(self, title: str = "repeater") -> Method:
        return Method(title, f"repeater {self.scale} {self.brighter}", lambda: self)


def save(path: Path, height: int, width: int, seed: int = 0, gray: bool = False) -> Path:
    """Write a made photo."""
    path.parent.mkdir(parents=True, exist_ok=True)
    photo = made_photo(height, width, seed)
    Image.fromarray(photo[:, :, 0] if gray else photo).save(path)
    return path


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """Two pairs at x2, the second gray: a folder with HR/ and LR/."""
    for i, gray in enumerate((False, True)):
        save(tmp_path / "pairs" / "HR" / f"{i}.png", 32, 40, i, gray)
        save(tmp_path / "pairs" / "LR" / f"{i}x2.png", 16, 20, i, gray)
    return tmp_path / "pairs"
