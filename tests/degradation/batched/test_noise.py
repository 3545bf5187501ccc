"""The numbers of a batch's noise are those that every image gets alone."""

from __future__ import annotations

import numpy as np
import torch

from blindsr.degradation import Degradation, gaussian_noise, poisson_noise
from blindsr.degradation.batched.noise import add_noise, noise_columns, noise_numbers

TASKS = [
    Degradation(noise=255.0),
    Degradation(poisson=255.0, gray_noise=True),
    Degradation(noise=30, poisson=20),
    Degradation(),
]
SEEDS, ITEMS, SIDES = [5, 10**30, -3, 0], [0, 17, 2, 1], [24, 17, 31, 1]


def test_numbers_are_those_of_each_image_alone() -> None:
    columns = {name: torch.from_numpy(c) for name, c in noise_columns(TASKS, SEEDS, ITEMS).items()}
    gray = columns["gray"][:, None, None, None]
    made = noise_numbers(torch.zeros(4, 3, 31, 31), columns["keys"], gray, torch.tensor(SIDES))
    for i, side in enumerate(SIDES):
        for numbers, operator, level in zip(made, (poisson_noise, gaussian_noise), (1.0, 0.0), strict=True):
            flat = np.full((1, 3, side, side), level, np.float32)
            alone = operator(flat, 255, SEEDS[i], TASKS[i].gray_noise, ITEMS[i]) - flat
            np.testing.assert_allclose(numbers[i, :, :side, :side].numpy(), alone[0], atol=1e-6)


def test_is_the_operators_one_after_the_other() -> None:
    x = torch.from_numpy(np.random.default_rng(2).random((4, 3, 20, 20), dtype=np.float32))
    columns = {name: torch.from_numpy(c) for name, c in noise_columns(TASKS, SEEDS, ITEMS).items()}
    result = add_noise(x, columns, 20)
    for i, task in enumerate(TASKS):
        alone = poisson_noise(x[i : i + 1], task.poisson, SEEDS[i], task.gray_noise, ITEMS[i])
        alone = gaussian_noise(alone, task.noise, SEEDS[i], task.gray_noise, ITEMS[i])
        torch.testing.assert_close(result[i : i + 1], alone, rtol=0, atol=1e-6)
