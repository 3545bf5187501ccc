"""Adversarial losses against their formulas, and where their gradients point."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from blindsr.loss.adversarial import (
    relativistic_discriminator,
    relativistic_generator,
    vanilla_discriminator,
    vanilla_generator,
)


@pytest.fixture
def logits() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    real, fake = 2 * torch.randn(2, 3, 1, 5, 4, generator=generator, dtype=torch.float64)
    return real + 1, fake - 0.5


def test_values_are_those_of_the_formulas(logits: tuple[Tensor, Tensor]) -> None:
    real, fake = logits
    real_beside_fake, fake_beside_real = real - fake.mean(), fake - real.mean()
    # log(1 - s(z)) = log s(-z)
    generator = -logsigmoid(-real_beside_fake).mean() - logsigmoid(fake_beside_real).mean()
    discriminator = -logsigmoid(real_beside_fake).mean() - logsigmoid(-fake_beside_real).mean()
    torch.testing.assert_close(relativistic_generator(real, fake), generator)
    torch.testing.assert_close(relativistic_discriminator(real, fake), discriminator)
    torch.testing.assert_close(vanilla_generator(fake), -logsigmoid(fake).mean())
    torch.testing.assert_close(
        vanilla_discriminator(real, fake), -logsigmoid(real).mean() - logsigmoid(-fake).mean()
    )


def test_by_hand() -> None:
    """One logit each: real 3, fake 1; so log(1 + e^2) and log(1 + e^-2), each of them twice."""
    real, fake = (torch.full((1, 1, 1, 1), value, dtype=torch.float64) for value in (3, 1))
    assert float(relativistic_generator(real, fake)) == pytest.approx(2 * math.log(1 + math.e**2))
    assert float(relativistic_discriminator(real, fake)) == pytest.approx(2 * math.log(1 + math.e**-2))


def test_the_parts_are_symmetric(logits: tuple[Tensor, Tensor]) -> None:
    real, fake = logits
    assert torch.equal(relativistic_generator(real, fake), relativistic_discriminator(fake, real))
    assert float(relativistic_generator(real, fake)) > float(relativistic_discriminator(real, fake))
    equal = torch.full((2, 1, 3, 3), -4.0)
    for loss in (relativistic_generator, relativistic_discriminator):
        assert float(loss(equal, equal)) == pytest.approx(2 * math.log(2))
        # Only differences count.
        torch.testing.assert_close(loss(real + 7, fake + 7), loss(real, fake))


def test_averages_run_over_batch_and_map(logits: tuple[Tensor, Tensor]) -> None:
    for loss in (relativistic_generator, relativistic_discriminator, vanilla_discriminator):
        flat = [x.reshape(1, 1, 1, -1) for x in logits]
        torch.testing.assert_close(loss(*logits), loss(*flat))


def test_gradients_point_where_they_should(logits: tuple[Tensor, Tensor]) -> None:
    real, fake = (x.requires_grad_() for x in logits)
    for loss, sign in ((relativistic_generator, -1), (relativistic_discriminator, 1)):
        of_real, of_fake = torch.autograd.grad(loss(real, fake), (real, fake))
        assert (of_fake * sign > 0).all()
        assert (of_real * sign < 0).all()
        assert torch.autograd.gradcheck(loss, (real, fake))
    (of_fake,) = torch.autograd.grad(vanilla_generator(fake), fake)
    assert (of_fake < 0).all()
    of_real, of_fake = torch.autograd.grad(vanilla_discriminator(real, fake), (real, fake))
    assert (of_real < 0).all()
    assert (of_fake > 0).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_nothing_overflows(dtype: torch.dtype) -> None:
    real = torch.full((1, 1, 2, 2), 1e4, dtype=dtype, requires_grad=True)
    fake = torch.full((1, 1, 2, 2), -1e4, dtype=dtype, requires_grad=True)
    loss = relativistic_generator(real, fake)
    assert loss.dtype == torch.float32
    assert float(loss.detach()) == pytest.approx(4e4, rel=1e-2)
    loss.backward()
    assert fake.grad is not None
    assert torch.isfinite(fake.grad).all()
    assert float(relativistic_discriminator(real, fake).detach()) == 0


def test_what_is_refused() -> None:
    for loss in (relativistic_generator, relativistic_discriminator, vanilla_discriminator):
        with pytest.raises(ValueError, match=r"got \(2, 1, 4, [45]\) and \(2, 1, 4, [45]\)"):
            loss(torch.zeros(2, 1, 4, 4), torch.zeros(2, 1, 4, 5))
        with pytest.raises(ValueError, match="expected logits"):
            loss(torch.zeros(2, 3, 4, 4), torch.zeros(2, 3, 4, 4))
    with pytest.raises(ValueError, match="expected logits"):
        vanilla_generator(torch.zeros(4, 4))
