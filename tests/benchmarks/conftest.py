"""The benchmarks' scripts, which lie outside the package, as modules; and small recipes for them."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from blindsr.checkpoint.reading import FORMAT
from blindsr.network import build_network

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def benchmark() -> Iterator[Callable[[str], ModuleType]]:
    """Imports a script by its name, as running it would; afterwards none of them stays imported."""
    before = set(sys.modules)
    sys.path.insert(0, str(FOLDER))
    try:
        yield importlib.import_module
    finally:
        sys.path.remove(str(FOLDER))
        for name in set(sys.modules) - before:
            if Path(getattr(sys.modules[name], "__file__", None) or "/").parent == FOLDER:
                del sys.modules[name]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Eight noisy photos of 72 x 96 pixels, all but one of them PNG; that one lies on its side."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for seed in range(8):
        coarse = np.random.default_rng(seed).integers(0, 256, (18, 24, 3), dtype=np.uint8)
        image = Image.fromarray(coarse).resize((96, 72), Image.Resampling.BICUBIC)
        if seed == 3:
            exif = Image.Exif()
            exif[0x0112] = 6
            image.save(folder / "photo-3.jpg", exif=exif, quality=100)
        else:
            image.save(folder / f"photo-{seed}.png")
    return folder


@pytest.fixture
def recipe(tmp_path: Path, photos: Path) -> Path:
    """A tiny recipe of two phases at x2."""
    stable = {"lr": 1e-3, "schedule": "stable", "decay": 0.2}
    content: dict[str, Any] = {
        "name": "tiny", "recipe": "distilled", "steps": 100,
        "network": {
            "basenet": {
                "name": "srresnet", "scale": 2, "channels": 4, "blocks": 1, "tail": "direct", "skip": True,
            },
            "condition": {"name": "patches", "size": 8, "width": 4},
        },
        "data": {
            "photos": str(photos), "holdout": 2, "degradations": "real", "scale": 2, "tasks": 4, "support": 2,
            "restored": 1, "patch": 12, "margin": 4,
        },
        "phases": [
            {
                "name": "restore", "until": 0.5, "trains": ["oracle", "basenet"], "feeds": "oracle",
                "support": 1,
            },
            {"name": "together", "until": 1.0, "trains": ["basenet", "condition"], "feeds": "both"},
        ],
        "optimiser": stable, "condition_optimiser": stable,
        "validation": {"every": 10**9, "crop": 48, "degradations": ["blur=1.3"]},
        "reserve": 0.5, "accelerator": "cpu",
    }  # fmt: skip
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def save(path: Path, spec: dict[str, Any]) -> Path:
    """A network of random weights as a checkpoint."""
    torch.manual_seed(0)
    torch.save({"format": FORMAT, "network": spec, "state": build_network(spec).state_dict()}, path)
    return path


@pytest.fixture
def unified_recipe(recipe: Path, tmp_path: Path) -> Path:
    """A tiny recipe of the unified network, on a pool of tasks, with a teacher and networks to begin as."""
    content: dict[str, Any] = yaml.safe_load(recipe.read_text())
    stable, condition = content["optimiser"], content["network"]["condition"]
    small = {"scale": 2, "channels": 4, "blocks": 1, "growth": 2}
    own = {"projector": 4, "projector_blocks": 1, "lattice_filter": 3}
    cria = small | own | {"mask": "views", "tail": "direct", "carry": 1, "skip": True}
    adapting = {"basenet": {"name": "srresnet", "scale": 2}, "condition": condition}
    content |= {
        "recipe": "unified",
        "network": {"basenet": {"name": "rrdb", "carry": 1} | small, "condition": condition, "unified": own},
        "init": str(save(tmp_path / "cria.ckpt", {"cria": cria})),
        "init_condition": str(save(tmp_path / "cmdsr.ckpt", adapting)),
        "teacher": {"weights": str(save(tmp_path / "large.ckpt", {"cria": small | {"projector": 0}}))},
        "criteria": [
            {"name": "pixel", "view": "structure", "teacher": 0.8},
            {"name": "adversarial", "weight": 0.01},
        ],
        "discriminator": {"name": "patch", "channels": 4, "depth": 2},
        "texture_optimiser": stable,
        "discriminator_optimiser": stable,
    }
    content["data"] |= {
        "degradations": ["real", "camera"], "degrade": "batched", "group": 2, "pool": 16, "reuse": 2.0,
    }  # fmt: skip
    del content["phases"]
    path = tmp_path / "unified.yaml"
    path.write_text(yaml.safe_dump(content))
    return path
