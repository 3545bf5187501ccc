"""Spaces: what is drawn lies where it should, as often as it should."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from blindsr.degradation import (
    PAPER,
    REAL,
    SPACES,
    Degradation,
    DegradationSpace,
    MixedSpace,
    TwoStage,
    read_space,
)
from blindsr.errors import InputError

DRAWS = 4000


def draw(space: DegradationSpace, count: int = DRAWS) -> list[Degradation]:
    rng = np.random.default_rng(0)
    return [space.sample(rng) for _ in range(count)]


def share(flags: list[bool]) -> float:
    return sum(flags) / len(flags)


def test_paper_space() -> None:
    tasks = draw(PAPER)
    assert {task.sigma_x for task in tasks} == {round(0.1 * i, 9) for i in range(2, 41)}
    assert {task.noise for task in tasks} == {float(i) for i in range(76)}
    assert all(
        task.sigma_y == task.sigma_x and task.kernel_size == 15 and task.jpeg is None for task in tasks
    )
    assert all(task.poisson == 0 and not task.gray_noise and task.noise_scale == 1 for task in tasks)
    qualities = {task.jpeg for task in draw(replace(PAPER, jpeg_probability=1.0))}
    assert qualities == set(range(30, 81))


def test_real_space() -> None:
    tasks = draw(REAL)
    blurred = [task for task in tasks if task.sigma_x > 0]
    noisy = [task for task in tasks if task.noise > 0 or task.poisson > 0]
    assert all(min(t.sigma_x, t.sigma_y) >= 0.2 and max(t.sigma_x, t.sigma_y) <= 4 for t in blurred)
    assert all(task.noise <= 50 and task.poisson <= 50 for task in tasks)
    assert all(task.jpeg is None or 30 <= task.jpeg <= 100 for task in tasks)
    assert all(0.5 <= task.noise_scale <= 1.5 for task in tasks)
    assert {task.kernel_size for task in tasks} == {7, 11, 15, 21}
    near = {
        "noisy": (len(noisy) / len(tasks), 0.6),
        "anisotropic": (share([t.sigma_x != t.sigma_y for t in blurred]), 0.2),
        "poisson": (share([t.poisson > 0 for t in noisy]), 0.2),
        "gray": (share([t.gray_noise for t in noisy]), 0.15),
        "coloured": (share([t.noise_scale != 1 for t in noisy]), 0.3),
        "jpeg": (share([t.jpeg is not None for t in tasks]), 0.35),
    }
    for name, (measured, expected) in near.items():
        assert measured == pytest.approx(expected, abs=0.04), name
    silent = [t for t in tasks if t.noise == t.poisson == 0]
    assert not any(t.gray_noise or t.noise_scale != 1 for t in silent)


def test_generator_state_decides() -> None:
    assert draw(REAL, 20) == draw(REAL, 20)
    assert len(set(draw(REAL, 20))) == 20


def test_range_ends_are_reached() -> None:
    tasks = draw(
        DegradationSpace(sigma=(1, 2), sigma_step=0.5, noise=(0, 10), noise_step=5, kernel_sizes=(3, 5))
    )
    assert {task.sigma_x for task in tasks} == {1.0, 1.5, 2.0}
    assert {task.noise for task in tasks} == {0.0, 5.0, 10.0}


@pytest.mark.parametrize("name", SPACES)
def test_dictionary_form(name: str) -> None:
    space = SPACES[name]
    assert type(space).from_dict(json.loads(json.dumps(space.as_dict()))) == space


def test_a_space_is_named_or_spelt_out() -> None:
    assert read_space("real") is REAL
    assert read_space({"noise": [0, 5]}) == DegradationSpace(noise=(0, 5))
    assert read_space({"kind": "one-stage", "noise": [0, 5]}) == DegradationSpace(noise=(0, 5))
    with pytest.raises(InputError, match="unknown name 'rael'; did you mean 'real'"):
        read_space("rael")
    with pytest.raises(InputError, match="unknown kind 'two-stag'; did you mean 'two-stage'"):
        read_space({"kind": "two-stag"})
    with pytest.raises(InputError, match="the kinds are one-stage, two-stage"):
        read_space({"kind": 7})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"nois": [0, 1]}, "did you mean 'noise'"),
        ({"sigma": [3, 1]}, "sigma must be a range"),
        ({"sigma": 3}, "sigma must be a range"),
        ({"sigma": [-1, 1]}, "sigma_x must be 0 or more"),
        ({"jpeg": [30, 101]}, "quality from 1 to 100"),
        ({"jpeg": [30.5, 90]}, "whole numbers"),
        ({"noise": ["a", "b"]}, "must be numbers"),
        ({"gray_probability": 1.5}, "must lie in [0, 1]"),
        ({"noise_step": -1}, "noise_step must be 0 or more"),
        ({"kernel_sizes": []}, "at least one size"),
        ({"kernel_sizes": [4]}, "kernel_size must be odd"),
        ({"scale": 0}, "scale must be 1 or more"),
        ({"noise_scale": [0, 1]}, "noise_scale must be above 0"),
    ],
)
def test_impossible_spaces_are_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(InputError) as caught:
        DegradationSpace.from_dict(values)
    assert message in str(caught.value)


def test_skewed_noise_is_weak_more_often_and_keeps_its_range() -> None:
    even, skewed = (DegradationSpace(noise=(10.0, 50.0), noise_skew=skew) for skew in (1.0, 2.0))
    levels = []
    for space in (even, skewed):
        rng = np.random.default_rng(0)
        levels.append(np.array([space.sample(rng).noise for _ in range(2000)]))
    assert levels[1].min() >= 10
    assert levels[1].max() > 45
    assert np.median(levels[0]) == pytest.approx(30, abs=2)
    assert np.median(levels[1]) == pytest.approx(20, abs=2)  # 10 + 40 * 0.5 ** 2
    with pytest.raises(InputError, match="noise_skew"):
        DegradationSpace(noise_skew=0.0)


def test_a_mixture_draws_from_each_of_its_spaces() -> None:
    mixed = replace(read_space(["paper", "camera", {"noise": [0, 5]}]), scale=2)
    assert isinstance(mixed, MixedSpace)
    rng = np.random.default_rng(0)
    drawn = [mixed.sample(rng) for _ in range(60)]
    assert {task.scale for task in drawn} == {2}
    kinds = [isinstance(task, TwoStage) for task in drawn]
    assert 10 < sum(kinds) < 30
    again = np.random.default_rng(0)
    assert [mixed.sample(again) for _ in range(60)] == drawn
    with pytest.raises(InputError, match="at least one"):
        read_space([])
    with pytest.raises(InputError, match="did you mean 'camera'"):
        read_space(["paper", "camrea"])
