"""Kernels made where the batch lives are those of `Kernel.pixels`, and blur as `blur` does."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from blindsr.degradation import Kernel, blur
from blindsr.degradation.batched.blur import Blur
from blindsr.degradation.batched.kernels import gaussian_pixels, kernel_columns, kernel_pixels

KERNELS = [
    Kernel("gaussian", 21, 2.0, 2.0),
    Kernel("gaussian", 7, 0.2, 4.0, 1.1),
    Kernel("gaussian", 15, 3.0, 0.7, 2.5, beta=3.0),  # whose beta means nothing
    None,
    Kernel("generalised", 9, 1.5, 2.5, 0.4, beta=0.5),
    Kernel("generalised", 21, 0.2, 0.3, 0.4, beta=4.0),
    Kernel("plateau", 21, 0.2, 3.0, 3.1, beta=2.0),
    Kernel("plateau", 1, 3.0, 3.0, beta=1.0),
    Kernel("sinc", 21, cutoff=math.pi / 5),
    Kernel("sinc", 7, cutoff=math.pi),
    Kernel("sinc", 1, cutoff=1.0),
]


@pytest.mark.parametrize("side", [21, 31])
def test_every_family(side: int) -> None:
    columns = {name: torch.from_numpy(column) for name, column in kernel_columns(KERNELS).items()}
    made = kernel_pixels(columns, side)
    assert made.shape == (len(KERNELS), side, side) and made.dtype == torch.float32
    for kernel, pixels in zip(KERNELS, made.numpy(), strict=True):
        expected = np.ones((1, 1)) if kernel is None else kernel.pixels()
        # PyTorch's Bessel function is good to 5e-7, which is weighed by cutoff / (2 pi distance).
        margin = (side - len(expected)) // 2
        np.testing.assert_allclose(
            pixels, np.pad(expected, margin), rtol=1e-6, atol=2e-8, err_msg=str(kernel)
        )
    torch.testing.assert_close(gaussian_pixels(columns, side)[:4], made[:4], rtol=0, atol=0)


def test_columns_may_have_any_shape() -> None:
    columns = {name: torch.from_numpy(column) for name, column in kernel_columns(KERNELS[:6]).items()}
    paired = kernel_pixels({name: column.reshape(3, 2) for name, column in columns.items()}, 21)
    torch.testing.assert_close(paired.reshape(6, 21, 21), kernel_pixels(columns, 21), rtol=0, atol=0)


@pytest.mark.parametrize("side", [40, 16, 3, 1])
def test_blurs_each_image_by_its_own(side: int) -> None:
    x = torch.from_numpy(np.random.default_rng(4).random((len(KERNELS), 3, side, side), dtype=np.float32))
    columns = {name: torch.from_numpy(column) for name, column in kernel_columns(KERNELS).items()}
    result = Blur(side, 21, "cpu")(x, kernel_pixels(columns, 21), columns["size"])
    for i, kernel in enumerate(KERNELS):
        if kernel is None:
            torch.testing.assert_close(result[i], x[i], rtol=0, atol=0)
        else:
            torch.testing.assert_close(result[i], blur(x[i : i + 1], kernel.pixels())[0], rtol=0, atol=2e-6)
