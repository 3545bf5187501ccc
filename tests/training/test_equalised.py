"""Steps of CMDSR as its official trainer takes them: by arithmetic that is written out here once more.

Stored weights of N(0, 1) that are divided when they run, every task's convolution by its own scaled weights,
Adam by its formulas, the ConditionNet before the BaseNet, one support set after the other.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from blindsr.errors import ConfigError
from blindsr.network import CMDSR, build_network
from blindsr.training import load_config, train
from blindsr.training.checkpoint import Position
from blindsr.training.cmdsr import CONDITION_ALONE, HALVES, CMDSRRecipe, Turns
from blindsr.training.ema import WeightAverage
from blindsr.training.equalised import start_equalised
from blindsr.training.step import TrainingStep

SETTINGS = [
    "network.basenet={name: srresnet, scale: 2, channels: 6, blocks: 2}",
    "network.condition={name: stacked, support: 3, size: 8, width: 4}",
    "network.pixel_range=255", "equalised=true", "data.support=3", "data.restored=3",
    "loss.condition_every=4", "loss.halves=in_turn", "loss.distance=channel", "optimiser.lr=1e-3", "ema=0",
    "steps=200",
    "condition_optimiser={lr: 2e-3, milestones: []}",
]  # fmt: skip
RATES = {"basenet": 1e-3, "condition": 2e-3}


class Official:
    """The network and its optimisers, in the official layout: stored weights, divided when they run.

    Args:
        state: Weights as ours has them.
    """

    def __init__(self, state: dict[str, Tensor]) -> None:
        self.gains = {
            name: 1 / math.sqrt(weight[0].numel()) if weight.ndim == 4 and "basenet" in name else 1.0
            for name, weight in state.items()
        }
        self.stored = {
            name: (weight / self.gains[name]).clone().requires_grad_() for name, weight in state.items()
        }
        self.moments = {name: (torch.zeros_like(w), torch.zeros_like(w)) for name, w in state.items()}
        self.taken = dict.fromkeys(RATES, 0)

    def __getitem__(self, name: str) -> Tensor:
        return self.stored[name] * self.gains[name]

    def convolve(self, x: Tensor, name: str, scale: Tensor | None = None) -> Tensor:
        weight = self[f"{name}.weight"]
        if scale is not None:
            weight = weight * scale[None, :, None, None]
        return F.conv2d(x, weight, self[f"{name}.bias"], padding=1)

    def condition(self, patches: Tensor) -> Tensor:
        """(n, 3, h, w), stacked on the channel axis -> (C,)."""
        x = patches.flatten(0, 1)[None]
        for i in (0, 2, 5, 7):
            x = F.avg_pool2d(x, 2) if i == 5 else x
            x = self.convolve(x, f"condition_net.condition.{i}").relu()
        return x.mean((2, 3))[0]

    def restore(self, lr: Tensor, condition: Tensor) -> Tensor:
        """One task's patches, (n, 3, h, w) -> (n, 3, 2h, 2w)."""
        weight = self["modulations.weight"] / math.sqrt(len(condition))
        scales = (weight @ condition + self["modulations.bias"]).split(6)
        first = x = self.convolve(lr, "basenet.input_conv")
        for i in range(2):
            inner = self.convolve(x, f"basenet.backbone.{i}.conv1", scales[2 * i]).relu()
            x = x + self.convolve(inner, f"basenet.backbone.{i}.conv2", scales[2 * i + 1])
        x = F.pixel_shuffle(self.convolve(x + first, "basenet.upsampler.0"), 2)
        return self.convolve(x, "basenet.output_conv")

    def distance(self, lr: Tensor, hr: Tensor) -> Tensor:
        """L1 of one support set of every task, each restored under its own condition."""
        sr = torch.stack([self.restore(patches, self.condition(patches)) for patches in lr])
        return (sr - hr).abs().mean()

    def contrast(self, first: Tensor, second: Tensor, negatives: Tensor) -> Tensor:
        one, other = (torch.stack([self.condition(patches) for patches in half]) for half in (first, second))
        near, far = (one - other) ** 2, (one - other[negatives]) ** 2
        return (torch.log(1 + near.exp()) + torch.log(1 + (-far).exp())).mean()

    def step(self, loss: Tensor, group: str) -> None:
        """Adam (arXiv 1412.6980) on the stored weights of a group."""
        names = [n for n in self.stored if ("condition_net" in n) == (group == "condition")]
        gradients = torch.autograd.grad(loss, [self.stored[n] for n in names])
        self.taken[group] += 1
        t = self.taken[group]
        for name, gradient in zip(names, gradients, strict=True):
            first, second = self.moments[name]
            first.mul_(0.9).add_(0.1 * gradient)
            second.mul_(0.999).add_(0.001 * gradient**2)
            direction = first / (1 - 0.9**t) / ((second / (1 - 0.999**t)).sqrt() + 1e-8)
            with torch.no_grad():
                self.stored[name] -= RATES[group] * direction


@pytest.fixture
def recipe(config_file: Path) -> tuple[CMDSRRecipe, Any]:
    config: Any = load_config(config_file, SETTINGS)
    torch.manual_seed(0)
    recipe = CMDSRRecipe(config)
    recipe.load_data(torch.device("cpu"))
    return recipe, config


def test_steps_are_those_of_the_official_trainer(recipe: tuple[CMDSRRecipe, Any]) -> None:
    ours, config = recipe
    network = ours.network.double()
    official = Official({name: weight.clone() for name, weight in network.state_dict().items()})
    take = TrainingStep(ours, network, WeightAverage(network, 0), config, torch.device("cpu"), False)
    batches, stages = ours.dataset(0), []
    for step in range(12):
        stages.append(ours.stage(step, step))
        inputs = ours.prepare(batches[step])
        inputs = {name: t.double() if t.is_floating_point() else t for name, t in inputs.items()}
        take(Position(step, place=step), stages[-1], [inputs])
        lr, hr = (inputs[name] * 255 for name in ("lr", "hr"))  # (T, 2n, 3, h, w)
        halves = [(lr[:, :3], hr[:, :3]), (lr[:, 3:], hr[:, 3:])]
        if stages[-1].name == CONDITION_ALONE:
            loss = official.contrast(halves[0][0], halves[1][0], inputs["negatives"])
            official.step(loss + 0.1 * official.distance(*halves[0]), "condition")
        else:
            official.step(official.distance(*halves[HALVES.index(stages[-1].name)]), "basenet")
        for name, weight in network.state_dict().items():
            torch.testing.assert_close(weight, official[name].detach(), rtol=1e-7, atol=1e-9)
    names = [stage.name for stage in stages]
    assert names == [CONDITION_ALONE, *HALVES, *HALVES] * 2 + [CONDITION_ALONE, HALVES[0]]


def test_a_batch_serves_all_its_steps(recipe: tuple[CMDSRRecipe, Any]) -> None:
    ours, _ = recipe
    batches = ours.dataset(0)
    assert [batches[step].step for step in range(12)] == [0, 0, 0, 1, 1, 2, 2, 2, 3, 3, 4, 4]
    turns = Turns(10)
    assert [turns.half_step(step) for step in (0, 1, 10, 11, 12)] == [
        (0, True), (0, False), (9, False), (10, True), (10, False)
    ]  # fmt: skip


def test_weights_begin_as_one_over_the_root_of_their_inputs() -> None:
    torch.manual_seed(0)
    network = build_network(
        {
            "basenet": {"name": "srresnet", "scale": 4, "channels": 64, "blocks": 4},
            "condition": {"name": "patches", "size": 8, "width": 4},
        }
    )
    assert isinstance(network, CMDSR)
    before = {name: weight.clone() for name, weight in network.condition_net.state_dict().items()}  # type: ignore[union-attr]
    start_equalised(network.basenet)
    for name, weight in network.basenet.state_dict().items():
        if weight.ndim == 4:
            assert float(weight.std()) * math.sqrt(weight[0].numel()) == pytest.approx(1, abs=0.06), name
        else:
            assert not weight.any()
    for name, weight in network.condition_net.state_dict().items():  # type: ignore[union-attr]
        assert torch.equal(weight, before[name])


def test_a_run_goes_on_where_it_ended(config_file: Path, tmp_path: Path) -> None:
    settings = [*SETTINGS, "checkpoint_every=4", "steps=8", "validation.every=100"]
    whole: list[Any] = []
    train(load_config(config_file, settings), tmp_path / "whole", report=whole.append)
    rest: list[Any] = []
    resume = tmp_path / "whole" / "step-00000004.ckpt"
    train(load_config(config_file, settings), tmp_path / "rest", resume=resume, report=rest.append)
    assert [p.losses for p in rest] == [p.losses for p in whole[4:]]
    with pytest.raises(ConfigError, match="another value of equalised"):
        train(load_config(config_file, [*settings, "equalised=false"]), tmp_path / "other", resume=resume)


def test_what_does_not_go_together_is_told(config_file: Path) -> None:
    with pytest.raises(ConfigError, match="condition_every: 5 is odd"):
        load_config(config_file, ["loss.halves=in_turn", "loss.condition_every=5"])
