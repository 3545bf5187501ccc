"""The clock, learning rates and averaged weights against their definitions."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from blindsr.training.config import OptimiserSection
from blindsr.training.ema import WeightAverage
from blindsr.training.schedule import Clock, decays_from, learning_rate


class Watch:
    """Seconds that a test lets pass."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def test_a_clock_by_steps_counts_them_from_where_a_run_goes_on() -> None:
    clock = Clock(10)
    assert [clock.place(taken) for taken in (0, 1, 10)] == [0, 1, 10]
    assert [clock.over(place) for place in (0, 9, 9.99, 10, 11)] == [False, False, False, True, True]
    resumed = Clock(10, begun=7)
    assert [resumed.place(taken) for taken in (0, 3)] == [7, 10]


def test_a_clock_by_minutes_tells_the_share_of_the_time() -> None:
    watch = Watch()
    clock = Clock(1000, minutes=2, reserve=20, now=watch)
    assert clock.seconds == 100
    told = []
    for seconds in (0, 25, 50, 99, 100, 500):
        watch.seconds = 1000 + seconds
        told.append(clock.place(123))  # however many steps
    assert told == pytest.approx([0, 250, 500, 990, 1000, 1000])
    assert [clock.over(place) for place in told] == [False, False, False, False, True, True]


def test_a_clock_by_minutes_has_them_for_the_rest_of_a_schedule() -> None:
    watch = Watch()
    clock = Clock(1000, minutes=1, reserve=10, begun=600, now=watch)
    places = []
    for seconds in (0, 25, 50):
        watch.seconds = 1000 + seconds
        places.append(clock.place(0))
    assert places == pytest.approx([600, 800, 1000])


def test_a_clock_without_time_is_over_at_once() -> None:
    watch = Watch()
    clock = Clock(1000, minutes=1, reserve=60, now=watch)
    assert clock.place(0) == 0
    watch.seconds += 0.01
    assert clock.over(clock.place(1))


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


def test_a_rate_never_rises_above_its_own_between_two_steps() -> None:
    section = OptimiserSection(lr=1.0, schedule="multistep", milestones=(), warmup=4, after=2)
    rates = [learning_rate(section, 2 + i / 8, 110) for i in range(48)]
    assert rates == sorted(rates) and rates[-1] == max(rates) == 1
    assert rates[:2] == pytest.approx([0.25, 0.28125])


def test_stable_stays_and_falls_in_a_straight_line() -> None:
    section = OptimiserSection(lr=2.0, schedule="stable", decay=0.25, floor=0.2)
    rates = [learning_rate(section, place, 80) for place in (0, 30, 60, 65, 70, 79.5, 80, 81)]
    assert rates == pytest.approx([2, 2, 2, 1.6, 1.2, 0.44, 0.4, 0.4])
    assert decays_from(section, 80) == 60
    warming = section.model_copy(update={"warmup": 10})
    assert [learning_rate(warming, place, 80) for place in (0, 4, 9, 10)] == pytest.approx([0.2, 1, 2, 2])
    always = section.model_copy(update={"decay": 1.0})
    assert decays_from(always, 80) == 0
    assert learning_rate(always, 40, 80) == pytest.approx(1.2)


@pytest.mark.parametrize("schedule", ["multistep", "cosine"])
def test_other_schedules_have_no_trunk(schedule: Any) -> None:
    assert decays_from(OptimiserSection(schedule=schedule, decay=0.25), 80) == 0


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
