"""The lattice criterion sees what every cell has in common, and nothing of texture or of brightness."""

from __future__ import annotations

import pytest
import torch

from blindsr.errors import ConfigError
from blindsr.loss.criterion import Restored
from blindsr.loss.lattice import Lattice, amplitude_error, phase_error


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


def test_dots_that_have_no_mean_are_seen_by_their_amplitude() -> None:
    torch.manual_seed(0)
    truth = 0.5 + 0.02 * torch.randn(1, 3, 96, 96)
    dots = torch.zeros(1, 3, 96, 96)
    dots[..., 1::4, 2::4] = 0.1 * torch.randn(24, 24)
    texture = 0.025 * torch.randn(1, 3, 96, 96)  # as much energy, anywhere
    seen = [float(amplitude_error(truth + more, truth)) for more in (dots, texture, torch.zeros(1))]
    assert seen[0] > 8 * seen[1] > seen[2] == 0
    moved = amplitude_error(truth.roll(2, 3), truth)  # other grain of the same kind
    assert float(moved) < 0.1 * seen[0]
    view = (truth + dots).requires_grad_()
    (gradient,) = torch.autograd.grad(amplitude_error(view, truth).sum(), view)
    better = view.detach() - 0.02 * gradient / gradient.abs().max()
    assert float(amplitude_error(better, truth)) < seen[0]


def test_amplitudes_count_as_much_as_is_said() -> None:
    torch.manual_seed(0)
    made = Restored({"output": torch.rand(2, 3, 32, 32)}, torch.rand(2, 3, 32, 32))
    alone, both = (Lattice(amplitude=weight)(made, "output", "attract") for weight in (0.0, 3.0))
    expected = 3 * amplitude_error(made.image("output"), made.image("truth")).mean()
    torch.testing.assert_close(both - alone, expected)


def test_wrong_shapes_and_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="multiples of 4"):
        phase_error(torch.zeros(1, 3, 16, 18), torch.zeros(1, 3, 16, 18))
    with pytest.raises(ConfigError, match="scale must be 2 or more"):
        Lattice(scale=1)
    with pytest.raises(ConfigError, match="amplitude must be 0 or more"):
        Lattice(amplitude=float("nan"))
