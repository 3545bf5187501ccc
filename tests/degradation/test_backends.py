"""Every operator gives the same on NumPy arrays and on tensors, and needs PyTorch only for tensors."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from blindsr.degradation import (
    Degradation,
    blur,
    degrade,
    gaussian_kernel,
    gaussian_noise,
    jpeg,
    poisson_noise,
    resize,
)
from blindsr.errors import InputError

from ..children import finished

OPERATORS: dict[str, Callable[[Any], Any]] = {
    "blur isotropic": lambda x: blur(x, gaussian_kernel(2.6, 2.6, 0, 15)),
    "blur rotated": lambda x: blur(x, gaussian_kernel(3, 0.8, 0.5, 21)),
    "resize down": lambda x: resize(x, scale=0.25),
    "resize area": lambda x: resize(x, (13, 60), filter="area"),
    "resize bilinear": lambda x: resize(x, (13, 60), filter="bilinear"),
    "resize up": lambda x: resize(x, (50, 70)),
    "gaussian noise": lambda x: gaussian_noise(x, 30, seed=5),
    "gray noise": lambda x: gaussian_noise(x, 30, seed=5, gray=True),
    "poisson noise": lambda x: poisson_noise(x, 30, seed=5),
    "gray poisson noise": lambda x: poisson_noise(x, 30, seed=5, gray=True),
    "jpeg 420": lambda x: jpeg(x, 50),
    "jpeg 444": lambda x: jpeg(x, 50, "444"),
    "degrade": lambda x: degrade(
        x, Degradation.parse("blur=2x1@30,noise=15,poisson=9,noise_scale=0.7"), 5, False
    ),
}
DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", OPERATORS)
def test_tensor_equals_array(name: str, device: str, batch: NDArray[np.float32]) -> None:
    expected = OPERATORS[name](batch)
    tensor = torch.from_numpy(batch).to(device)
    result = OPERATORS[name](tensor)
    assert isinstance(expected, np.ndarray) and expected.dtype == np.float32
    assert result.dtype == torch.float32 and result.device == tensor.device
    difference = np.abs(result.cpu().numpy() - expected)
    if "jpeg" in name:
        # A coefficient on the edge of a quantisation step may fall to either side.
        assert (difference > 1e-6).mean() < 2e-3
    else:
        assert difference.max() < 1e-5 * (1 if "noise" not in name else 0.1)


@pytest.mark.parametrize("device", DEVICES)
def test_gradients_and_reduced_precision_do_not_enter(device: str, batch: NDArray[np.float32]) -> None:
    degradation = Degradation.parse("blur=2,noise=10")
    tensor = torch.from_numpy(batch).to(device).requires_grad_()
    expected = degrade(batch, degradation, 1, quantise=False)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        with torch.autocast(device, dtype=torch.bfloat16):
            result = degrade(tensor, degradation, 1, quantise=False)
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(before)
    assert not result.requires_grad and result.dtype == torch.float32
    np.testing.assert_allclose(result.cpu().numpy(), expected, atol=1e-5)
    assert torch.is_grad_enabled()


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize(
    "bad",
    [
        np.zeros((1, 3, 32, 32)),
        np.zeros((3, 32, 32), np.float32),
        np.zeros((0, 3, 32, 32), np.float32),
        torch.zeros(1, 3, 32, 32, dtype=torch.float16),
        "photo.png",
    ],
    ids=["float64", "three axes", "empty", "half", "text"],
)
def test_anything_but_a_float32_batch_is_refused(name: str, bad: object) -> None:
    with pytest.raises(InputError, match="a batch must be"):
        OPERATORS[name](bad)


def test_arrays_work_without_torch() -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import numpy as np\n"
        "from blindsr.degradation import Degradation, degrade\n"
        "x = np.full((1, 3, 16, 16), 0.5, np.float32)\n"
        "d = Degradation.parse('blur=2x1@30,noise=5,poisson=5,noise_scale=1.2,jpeg=90')\n"
        "assert degrade(x, d, 1).shape == (1, 3, 4, 4)\n"
    )
    done = finished(sys.executable, "-c", code)
    assert done.returncode == 0, done.stderr
