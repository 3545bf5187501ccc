"""The variants that are compared: each is a recipe that can be, and every study knows its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer
import yaml

from blindsr.network import CMDSR, build_network
from blindsr.training import load_config
from blindsr.training.config import CMDSRConfig


@pytest.fixture(scope="module")
def variants(benchmark: Callable[[str], ModuleType]) -> ModuleType:
    return benchmark("variants")


def test_every_variant_is_another_recipe(variants: ModuleType) -> None:
    shipped = load_config(variants.CONFIG, variants.FROM_SCRATCH)
    for name, changes in variants.VARIANTS.items():
        config = load_config(variants.CONFIG, [*variants.FROM_SCRATCH, *changes])
        network = build_network(config.network)
        assert isinstance(config, CMDSRConfig) and isinstance(network, CMDSR)
        assert network.scale == config.data.scale
        assert (config == shipped) == (name == variants.BASE), name
        assert (network.condition_net is None) == (name == "no ConditionNet")


def test_studies_are_of_variants_and_hold_what_is_shipped(variants: ModuleType) -> None:
    for names in variants.STUDIES.values():
        assert names[0] == variants.BASE and set(names) <= set(variants.VARIANTS)
    assert variants.chosen(None, None) == list(variants.VARIANTS)
    both = variants.chosen(["IDN: 4 blocks of 64"], ["losses", "condition"])
    assert both[0] == "IDN: 4 blocks of 64" and both.count(variants.BASE) == 1
    assert set(both[1:]) == {*variants.STUDIES["losses"], *variants.STUDIES["condition"]}
    for wrong in ((["as shiped"], None), (None, ["loses"])):
        with pytest.raises(typer.BadParameter, match="is not one of"):
            variants.chosen(*wrong)


def test_several_seeds_have_a_standard_error(variants: ModuleType) -> None:
    assert variants.mean_of([24.3271], 3) == "24.327"
    assert variants.mean_of([24.0, 24.3, 24.6], 2) == "24.30 ± 0.17"  # 0.3 / sqrt(3)


@pytest.mark.slow
def test_a_variant_is_trained_once_from_each_seed(
    variants: ModuleType, recipe: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content: dict[str, Any] = yaml.safe_load(recipe.read_text())
    del content["phases"]
    recipe.write_text(yaml.safe_dump(content | {"recipe": "cmdsr", "optimiser": {"lr": 1e-3, "warmup": 9}}))
    for name, value in (("CONFIG", recipe), ("FROM_SCRATCH", []), ("_TRIAL", 4)):
        monkeypatch.setattr(variants, name, value)
    where = (photos, tmp_path / "cache", 0.004)
    (first,) = variants.run(variants.BASE, *where, None, 1, tmp_path)
    again, second = variants.run(variants.BASE, *where, None, 2, tmp_path)
    assert again == first and second.steps == first.steps > 1
    assert (second.seed, second.parameters) == (1, first.parameters)
    assert second.psnr != first.psnr and 5 < second.psnr < 60 and -1 < second.ssim < 1
    assert (tmp_path / "as-shipped-1" / "model").is_dir()
    (given,) = variants.run(variants.BASE, *where, 3, 1, tmp_path)
    assert (given.steps, given.minutes) == (3, 0) and given.psnr != first.psnr
    assert variants.run(variants.BASE, *where, 3, 1, tmp_path) == [given]
