"""The recipe with an oracle: what each phase trains and feeds, what is imitated, and where it starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from blindsr.checkpoint.reading import read_tensors
from blindsr.errors import ConfigError
from blindsr.training import Progress, load_config, train
from blindsr.training.distilled import DistilledRecipe

CPU = torch.device("cpu")


@pytest.fixture
def distilled_file(config_file: Path, tmp_path: Path) -> Path:
    """Eight steps, two in each of four phases."""
    content: dict[str, Any] = yaml.safe_load(config_file.read_text())
    content |= {
        "recipe": "distilled",
        "steps": 8,
        "phases": [
            {"name": "oracle", "until": 0.25, "trains": ["oracle"], "feeds": "oracle"},
            {"name": "restore", "until": 0.5, "trains": ["oracle", "basenet"], "feeds": "oracle"},
            {"name": "imitate", "until": 0.75, "trains": ["condition"], "tasks": 4, "support": 3},
            {"name": "together", "until": 1.0, "trains": ["basenet", "condition"], "feeds": "both"},
        ],
        "condition_optimiser": {"lr": 1e-3},
    }
    path = tmp_path / "distilled.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def recipe_of(path: Path, *overrides: str) -> DistilledRecipe:
    torch.manual_seed(0)
    config = load_config(path, list(overrides))
    recipe = DistilledRecipe(config)  # type: ignore[arg-type]
    recipe.load_data(CPU)
    return recipe


def test_each_phase_moves_what_it_trains(distilled_file: Path, tmp_path: Path) -> None:
    reports: list[Progress] = []
    config = load_config(distilled_file, ["checkpoint_every=2", "keep=9", "ema=0"])
    train(config, tmp_path / "run", report=reports.append)
    states = [read_tensors(tmp_path / "run" / f"step-{step:08d}.ckpt") for step in (2, 4, 6, 8)]
    start = recipe_of(distilled_file)

    def parts(state: dict[str, Any]) -> dict[str, list[torch.Tensor]]:
        network, oracle = state["state"], state["companions"]["oracle"]
        return {
            "condition": [v for k, v in network.items() if k.startswith("condition_net")],
            "basenet": [v for k, v in network.items() if not k.startswith("condition_net")],
            "oracle": list(oracle.values()),
        }

    begun = {"state": start.network.state_dict(), "companions": {"oracle": start.oracle.state_dict()}}
    moved = []
    for before, after in zip([begun, *states[:-1]], states, strict=True):
        one, other = parts(before), parts(after)
        moved.append(
            {k for k in one if any(not torch.equal(a, b) for a, b in zip(one[k], other[k], strict=True))}
        )
    assert moved[1:] == [{"oracle", "basenet"}, {"condition"}, {"basenet", "condition"}]
    assert moved[0] == {"oracle"}
    names = [set(report.losses) for report in reports]
    assert names[0] == names[3] == {"total", "pixel"}
    assert names[4] == {"total", "imitation", "contrastive"}
    assert names[7] == {"total", "pixel", "imitation", "contrastive"}


def test_a_resumed_run_is_the_same(distilled_file: Path, tmp_path: Path) -> None:
    whole, rest = [], []
    train(load_config(distilled_file, ["checkpoint_every=3", "keep=9"]), tmp_path / "a", report=whole.append)
    for step in (3, 6):
        rest = []
        checkpoint = tmp_path / "a" / f"step-{step:08d}.ckpt"
        train(load_config(distilled_file), tmp_path / f"b{step}", checkpoint, rest.append)
        assert [r.losses for r in rest] == [w.losses for w in whole[step:]]


def test_phases_have_their_own_batches_and_schedules(distilled_file: Path) -> None:
    recipe = recipe_of(distilled_file)
    assert [recipe.phase(place) for place in (0, 1.9, 2, 5, 7.9, 8)] == [
        "oracle", "oracle", "restore", "imitate", "together", "together",
    ]  # fmt: skip
    batch = recipe.dataset(0, "imitate")[4]
    assert batch.places.shape == (4, 6, 6) and recipe.dataset(0, "oracle")[0].places.shape == (2, 4, 6)
    assert recipe.patches(recipe.stage(4, 4)) == 0 and recipe.patches(recipe.stage(0, 0)) == 4
    section, place, length = recipe.section("basenet", 3)  # from its first phase to its last
    assert (place, length) == (1, 6) and section == recipe.config.optimiser
    assert recipe.section("oracle", 3)[1:] == (3, 4) and recipe.section("condition", 6)[1:] == (2, 4)


def test_the_oracle_begins_with_what_the_network_reads(distilled_file: Path, tmp_path: Path) -> None:
    train(load_config(distilled_file, ["steps=4"]), tmp_path / "first")
    recipe = recipe_of(distilled_file)
    recipe.initialise(str(tmp_path / "first" / "weights.ckpt"))
    given = recipe.oracle(torch.randn(3, 9))
    assert torch.equal(given[0], given[1]) and float(given.detach().abs().max()) > 0
    inputs = recipe.prepare(recipe.dataset(0, "oracle")[0])
    with torch.no_grad():
        mean = recipe.network.conditions(recipe.halves(inputs)[0]).mean(0)
    torch.testing.assert_close(given[0], mean)


def test_imitation_leaves_oracle_and_modulations_alone(distilled_file: Path) -> None:
    recipe = recipe_of(distilled_file, "loss.contrastive=0")
    with torch.no_grad():
        recipe.oracle.layers[-1].weight.normal_()  # type: ignore[operator]
    inputs = recipe.prepare(recipe.dataset(0, "imitate")[4])
    ((total, _),) = recipe.losses(recipe.network, inputs, recipe.stage(4, 4)).objectives
    total.backward()
    assert all(p.grad is None for p in recipe.parameters["oracle"])
    assert all(p.grad is None for p in recipe.parameters["basenet"])
    assert any(float(p.grad.abs().max()) > 0 for p in recipe.parameters["condition"] if p.grad is not None)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("network.condition=null", "needs a ConditionNet"),
        ("phases=[{name: a, until: 0.5, trains: [oracle], feeds: oracle}]", "the last at 1"),
        ("phases=[{name: a, until: 1, trains: [basenet]}]", "can train the condition alone"),
        ("phases=[{name: a, until: 1, trains: [], feeds: own}]", "at least 1 item"),
        ("phases=[{name: a, until: 1, trains: [nobody], feeds: own}]", "phases.0.trains.0"),
    ],
)
def test_faults_are_named(distilled_file: Path, override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        recipe_of(distilled_file, override)
