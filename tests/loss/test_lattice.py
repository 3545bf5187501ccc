"""The lattice criterion sees what every cell has in common, and nothing of texture or of brightness."""

from __future__ import annotations

import pytest
import torch

from blindsr.errors import ConfigError
from blindsr.loss.criterion import Restored
from blindsr.loss.lattice import Lattice, phase_error


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_a_lattice_is_what_it_sees(scale: int) -> None:
    torch.manual_seed(0)
    truth, lattice = torch.rand(2, 3, 16 * scale, 12 * scale), torch.zeros(3, 16 * scale, 12 * scale)
    lattice[:, ::scale, ::scale] = 0.1
    share = 1 / scale**2  # of the phases; the cell's mean is taken away
    expected = 0.1 * 2 * share * (1 - share)
    found = phase_error(torch.stack([truth[0] + lattice, truth[1]]), truth, scale)
    torch.testing.assert_close(found, torch.tensor([expected, 0.0]), atol=1e-6, rtol=0)


def test_what_is_no_lattice_counts_for_little_or_nothing() -> None:
    torch.manual_seed(0)
    truth = torch.rand(1, 3, 64, 64)
    cells = torch.rand(1, 3, 16, 16).repeat_interleave(4, 2).repeat_interleave(4, 3)
    assert float(phase_error(truth + cells, truth)) < 1e-6  # brightness, in any pattern of whole cells
    noise = 0.1 * torch.randn(1, 3, 64, 64)
    assert float(phase_error(truth + noise, truth)) < 0.2 * float(noise.abs().mean())
    few = torch.rand(1, 3, 8, 8)  # fewer cells than are averaged over
    assert float(phase_error(few, few)) == 0


def test_a_step_against_the_gradient_takes_a_lattice_out() -> None:
    truth = torch.full((1, 3, 64, 64), 0.5)
    view = truth.clone()
    view[..., 1::4, 2::4] += 0.08
    view.requires_grad_()
    criterion = Lattice()
    before = criterion(Restored({"output": view}, truth), "output", "attract")
    (gradient,) = torch.autograd.grad(before, view)
    better = view.detach() - 0.01 * gradient / gradient.abs().max()
    assert criterion(Restored({"output": better}, truth), "output", "attract") < before
    inside = gradient[..., 24:40, 24:40]
    assert (inside[..., 1::4, 2::4] > 0).all() and inside.sum().abs() < 1e-6


def test_wrong_shapes_and_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="multiples of 4"):
        phase_error(torch.zeros(1, 3, 16, 18), torch.zeros(1, 3, 16, 18))
    with pytest.raises(ConfigError, match="scale must be 2 or more"):
        Lattice(scale=1)
