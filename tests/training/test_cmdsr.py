"""The recipe of CMDSR with every BaseNet and every ConditionNet: how they start, and the first steps."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
import torch

from blindsr.network import BASENETS, CONDITION_NETS, build_network
from blindsr.training import Progress, load_config, train

SMALL: dict[str, dict[str, Any]] = {
    "srresnet": {"channels": 8, "blocks": 4},
    "vdsr": {"channels": 8, "depth": 20},
    "idn": {"channels": 16, "distilled": 4, "blocks": 2},
    "rrdb": {"channels": 8, "blocks": 1, "growth": 4},
}
CONDITIONS: dict[str, dict[str, Any]] = {
    "patches": {"size": 32, "width": 8},
    "attentive": {"size": 32, "width": 8},
    "stacked": {"size": 32, "width": 16, "support": 2},
}
EVERY = list(itertools.product(SMALL, CONDITIONS))


def spec(basenet: str, condition: str, pixel_range: float, **arguments: Any) -> dict[str, Any]:
    return {
        "basenet": {"name": basenet, "scale": 2, **SMALL[basenet]},
        "condition": {"name": condition, **arguments},
        "pixel_range": pixel_range,
    }


def test_every_network_is_tried() -> None:
    assert SMALL.keys() == BASENETS.keys() and CONDITIONS.keys() == CONDITION_NETS.keys()


@pytest.mark.parametrize(("basenet", "condition"), EVERY)
def test_modulations_start_near_one_whatever_the_range_of_pixels(basenet: str, condition: str) -> None:
    """Near: within 0.1 by the published ConditionNet, within 1.5 (root mean square) by the others."""
    arguments = {"support": 2} if condition == "stacked" else {}  # in its usual width
    patches = torch.rand(1, 2, 3, 24, 24, generator=torch.Generator().manual_seed(0))
    for seed in range(2):
        away = []
        for pixel_range in (1.0, 255.0):
            torch.manual_seed(seed)
            network = build_network(spec(basenet, condition, pixel_range, **arguments))
            away.append(network.modulation(network.conditions(patches * pixel_range)).detach() - 1)  # type: ignore[operator]
        torch.testing.assert_close(*away, rtol=1e-3, atol=1e-4)
        if condition == "stacked":
            assert 1e-3 < float(away[0].abs().max()) < 0.1
        else:
            assert 1e-3 < float(away[0].square().mean().sqrt()) < 1.5


@pytest.mark.parametrize("pixel_range", [1.0, pytest.param(255.0, marks=pytest.mark.slow)])
@pytest.mark.parametrize(("basenet", "condition"), EVERY)
def test_the_first_steps_with_the_settings_of_the_paper_do_not_explode(
    basenet: str, condition: str, pixel_range: float, config_file: Path, tmp_path: Path
) -> None:
    network = spec(basenet, condition, pixel_range, **CONDITIONS[condition])
    settings = [
        f"network={network}", "data.degradations=paper", "data.patch=24", "data.margin=0", "data.restored=2",
        "data.holdout=0", "steps=6", "optimiser.lr=1e-4", "condition_optimiser.lr=1e-4",
        "loss.condition_every=2",
    ]  # fmt: skip
    reports: list[Progress] = []
    train(load_config(config_file, settings), tmp_path / "run", report=reports.append)
    pixel = [p.losses["pixel"] for p in reports]
    assert len(pixel) == 6 and max(pixel[1:]) < 1.5 * pixel[0] < 1.5 * 255
    contrastive = [p.losses["contrastive"] for p in reports[::2]]
    assert all(0 < value < 5 for value in contrastive) and len(set(contrastive)) == 3
