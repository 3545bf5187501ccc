"""A configuration of each recipe that trains on small made photos in a moment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from ..conftest import write_config


@pytest.fixture
def cria_config_file(tmp_path: Path, photo_folder: Path) -> Path:
    """A tiny run of Cria-CL: 4 steps of pixel criteria and 2 of all, on the discriminator's features, x2."""
    return write_config(
        tmp_path / "tiny-cria.yaml",
        photo_folder,
        data={"batch": 2, "patch": 16, "group": 2},
        recipe="cria",
        pixel_steps=4,
        network={
            "cria": {
                "scale": 2, "channels": 4, "blocks": 1, "growth": 2, "projector": 4, "projector_blocks": 1,
                "mask": "views", "tail": "direct", "skip": True,
            },
        },
        criteria=[
            {"name": "pixel", "stage": 1, "view": "structure"},
            {"name": "structural", "stage": 1, "view": "structure", "weight": 0.1},
            {"name": "perceptual", "weight": 0.1},
            {"name": "adversarial", "weight": 0.01},
            {"name": "contrastive", "weight": 0.1},
        ],
        features={"network": "discriminator"},
        contrast={"regression": "frozen"},
        discriminator={"name": "patch", "channels": 4, "depth": 2},
    )  # fmt: skip


@pytest.fixture
def unified_config_file(tmp_path: Path, photo_folder: Path) -> Path:
    """A tiny run of the unified network: 2 steps of pixel criteria, 1 of the discriminator, 3 of all, x2."""
    return write_config(
        tmp_path / "tiny-unified.yaml",
        photo_folder,
        data={
            "degradations": ["real", "camera"], "tasks": 2, "support": 2, "restored": 1, "patch": 16,
        },
        recipe="unified",
        pixel_steps=2,
        network={
            "basenet": {"name": "rrdb", "scale": 2, "channels": 4, "blocks": 1, "growth": 2, "carry": 1},
            "condition": {"name": "patches", "size": 8, "width": 4},
            "unified": {"projector": 4, "projector_blocks": 1, "lattice_filter": 3},
        },
        texture_optimiser={"lr": 1e-3, "after": 1},
        condition_optimiser={"lr": 1e-3},
        criteria=[
            {"name": "pixel", "stage": 1, "view": "structure"},
            {"name": "perceptual", "weight": 0.1},
            {"name": "adversarial", "weight": 0.01},
        ],
        features={"network": "discriminator"},
        discriminator={"name": "patch", "channels": 4, "depth": 2},
    )  # fmt: skip


@pytest.fixture
def pooled_unified_config_file(unified_config_file: Path) -> Path:
    """The same on a pool of tasks of three kinds, degraded all at once."""
    content: dict[str, Any] = yaml.safe_load(unified_config_file.read_text())
    content["data"] |= {
        "degradations": ["real", "camera", "real-esrgan"], "degrade": "batched", "pool": 8, "group": 2,
        "reuse": 1.5,
    }  # fmt: skip
    path = unified_config_file.with_name("pooled-unified.yaml")
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.fixture(
    params=["config_file", "cria_config_file", "unified_config_file", "pooled_unified_config_file"]
)
def any_config_file(request: pytest.FixtureRequest) -> Path:
    """A tiny run of every recipe."""
    path: Path = request.getfixturevalue(request.param)
    return path
