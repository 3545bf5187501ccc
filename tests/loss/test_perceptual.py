"""Distances of features: identities, values by hand, gradients."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from blindsr.loss.perceptual import feature_distances, perceptual_distance
from blindsr.network.features import VGG19Features

Features = list[Tensor]


def features(seed: int, batch: int = 2) -> Features:
    """Three layers as of a network: >= 0, ever coarser, of different scales, some places without any."""
    generator = torch.Generator().manual_seed(seed)
    sizes = ((4, 12, 8, 1.0), (6, 6, 4, 30.0), (8, 3, 2, 0.01))
    return [
        scale * torch.randn(batch, channels, height, width, generator=generator, dtype=torch.float64).relu()
        for channels, height, width, scale in sizes
    ]


@pytest.mark.parametrize("distance", [perceptual_distance, feature_distances])
def test_zero_for_equal_and_symmetric(distance: Callable[[Features, Features], Tensor]) -> None:
    a, b = features(0), features(1)
    assert (distance(a, a) == 0).all()
    assert (distance(a, b) > 0).all()
    torch.testing.assert_close(distance(a, b), distance(b, a))


@pytest.mark.parametrize("distance", [perceptual_distance, feature_distances])
def test_gradients(distance: Callable[[Features, Features], Tensor]) -> None:
    a, b = ([layer + 0.1 for layer in features(seed, batch=1)] for seed in (0, 1))
    if distance is feature_distances:
        # Its floor moves with the features, and no gradient flows there: hold it by what is far larger.
        anchor = [torch.cat([layer, 1e6 * torch.ones_like(layer[..., :1])], 3) for layer in a]
        other = [torch.cat([layer, 1e6 * torch.ones_like(layer[..., :1])], 3) for layer in b]
    else:
        anchor, other = a, b
    for layer in anchor:
        layer.requires_grad_()
    total = distance(anchor, other).sum()
    gradients = torch.autograd.grad(total, anchor)
    step = 1e-6
    for i, gradient in enumerate(gradients):
        direction = torch.randn(gradient.shape, dtype=gradient.dtype)
        direction[..., -1] = 0
        with torch.no_grad():
            there, back = (
                distance(
                    [x + s * step * direction if j == i else x for j, x in enumerate(anchor)], other
                ).sum()
                for s in (1, -1)
            )
        assert float((gradient * direction).sum()) == pytest.approx(
            float((there - back) / (2 * step)), rel=1e-3, abs=1e-9
        )


def test_layers_are_weighted() -> None:
    a, b = features(0), features(1)
    each = [(x - y).abs().mean() for x, y in zip(a, b, strict=True)]
    torch.testing.assert_close(perceptual_distance(a, b), each[0] + each[1] + each[2])
    torch.testing.assert_close(perceptual_distance(a, b, [0, 0.5, 20]), 0.5 * each[1] + 20 * each[2])
    with pytest.raises(ValueError, match="2 weights for 3 layers"):
        perceptual_distance(a, b, [1, 1])


def test_distances_by_hand() -> None:
    """One layer of two channels: at right angles, parallel, and of no length beside a usual one."""
    x = torch.tensor([[3.0, 0.0], [1.0, 2.0], [0.0, 0.0]], dtype=torch.float64).T.reshape(1, 2, 1, 3)
    y = torch.tensor([[0.0, 3.0], [2.0, 4.0], [1.0, 0.0]], dtype=torch.float64).T.reshape(1, 2, 1, 3)
    floor = 0.01 * ((9 + 5 + 0) + (9 + 20 + 1)) / 6
    right = 2 * 9 / (9 + floor)
    parallel = ((5 / (5 + floor)) ** 0.5 - (20 / (20 + floor)) ** 0.5) ** 2
    none = 1 / (1 + floor)
    expected = torch.tensor([right, parallel, none], dtype=torch.float64).view(1, 1, 1, 3)
    torch.testing.assert_close(feature_distances([x], [y]), expected)


def test_one_map_on_the_coarsest_grid() -> None:
    a, b = features(0), features(1)
    found = feature_distances(a, b)
    assert found.shape == (2, 1, 3, 2)
    assert float(found.max()) <= 2
    each = [feature_distances([x], [y]) for x, y in zip(a, b, strict=True)]
    pooled = [torch.nn.functional.avg_pool2d(x, x.shape[2] // 3) for x in each]
    torch.testing.assert_close(found, sum(pooled) / 3)
    assert feature_distances(a[::-1], b[::-1]).shape == found.shape


def test_a_sample_and_a_layer_at_any_scale_count_alike() -> None:
    a, b = features(0), features(1)
    found = feature_distances(a, b)
    alone = [feature_distances([x[i : i + 1] for x in a], [y[i : i + 1] for y in b]) for i in range(2)]
    torch.testing.assert_close(found, torch.cat(alone))
    scaled = [[50 * layers[0], layers[1], 1e-3 * layers[2]] for layers in (a, b)]
    torch.testing.assert_close(feature_distances(*scaled), found)


def test_a_place_has_a_gradient_of_its_own_alone() -> None:
    """The usual length of features, by which all places are measured, is not to be moved."""
    a, b = features(0)[0].requires_grad_(), features(1)[0]
    (gradient,) = torch.autograd.grad(feature_distances([a], [b])[0, 0, 3, 2], a)
    assert (gradient[0, :, 3, 2] != 0).any()
    gradient[0, :, 3, 2] = 0
    assert (gradient == 0).all()


def test_no_features_at_all() -> None:
    a = torch.zeros(1, 3, 2, 2, requires_grad=True)
    found = feature_distances([a], [torch.zeros(1, 3, 2, 2)])
    assert (found == 0).all()
    found.sum().backward()
    assert a.grad is not None
    assert (a.grad == 0).all()


def test_of_a_network_more_change_is_further() -> None:
    """Through a network to the picture: distances grow with the noise, and its gradient leads back."""
    torch.manual_seed(0)
    network = VGG19Features()
    truth = torch.rand(1, 3, 32, 32)
    noise = torch.randn(1, 3, 32, 32)
    for distance in (perceptual_distance, feature_distances):
        values = [distance(network(truth + s * noise), network(truth)).mean() for s in (0.01, 0.05, 0.2)]
        assert 0 < float(values[0]) < float(values[1]) < float(values[2])
        x = (truth + 0.1 * noise).requires_grad_()
        before = distance(network(x), network(truth)).mean()
        (gradient,) = torch.autograd.grad(before, x)
        after = distance(network(x.detach() - 0.1 * gradient / gradient.norm()), network(truth)).mean()
        assert float(after) < float(before.detach())


def test_what_is_refused() -> None:
    a = features(0)
    for distance in (perceptual_distance, feature_distances):
        for other in (a[:2], [*a[:2], a[2][:1]]):
            with pytest.raises(ValueError, match="two lists of features"):
                distance(a, other)
        with pytest.raises(ValueError, match="two lists of features"):
            distance([], [])
