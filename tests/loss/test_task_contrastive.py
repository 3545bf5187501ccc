"""The task contrastive loss against its formula, and where naive code fails."""

from __future__ import annotations

import math

import pytest
import torch

from blindsr.loss import task_contrastive


def test_against_the_formula_written_out() -> None:
    torch.manual_seed(0)
    first, second = torch.randn(5, 8, dtype=torch.float64) / 3, torch.randn(5, 8, dtype=torch.float64) / 3
    negatives = torch.tensor([1, 2, 3, 4, 0])
    expected = 0.0
    for i in range(5):
        same = math.dist(first[i].tolist(), second[i].tolist()) ** 2
        other = math.dist(first[i].tolist(), second[negatives[i]].tolist()) ** 2
        expected += (math.log(1 + math.exp(same)) + math.log(1 + math.exp(-other))) / 5
    assert float(task_contrastive(first, second, negatives)) == pytest.approx(expected)


def test_by_channel_against_the_formula_written_out() -> None:
    torch.manual_seed(0)
    first, second = torch.randn(3, 4, dtype=torch.float64), torch.randn(3, 4, dtype=torch.float64)
    negatives = torch.tensor([2, 0, 1])
    terms = [
        math.log(1 + math.exp((first[i, c] - second[i, c]) ** 2))
        + math.log(1 + math.exp(-((first[i, c] - second[negatives[i], c]) ** 2)))
        for i in range(3)
        for c in range(4)
    ]
    found = task_contrastive(first, second, negatives, by_channel=True)
    assert float(found) == pytest.approx(sum(terms) / len(terms))


def test_bounds() -> None:
    """2 log 2 where all conditions coincide; log 2, the least, where only those of one task do."""
    negatives = torch.tensor([1, 2, 0])
    zeros, apart = torch.zeros(3, 4), torch.eye(3, 4) * 100
    assert float(task_contrastive(zeros, zeros, negatives)) == pytest.approx(2 * math.log(2))
    assert float(task_contrastive(apart, apart, negatives)) == pytest.approx(math.log(2))


def test_far_conditions_do_not_overflow_and_equal_ones_have_a_gradient() -> None:
    far = torch.full((2, 4), 1e3, requires_grad=True)
    loss = task_contrastive(far, -far, torch.tensor([1, 0]))
    loss.backward()
    assert torch.isfinite(loss)
    assert far.grad is not None
    same = torch.ones(2, 4, requires_grad=True)
    task_contrastive(same, same.detach(), torch.tensor([1, 0])).backward()
    assert same.grad is not None
    assert torch.isfinite(same.grad).all()


def test_pulls_together_and_pushes_apart() -> None:
    first = torch.tensor([[0.3, 0.0], [0.2, 0.5]], requires_grad=True)
    second = torch.tensor([[0.0, 0.0], [0.5, 0.5]])
    (gradient,) = torch.autograd.grad(task_contrastive(first, second, torch.tensor([1, 0])), first)
    stepped = first.detach() - 0.1 * gradient
    for i in range(2):
        assert (stepped[i] - second[i]).norm() < (first[i] - second[i]).norm()
        assert (stepped[i] - second[1 - i]).norm() > (first[i] - second[1 - i]).norm()


def test_wrong_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(T, C\)"):
        task_contrastive(torch.zeros(2, 4, 1, 1), torch.zeros(2, 4, 1, 1), torch.tensor([1, 0]))
    with pytest.raises(ValueError, match="indices"):
        task_contrastive(torch.zeros(2, 4), torch.zeros(2, 4), torch.tensor([0]))
