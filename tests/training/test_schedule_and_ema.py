"""Learning rates and averaged weights against their definitions."""

from __future__ import annotations

import pytest
import torch

from blindsr.training.config import OptimiserSection
from blindsr.training.ema import WeightAverage
from blindsr.training.schedule import learning_rate


def test_multistep() -> None:
    section = OptimiserSection(lr=1.0, schedule="multistep", milestones=(0.5, 0.9), gamma=0.1)
    rates = [learning_rate(section, step, 100) for step in (0, 49, 50, 89, 90, 99)]
    assert rates == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])


def test_cosine_with_warmup() -> None:
    section = OptimiserSection(lr=1.0, schedule="cosine", warmup=10, floor=0.1)
    rates = [learning_rate(section, step, 110) for step in range(110)]
    assert rates[:10] == pytest.approx([(i + 1) / 10 for i in range(10)])
    assert rates[10] == pytest.approx(1)
    assert rates[60] == pytest.approx(0.55)
    assert rates[-1] == pytest.approx(0.1, abs=1e-3)
    assert rates[10:] == sorted(rates[10:], reverse=True)


def test_weights_that_begin_late_warm_up_then() -> None:
    section = OptimiserSection(lr=1.0, schedule="cosine", warmup=10, after=20, floor=1.0)
    assert [learning_rate(section, step, 110) for step in range(20, 40)] == pytest.approx(
        [*((i + 1) / 10 for i in range(10)), *[1.0] * 10]
    )


def test_average_follows_its_formula_and_is_lent_for_a_block() -> None:
    network = torch.nn.Linear(2, 1, bias=False)
    average = WeightAverage(network, decay=0.15)
    expected = network.weight.detach().clone()
    for k in range(4):
        with torch.no_grad():
            network.weight.add_(1.0)
        decay = min(0.15, (1 + k) / (10 + k))
        expected = decay * expected + (1 - decay) * network.weight.detach()
        average.update(network)
    torch.testing.assert_close(average.state_dict()["weight"], expected)
    own = network.weight.detach().clone()
    with average.applied_to(network):
        torch.testing.assert_close(network.weight.detach(), expected)
    assert torch.equal(network.weight, own)


def test_no_average_is_the_weights() -> None:
    network = torch.nn.Linear(2, 1)
    average = WeightAverage(network, decay=0)
    with torch.no_grad():
        network.weight.fill_(3)
    average.update(network)
    assert torch.equal(average.state_dict()["weight"], network.weight)
