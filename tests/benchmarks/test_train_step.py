"""What a step takes: every recipe in all ways in which it can degrade, and the parts of a step."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from blindsr.training import load_config

CONFIGS = sorted((Path(__file__).parents[2] / "configs").rglob("*.yaml"))
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def train_step(benchmark: Callable[[str], ModuleType]) -> ModuleType:
    return benchmark("train_step")


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_every_recipe_has_its_ways(train_step: ModuleType, path: Path) -> None:
    ways = train_step.ways_of(path, [])
    settings: dict[str, Any] = {name: load_config(path, changes) for name, changes in ways.items()}
    pools = [name for name, config in settings.items() if getattr(config.data, "pool", 0)]
    real_pairs = getattr(load_config(path).data, "pairs", None) is not None  # type: ignore[attr-defined]
    recipe = load_config(path).recipe
    assert len(ways) == (1 if real_pairs else 2 if recipe in ("cmdsr", "distilled") else 3)
    assert pools == ([] if recipe in ("cmdsr", "distilled") or real_pairs else list(ways)[1:])


def test_the_parts_of_a_step(
    train_step: ModuleType, unified_recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train_step, "GROUPS", 1)
    base = [f"data.cache={tmp_path / 'cache'}", "init=null", "init_condition=null", "data.group=8"]
    ways = train_step.ways_of(unified_recipe, base)
    counts = {}
    for name in (train_step.POOL_EACH, train_step.POOL_BATCHED):
        parts = train_step.parts_of(load_config(unified_recipe, [*base, *ways[name]]), CPU)
        assert list(parts) == ["cutting", "degrading", "teaching", train_step.NETWORK, train_step.REST]
        assert parts["degrading"].share == 4 / (2 * 8)  # of a batch, used twice, in groups of eight
        some = {part: parts[part] for part in ("cutting", "degrading", "teaching")}
        counts[name] = train_step.degrading_alone(train_step.counted_parts(some, CPU))
        assert all(count > 0 for count in counts[name].values())
    each, at_once = (counts[name]["degrading"] for name in counts)
    assert at_once < each  # operations: what it is for
