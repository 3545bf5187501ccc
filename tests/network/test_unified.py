"""Both systems in one network: its views under a modulation, its reach, and what it refuses."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from blindsr.errors import ConfigError
from blindsr.network import Unified, build_network

RRDB: dict[str, Any] = {"name": "rrdb", "channels": 6, "blocks": 1, "growth": 3}
SRRESNET: dict[str, Any] = {"name": "srresnet", "channels": 6, "blocks": 2, "tail": "direct", "skip": True}
CONDITION = {"name": "patches", "size": 8, "width": 4}
VARIANTS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (RRDB | {"scale": 4, "carry": 2}, {"projector": 4, "lattice_filter": 3}),
    (RRDB | {"scale": 2}, {"projector": 4, "projector_blocks": 1}),
    (SRRESNET | {"scale": 4, "carry": 2}, {"projector": 4, "lattice_filter": 3}),
    (SRRESNET | {"scale": 3}, {"projector": 0, "lattice_filter": 3}),
]


def make(basenet: dict[str, Any], unified: dict[str, Any], condition: dict[str, Any] | None) -> Unified:
    torch.manual_seed(0)
    network = build_network({"basenet": basenet, "condition": condition, "unified": unified})
    assert isinstance(network, Unified)
    return network.eval()


@pytest.mark.parametrize(("basenet", "unified"), VARIANTS, ids=str)
def test_views_under_a_modulation(basenet: dict[str, Any], unified: dict[str, Any]) -> None:
    network, scale = make(basenet, unified, CONDITION), basenet["scale"]
    lr, support = torch.rand(2, 3, 9, 12), torch.rand(3, 3, 16, 16)
    with torch.no_grad():
        modulation = network.modulation(network.condition(support))
        views = network.views(lr, modulation)
        assert views.output.shape == (2, 3, 9 * scale, 12 * scale)
        torch.testing.assert_close(network(lr, modulation), views.output, rtol=0, atol=1e-6)
        assert not torch.allclose(network(lr, modulation * 1.5), views.output, atol=1e-4)
        assert network.texture == (views.texture is not None) == (unified["projector"] > 0)
        if network.texture:
            none = network(lr, modulation, torch.zeros(1))
            torch.testing.assert_close(none, views.structure, rtol=0, atol=1e-6)


@pytest.mark.parametrize("filtered", [True, False])
def test_the_filter_leaves_no_lattice_in_a_flat_colour(filtered: bool) -> None:
    network = make(RRDB | {"scale": 4}, {"projector": 4, "lattice_filter": 3 * filtered}, None)
    side = 2 * network.halo + 8
    with torch.no_grad():
        flat = network(torch.full((1, 3, side, side), 0.6))
    inside = flat[..., 4 * network.halo : -4 * network.halo, 4 * network.halo : -4 * network.halo]
    lattice = float((inside - inside.mean((2, 3), keepdim=True)).abs().max())
    assert lattice < 1e-4 if filtered else lattice > 1e-3


@pytest.mark.parametrize(("basenet", "unified"), VARIANTS, ids=str)
def test_scaled_weights_are_scaled_features(basenet: dict[str, Any], unified: dict[str, Any]) -> None:
    network = make(basenet, unified, CONDITION)
    lr = torch.rand(1, 3, 8, 8)
    with torch.no_grad():
        modulation = 1 + 0.5 * torch.randn(1, sum(network.basenet.modulated))
        before = network(lr, modulation)
        network.modulate_weights()
        torch.testing.assert_close(network(lr, modulation), before, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("basenet", "unified"), VARIANTS, ids=str)
def test_tasks_are_restored_each_under_its_own_condition(
    basenet: dict[str, Any], unified: dict[str, Any]
) -> None:
    network = make(basenet, unified, CONDITION)
    lr, conditions = torch.rand(2, 3, 3, 8, 8), torch.randn(2, 8)
    with torch.no_grad():
        together = network.view_tasks(lr, conditions).output.unflatten(0, (2, 3))
        for task in range(2):
            alone = network(lr[task], network.modulation(conditions[task : task + 1]))
            torch.testing.assert_close(together[task], alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("basenet", "unified"), VARIANTS, ids=str)
def test_halo_is_the_receptive_radius(basenet: dict[str, Any], unified: dict[str, Any]) -> None:
    network, scale = make(basenet, unified, None).double(), basenet["scale"]
    side = 2 * network.halo + 9
    lr = torch.rand(1, 3, side, side, dtype=torch.float64, requires_grad=True)
    middle = slice(side // 2 * scale, (side // 2 + 1) * scale)
    (gradient,) = torch.autograd.grad(network(lr)[..., middle, middle].square().sum(), lr)
    reach = int((gradient.abs().amax((0, 1, 3)).nonzero().flatten() - side // 2).abs().max())
    assert network.halo - 3 <= reach <= network.halo


def test_what_does_not_go_together_is_refused() -> None:
    with pytest.raises(ConfigError, match="carry needs a projector"):
        make(RRDB | {"scale": 4, "carry": 2}, {"projector": 0}, CONDITION)
    with pytest.raises(ConfigError, match="blocks must be 1 or more"):
        make(RRDB | {"scale": 4}, {"projector": 4, "projector_blocks": 0}, CONDITION)
    with pytest.raises(ConfigError, match=r"no such argument; did you mean 'lattice_filter'\?"):
        make(RRDB | {"scale": 4}, {"latice_filter": 3}, CONDITION)
    with pytest.raises(ConfigError, match="pixel_range, or basenet, condition and unified"):
        build_network({"basenet": RRDB, "condition": CONDITION, "unified": {}, "pixel_range": 255.0})
