"""What describes a task: one number for one fault, and the same numbers for the same ellipse."""

from __future__ import annotations

import math

import pytest
import torch

from blindsr.degradation import Degradation
from blindsr.loss import PARAMETERS, task_parameters, task_regression


def test_each_fault_shows_in_numbers_of_its_own() -> None:
    clean = Degradation()
    round_blur = Degradation(sigma_x=2.0, sigma_y=2.0)
    faults = {
        (0,): round_blur,
        (3,): Degradation(noise=15.0),
        (4,): Degradation(poisson=15.0),
        (3, 5): Degradation(noise=15.0, gray_noise=True),
        (3, 6): Degradation(noise=15.0, noise_scale=0.5),
        (7,): Degradation(jpeg=100),
        (7, 8): Degradation(jpeg=60),
    }
    rows = task_parameters([clean, *faults.values()])
    assert rows.shape == (1 + len(faults), PARAMETERS)
    for row, places in zip(rows[1:], faults, strict=True):
        assert tuple((row != rows[0]).nonzero().flatten().tolist()) == places


def test_an_ellipse_has_one_description() -> None:
    ellipse = Degradation(sigma_x=2.0, sigma_y=1.0, angle=0.4)
    same = [
        Degradation(sigma_x=2.0, sigma_y=1.0, angle=0.4 + math.pi),
        Degradation(sigma_x=1.0, sigma_y=2.0, angle=0.4 + math.pi / 2),
    ]
    rows = task_parameters([ellipse, *same, Degradation(sigma_x=2.0, sigma_y=1.0, angle=0.5)])
    torch.testing.assert_close(rows[1], rows[0])
    torch.testing.assert_close(rows[2], rows[0])
    assert not torch.allclose(rows[3], rows[0], atol=1e-2)


def test_the_loss_is_the_sum_over_parameters() -> None:
    tasks = task_parameters([Degradation(), Degradation(noise=5.0)])
    read = tasks.clone()
    read[0, :2] += 0.25
    read[1, 8] -= 1
    assert float(task_regression(read, tasks)) == pytest.approx(0.75)
