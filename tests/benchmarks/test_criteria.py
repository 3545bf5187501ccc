"""Whether a discriminator judged, as the logs of the ablation of criteria tell it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from blindsr.training import load_config
from blindsr.training.config import CriaConfig

RECIPE = Path(__file__).parents[2] / "configs" / "cria_x1_city100.yaml"


@pytest.fixture(scope="module")
def criteria(benchmark: Callable[[str], ModuleType]) -> ModuleType:
    return benchmark("criteria")


def row(step: int, loss: float, adversarial: float) -> dict[str, float]:
    return {"step": step, "discriminator": loss, "gradient/pixel": 3.0, "gradient/adversarial": adversarial}


def test_the_last_third_tells(criteria: ModuleType) -> None:
    alone = [{"step": 25, "discriminator": 0.1}]
    rows = [row(50, 1.3, 0.0), row(75, 1.2, 0.0), row(100, 1.1, 1.0), row(125, 0.9, 1.0)]
    assert criteria.judged([*alone, *rows[:3]]) == pytest.approx((1.1, 0.25))
    assert criteria.judged([*alone, *rows, row(150, 1.0, 1.0), row(175, 0.8, 3.0)]) == pytest.approx(
        (0.9, 0.375)
    )
    assert criteria.judged(alone) is None and criteria.judged([]) is None


def test_runs_without_a_discriminator_are_left_out(
    criteria: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, lines in (("pixel", [{"step": 25, "pixel": 0.1}]), ("sum-0", [row(25, 1.386, 0.1)])):
        (tmp_path / name).mkdir()
        (tmp_path / name / criteria.LOG).write_text("".join(json.dumps(line) + "\n" for line in lines))
    criteria.print_judged(tmp_path)
    assert capsys.readouterr().out.splitlines()[2:] == ["| sum-0 | 25 | 1.386 | 0.032 |"]


def test_a_discriminator_that_keeps_up_begins_alone(criteria: ModuleType) -> None:
    config = load_config(RECIPE, criteria.JUDGING)
    assert isinstance(config, CriaConfig)
    assert config.texture_optimiser.after == criteria.ALONE
    assert config.discriminator_optimiser.betas[0] == 0.5
