"""A SqueezeNet with random weights, for tests that must not wait for a trained one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from blindsr.metrics import LPIPSNetwork, read_squeeze

SHARED = Path(__file__).parents[2] / ".." / "shared" / "metrics"

CHANNELS = (64, 128, 256, 384, 384, 512, 512)
FIRES = {
    3: (64, 16),
    4: (128, 16),
    6: (128, 32),
    7: (256, 32),
    9: (256, 48),
    10: (384, 48),
    11: (384, 64),
    12: (512, 64),
}
"""Fire modules by their number: channels that enter, and channels between; four times these twice leave."""


def random_features(seed: int = 0) -> dict[str, NDArray[np.float16]]:
    """Weights of SqueezeNet 1.1 under torchvision's names."""
    rng = np.random.default_rng(seed)
    weights = {}

    def convolution(name: str, c_in: int, c_out: int, side: int) -> None:
        weight = rng.normal(0, np.sqrt(2 / (c_in * side**2)), (c_out, c_in, side, side))
        weights[f"{name}.weight"] = weight.astype(np.float16)
        weights[f"{name}.bias"] = rng.normal(0, 0.1, c_out).astype(np.float16)

    convolution("features.0", 3, 64, 3)
    for number, (entering, between) in FIRES.items():
        convolution(f"features.{number}.squeeze", entering, between, 1)
        convolution(f"features.{number}.expand1x1", between, 4 * between, 1)
        convolution(f"features.{number}.expand3x3", between, 4 * between, 3)
    return weights


def random_heads(seed: int = 1) -> dict[str, torch.Tensor]:
    """Linear weights of LPIPS, none below 0."""
    rng = np.random.default_rng(seed)
    return {
        f"lin{i}.model.1.weight": torch.from_numpy(rng.uniform(0, 1, (1, channels, 1, 1)).astype(np.float32))
        for i, channels in enumerate(CHANNELS)
    }


@pytest.fixture(scope="session")
def squeeze_files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Features and linear weights."""
    folder = tmp_path_factory.mktemp("squeeze")
    np.savez(folder / "features.npz", **random_features())
    torch.save(random_heads(), folder / "heads.pth")
    return folder / "features.npz", folder / "heads.pth"


@pytest.fixture(scope="session")
def squeeze(squeeze_files: tuple[Path, Path]) -> LPIPSNetwork:
    return read_squeeze(*squeeze_files)
