"""The structural criterion against the SSIM metric, and its gradient."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from blindsr.loss import structural_dissimilarity
from blindsr.metrics import ssim


def test_is_one_minus_ssim_of_gray_images() -> None:
    """Gray, because the metric's luma has another offset and range than the plain weighted sum."""
    rng = np.random.default_rng(0)
    a = np.repeat(rng.random((30, 41, 1)), 3, 2).astype(np.float32)
    b = np.clip(a + rng.normal(0, 0.1, (30, 41, 1)), 0, 1).astype(np.float32)
    tensors = [torch.from_numpy(image.transpose(2, 0, 1)[None].copy()) for image in (a, b)]
    expected = 1 - ssim(a, b, border=0, channel="rgb", quantise=False)
    assert float(structural_dissimilarity(*tensors)) == pytest.approx(expected, abs=1e-5)


def test_identity_symmetry_and_range() -> None:
    torch.manual_seed(0)
    x, y = torch.rand(2, 3, 16, 20), torch.rand(2, 3, 16, 20)
    assert float(structural_dissimilarity(x, x)) == pytest.approx(0, abs=1e-6)
    torch.testing.assert_close(structural_dissimilarity(x, y), structural_dissimilarity(y, x))
    assert 0 < float(structural_dissimilarity(x, y)) < 2


def test_a_step_against_the_gradient_helps() -> None:
    torch.manual_seed(0)
    x, y = torch.rand(1, 3, 16, 16, requires_grad=True), torch.rand(1, 3, 16, 16)
    before = structural_dissimilarity(x, y)
    (gradient,) = torch.autograd.grad(before, x)
    assert structural_dissimilarity(x.detach() - 0.1 * gradient / gradient.abs().max(), y) < before


def test_wrong_shapes_are_refused() -> None:
    for shape in ((1, 3, 10, 20), (1, 1, 16, 16), (3, 16, 16)):
        with pytest.raises(ValueError, match="11x11"):
            structural_dissimilarity(torch.zeros(shape), torch.zeros(shape))
