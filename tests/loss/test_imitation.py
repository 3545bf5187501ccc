"""Imitation: the scale of its numbers, and that nothing flows into what is imitated."""

from __future__ import annotations

import torch

from blindsr.loss import imitation


def test_a_constant_scores_one_and_the_same_scores_nothing() -> None:
    torch.manual_seed(0)
    given = torch.randn(64, 10) * torch.logspace(-1, 1, 10)
    assert float(imitation(given.repeat(2, 1), given)) == 0
    constant = given.mean(0, keepdim=True).expand(128, -1)
    assert 0.6 < float(imitation(constant, given)) <= 1  # scales that hardly vary count less


def test_every_set_is_compared_with_its_own_task() -> None:
    given = torch.tensor([[0.0, 1.0], [2.0, 5.0], [4.0, 3.0]])
    assert float(imitation(torch.cat([given, given]), given)) == 0
    assert float(imitation(torch.cat([given, given.roll(1, 0)]), given)) > 0.5


def test_no_gradient_flows_into_what_is_imitated() -> None:
    own, given = torch.randn(6, 4, requires_grad=True), torch.randn(3, 4, requires_grad=True)
    imitation(own, given).backward()
    assert own.grad is not None and given.grad is None


def test_tasks_that_are_all_alike_give_a_finite_loss() -> None:
    assert torch.isfinite(imitation(torch.zeros(4, 3), torch.zeros(2, 3)))
