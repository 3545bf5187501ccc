"""Criteria: what they judge, where they pull, and the contrast of criteria."""

from __future__ import annotations

import math

import pytest
import torch

from blindsr.errors import ConfigError
from blindsr.loss import CRITERIA
from blindsr.loss.adversarial import Adversarial, relativistic_generator, vanilla_generator
from blindsr.loss.criteria_contrastive import (
    FORMS,
    CriteriaContrastive,
    criteria_direction,
    criteria_triplet,
)
from blindsr.loss.criterion import Restored
from blindsr.loss.perceptual import perceptual_distance
from blindsr.loss.structural import structural_dissimilarity


def blocks(x: torch.Tensor) -> list[torch.Tensor]:
    """Features of a kind: edges at two scales."""
    small = torch.nn.functional.avg_pool2d(x, 2)
    return [torch.cat([(y - y.roll(1, d)).relu() for d in (2, 3)], 1) for y in (x, small)]


def made(
    output: torch.Tensor, truth: torch.Tensor, regression: torch.Tensor, mask: torch.Tensor | None = None
) -> Restored:
    return Restored({"structure": regression, "output": output}, truth, regression, mask, blocks)


@pytest.fixture
def images() -> tuple[torch.Tensor, torch.Tensor]:
    """A sharp batch and its blurred version, (2, 3, 16, 16)."""
    torch.manual_seed(0)
    truth = torch.rand(2, 3, 16, 16)
    return truth, torch.nn.functional.avg_pool2d(truth, 3, 1, 1, count_include_pad=False)


@pytest.mark.parametrize("name", ["pixel", "structural", "perceptual"])
def test_a_distance_attracts_to_the_truth_and_repels_from_the_regression(
    name: str, images: tuple[torch.Tensor, torch.Tensor]
) -> None:
    truth, blurred = images
    criterion = CRITERIA[name]()
    near, far = made(truth, truth, blurred), made(blurred, truth, blurred)
    assert float(criterion(near, "output", "attract")) == pytest.approx(0, abs=1e-6)
    assert float(criterion(far, "output", "attract")) > 1e-3
    repelled = [float(criterion(x, "output", "repel")) for x in (near, far)]
    assert repelled[0] < repelled[1] == pytest.approx(math.log(2), abs=1e-6)


def test_distances_are_those_of_their_functions(images: tuple[torch.Tensor, torch.Tensor]) -> None:
    truth, blurred = images
    batch = made(blurred, truth, blurred)
    for name, expected in (
        ("pixel", (truth - blurred).abs().mean()),
        ("structural", structural_dissimilarity(blurred, truth)),
        ("perceptual", perceptual_distance(blocks(blurred), blocks(truth))),
    ):
        torch.testing.assert_close(CRITERIA[name]()(batch, "output", "attract"), expected)
    weighted = CRITERIA["perceptual"](layers=[0.0, 2.0])(batch, "output", "attract")  # type: ignore[call-arg]
    torch.testing.assert_close(weighted, 2 * (blocks(truth)[1] - blocks(blurred)[1]).abs().mean())


def test_features_are_computed_once(images: tuple[torch.Tensor, torch.Tensor]) -> None:
    calls: list[int] = []
    batch = Restored({"output": images[1]}, images[0], features=lambda x: calls.append(1) or blocks(x))
    assert batch.phi("output") is batch.phi("output")
    assert len(calls) == 1


def test_the_adversarial_criterion_asks_the_discriminator() -> None:
    torch.manual_seed(0)
    real, image = torch.randn(2, 1, 4, 4), torch.rand(2, 3, 4, 4)
    batch = Restored({"output": image}, image, logits=lambda x: x.mean(1, keepdim=True), real_logits=real)
    logits = image.mean(1, keepdim=True)
    value = Adversarial()(batch, "output", "attract")
    torch.testing.assert_close(value, relativistic_generator(real, logits))
    torch.testing.assert_close(Adversarial("vanilla")(batch, "output", "attract"), vanilla_generator(logits))
    with pytest.raises(ConfigError, match="relativistic or vanilla"):
        Adversarial("wasserstein")


def test_the_forms_of_the_triplet() -> None:
    near, far = torch.tensor([0.2, 0.5]).view(1, 1, 1, 2), torch.tensor([0.6, 0.1]).view(1, 1, 1, 2)
    margin = criteria_triplet(near, far, "margin", margin=0.1).flatten()
    torch.testing.assert_close(margin, torch.tensor([0.0, 0.5]))
    infonce = criteria_triplet(near, far, "infonce", temperature=0.2).double().flatten()
    for value, (a, b) in zip(infonce, ((0.2, 0.6), (0.5, 0.1)), strict=True):
        share = math.exp(-a / 0.2) / (math.exp(-a / 0.2) + math.exp(-b / 0.2))
        assert float(value) == pytest.approx(-math.log(share), rel=1e-5)
    ratio = criteria_triplet(near, far, "ratio").flatten()
    torch.testing.assert_close(ratio, torch.tensor([0.2 / 0.61, 0.5 / 0.11]))
    with pytest.raises(ValueError, match="of one shape"):
        criteria_triplet(near, far[..., :1])
    with pytest.raises(ValueError, match="form is one of"):
        criteria_triplet(near, far, "direction")


def test_direction_is_one_minus_the_cosine(images: tuple[torch.Tensor, torch.Tensor]) -> None:
    truth, blurred = images
    positive, negative = blocks(truth), blocks(blurred)
    step = [n + 3 * (p - n) for p, n in zip(positive, negative, strict=True)]
    away = [n - (p - n) for p, n in zip(positive, negative, strict=True)]
    assert float(criteria_direction(step, positive, negative).mean()) < 0.05
    assert float(criteria_direction(away, positive, negative).mean()) > 1.9
    still = criteria_direction(negative, positive, negative)
    torch.testing.assert_close(still, torch.ones_like(still))
    assert still.shape == (2, 1, 8, 8)
    nowhere = criteria_direction(negative, negative, negative)  # no difference: finite
    assert bool(torch.isfinite(nowhere).all())


@pytest.mark.parametrize("form", FORMS)
def test_the_contrast_prefers_the_truth_to_the_regression(
    form: str, images: tuple[torch.Tensor, torch.Tensor]
) -> None:
    truth, blurred = images
    criterion = CriteriaContrastive(form)
    shares = (0.1, 0.5, 1.0)
    values = [
        float(criterion(made(blurred + s * (truth - blurred), truth, blurred), "output", "contrast"))
        for s in shares
    ]
    assert values == sorted(values, reverse=True) and values[0] > values[-1]
    # And its gradient leads there.
    output = (blurred + 0.2 * (truth - blurred)).requires_grad_()
    (gradient,) = torch.autograd.grad(criterion(made(output, truth, blurred), "output", "contrast"), output)
    assert float((gradient * (truth - blurred)).sum()) < 0


def test_the_mask_says_where(images: tuple[torch.Tensor, torch.Tensor]) -> None:
    truth, blurred = images
    output = truth.clone()
    output[..., 8:] = blurred[..., 8:]  # right half as the regression
    values = []
    for half in (slice(0, 6), slice(10, 16)):
        mask = torch.zeros(2, 1, 16, 16, requires_grad=True)
        with torch.no_grad():
            mask[..., half] = 1
        batch = made(output, truth, blurred, mask)
        values.append(float(CriteriaContrastive("margin")(batch, "output", "contrast")))
        assert mask.grad is None
    everywhere = CriteriaContrastive("margin", masked=False)(batch, "output", "contrast")
    assert values[0] < float(everywhere) < values[1]


def test_an_unknown_form_is_refused() -> None:
    with pytest.raises(ConfigError, match="margin, infonce, ratio, direction"):
        CriteriaContrastive("triple")
