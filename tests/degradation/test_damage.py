"""How much a task takes: nothing for shrinking alone, and more of everything for more."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from blindsr.degradation import (
    SPACES,
    Degradation,
    Direct,
    Injection,
    InjectionBank,
    Kernel,
    Stage,
    TwoStage,
)
from blindsr.degradation.damage import damage
from blindsr.errors import InputError


def bank(sigma: float, noise: float) -> InjectionBank:
    """At x2: shrinking after a blur of `sigma` HR pixels, and noise of so many levels."""
    places = np.arange(24) - 11.5
    line = np.exp(-(places**2) / (2 * sigma**2)) if sigma else (np.abs(places) < 1).astype(float)
    kernel = np.outer(line, line) / np.outer(line, line).sum()
    patch = np.random.default_rng(0).normal(0, noise / 255, (1, 3, 16, 16)).clip(-1, 1)
    first = np.zeros(1, np.int32)
    return InjectionBank(2, kernel[None].astype(np.float32), patch.astype(np.float16), ("a",), first, first)


CLEAN = [
    Degradation(),
    Degradation(scale=2, jpeg=100),
    TwoStage(),
    TwoStage(first=Stage(resize=0.5)),  # still larger than the LR image
    TwoStage(first=Stage(resize=1.3), second=Stage(resize=1.1)),
    Injection(bank(0, 0)),
]


@pytest.mark.parametrize("task", CLEAN, ids=str)
def test_shrinking_alone_is_no_damage(task: Degradation | TwoStage | Injection) -> None:
    assert damage(task) == pytest.approx(0, abs=1e-9)


WORSE = [
    (Degradation(sigma_x=1, sigma_y=1), Degradation(sigma_x=2, sigma_y=1)),
    (Degradation(noise=3), Degradation(noise=30)),
    (Degradation(noise=3), Degradation(noise=3, poisson=3)),
    (Degradation(jpeg=90), Degradation(jpeg=40)),
    (Degradation(jpeg=40), Degradation(jpeg=40, noise=1)),
    (Degradation(noise=9, noise_scale=1.5), Degradation(noise=9)),
    (TwoStage(first=Stage(noise=20)), TwoStage(second=Stage(noise=20))),
    (TwoStage(first=Stage(jpeg=60)), TwoStage(second=Stage(jpeg=60))),
    (TwoStage(), TwoStage(second=Stage(resize=0.6))),
    (TwoStage(first=Stage(resize=0.24)), TwoStage(first=Stage(resize=0.15))),
    (
        TwoStage(first=Stage(Kernel("gaussian", 21, 2, 2))),
        TwoStage(second=Stage(Kernel("plateau", 21, 2, 2)), first=Stage(resize=0.25)),
    ),
    (TwoStage(sinc=Kernel("sinc", 21, cutoff=3)), TwoStage(sinc=Kernel("sinc", 21, cutoff=1.1))),
    (Injection(bank(2, 0)), Injection(bank(4, 0))),
    (Injection(bank(2, 9)), Injection(bank(2, 9), noise=0)),
    (Injection(bank(2, 2), noise=0), Injection(bank(2, 20), noise=0)),
    (Injection(bank(2, 2), jpeg=90), Injection(bank(2, 2), jpeg=50)),
]


@pytest.mark.parametrize(("less", "more"), WORSE)
def test_more_of_anything_is_more_damage(less: TwoStage, more: TwoStage) -> None:
    assert 0 <= damage(less) < damage(more) < 1


def test_kinds_of_tasks_agree_on_what_they_share() -> None:
    """The same blur of 2 HR pixels, noise of 8 levels and JPEG at x2, told in three ways."""
    one = Degradation(2, sigma_x=2, sigma_y=2, noise=8, jpeg=70)
    two = TwoStage(2, Stage(Kernel("gaussian", 21, 2, 2), resize=0.5), Stage(noise=8, jpeg=70))
    # (An injection's kernel holds the mean of 2 x 2 pixels too.)
    injected = Injection(bank(math.sqrt(4 + 1 / 4), 8), noise=0, jpeg=70)
    assert damage(two) == pytest.approx(damage(one), abs=1e-9)
    assert damage(injected) == pytest.approx(damage(one), abs=0.02)


def test_spaces_are_in_the_order_of_their_harshness() -> None:
    def usual(name: str) -> float:
        rng = np.random.default_rng(1)
        found = [damage(SPACES[name].sample(rng)) for _ in range(200)]
        assert min(found) >= 0 and max(found) < 1
        return float(np.mean(found))

    assert usual("camera") < usual("real-esrgan")
    mild = replace(SPACES["real"], noise=(0, 5), sigma=(0.2, 1), jpeg=(80, 100))  # type: ignore[arg-type]
    rng = np.random.default_rng(1)
    assert np.mean([damage(mild.sample(rng)) for _ in range(200)]) < usual("real")


def test_of_other_tasks_it_is_not_known() -> None:
    with pytest.raises(InputError, match="not known of a Direct"):
        damage(Direct(2, np.ones((2, 2)) / 4))
