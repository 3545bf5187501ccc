"""Every BaseNet and ConditionNet: shapes, modulation, receptive field, reloading."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from blindsr.errors import ConfigError
from blindsr.network import BASENETS, CMDSR, CONDITION_NETS, build_network
from blindsr.network.basenet import BicubicUpscale, ModulatedConv2d
from blindsr.network.condition import AttentiveConditionNet

SMALL: dict[str, dict[str, Any]] = {
    "srresnet": {"channels": 8, "blocks": 2},
    "vdsr": {"channels": 8, "depth": 5},
    "idn": {"channels": 16, "distilled": 4, "blocks": 2},
    "rrdb": {"channels": 8, "blocks": 1, "growth": 4},
}
VARIANTS = [{"name": name, **arguments} for name, arguments in SMALL.items()]
DIRECT = {"name": "srresnet", "channels": 8, "blocks": 2, "tail": "direct", "skip": True}
VARIANTS += [DIRECT, {**DIRECT, "ends": True}]


def make(basenet: dict[str, Any], scale: int = 4, condition: dict[str, Any] | None = None) -> CMDSR:
    torch.manual_seed(0)
    condition = condition or {"name": "patches", "size": 16, "width": 8}
    return build_network({"basenet": {**basenet, "scale": scale}, "condition": condition}).eval()


def test_every_basenet_is_tried() -> None:
    assert {v["name"] for v in VARIANTS} == set(BASENETS)


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("basenet", VARIANTS, ids=str)
def test_output_is_scale_times_the_input(basenet: dict[str, Any], scale: int) -> None:
    network = make(basenet, scale)
    lr = torch.rand(2, 3, 9, 7)
    modulation = network.modulation(network.condition(torch.rand(5, 3, 12, 12)))
    assert modulation.shape == (1, sum(network.basenet.modulated))
    assert network(lr, modulation).shape == (2, 3, 9 * scale, 7 * scale)


@pytest.mark.parametrize("basenet", VARIANTS, ids=str)
def test_a_batch_of_tasks_equals_its_tasks_one_by_one(basenet: dict[str, Any]) -> None:
    network = make(basenet)
    lr, support = torch.rand(3, 2, 3, 8, 8), torch.rand(3, 4, 3, 12, 12)
    together = network.restore_tasks(lr, network.conditions(support))
    for t in range(3):
        alone = network(lr[t], network.modulation(network.condition(support[t])))
        torch.testing.assert_close(together[t], alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("basenet", VARIANTS, ids=str)
def test_scaling_weights_is_the_same_for_one_condition(basenet: dict[str, Any]) -> None:
    network = make(basenet)
    lr, modulation = torch.rand(2, 3, 9, 8), 1 + torch.randn(1, sum(network.basenet.modulated)) / 3
    scaled_inputs = network(lr, modulation)
    network.modulate_weights()
    torch.testing.assert_close(network(lr, modulation), scaled_inputs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("basenet", VARIANTS, ids=str)
def test_modulation_of_ones_is_no_modulation_and_others_matter(basenet: dict[str, Any]) -> None:
    network = make(basenet)
    lr = torch.rand(1, 3, 8, 8)
    ones = torch.ones(1, sum(network.basenet.modulated))
    torch.testing.assert_close(network(lr, ones), network(lr))
    start = 0
    for channels in network.basenet.modulated:  # every convolution takes part
        changed = ones.clone()
        changed[:, start : start + channels] = 3
        start += channels
        assert not torch.equal(network(lr, changed), network(lr, ones))


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("basenet", VARIANTS, ids=str)
def test_halo_is_the_receptive_radius(basenet: dict[str, Any], scale: int) -> None:
    """Nothing beyond the halo reaches an LR pixel's SR pixels, and the halo is not wasteful."""
    network = make(basenet, scale).double()
    halo = network.basenet.halo
    side = 2 * halo + 7
    centre = side // 2
    lr = torch.rand(1, 3, side, side, dtype=torch.float64, requires_grad=True)
    sr = network(lr)
    block = sr[..., centre * scale : (centre + 1) * scale, centre * scale : (centre + 1) * scale]
    # Squares rather than a sum: a sum's gradient may cancel.
    (gradient,) = torch.autograd.grad(block.square().sum(), lr)
    rows = gradient.abs().amax((0, 1, 3)).nonzero().flatten()
    columns = gradient.abs().amax((0, 1, 2)).nonzero().flatten()
    reach = int(max((rows - centre).abs().max(), (columns - centre).abs().max()))
    assert reach <= halo
    assert halo - reach <= 2


def test_input_scaling_is_the_paper_weight_modulation() -> None:
    """Against conv(x; W * s) as grouped convolutions: outputs and gradients."""
    torch.manual_seed(0)
    convolution = ModulatedConv2d(6, 5, 3, padding=1).double()
    x = torch.rand(4, 6, 7, 7, dtype=torch.float64)
    scale = torch.rand(4, 6, dtype=torch.float64, requires_grad=True)
    target = torch.rand(4, 5, 7, 7, dtype=torch.float64)
    ours = convolution(x, scale)
    weight = (convolution.weight[None] * scale[:, None, :, None, None]).flatten(0, 1)  # (4 5, 6, 3, 3)
    grouped = torch.nn.functional.conv2d(x.reshape(1, 24, 7, 7), weight, padding=1, groups=4)
    paper = grouped.reshape(4, 5, 7, 7) + convolution.bias[None, :, None, None]  # type: ignore[index]
    torch.testing.assert_close(ours, paper)
    leaves = [scale, convolution.weight, convolution.bias]
    gradients = [torch.autograd.grad((y - target).square().sum(), leaves) for y in (ours, paper)]
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_bicubic_skip_is_bicubic_interpolation(scale: int) -> None:
    x = torch.rand(2, 3, 7, 9)
    expected = torch.nn.functional.interpolate(x, scale_factor=float(scale), mode="bicubic")
    torch.testing.assert_close(BicubicUpscale(scale)(x), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["patches", "attentive"])
def test_pooled_condition_ignores_order_and_takes_any_number(name: str) -> None:
    network = make(VARIANTS[0], condition={"name": name, "size": 16, "width": 8})
    support = torch.rand(7, 3, 32, 32)
    condition = network.condition(support)
    torch.testing.assert_close(network.condition(support.flip(0)), condition)
    torch.testing.assert_close(network.condition(support.repeat(2, 1, 1, 1)), condition)
    assert not torch.allclose(network.condition(support[:3]), condition)


def test_attention_pools_over_the_places_of_all_patches() -> None:
    """Against its formula, with scores that are not the zeros of the start."""
    net = make(VARIANTS[0], condition={"name": "attentive", "size": 16, "width": 8}).condition_net
    assert isinstance(net, AttentiveConditionNet)
    torch.nn.init.normal_(net.score.weight)
    support = torch.rand(5, 3, 32, 35)
    features = net.encoder(support).movedim(1, -1).flatten(0, 2)  # (places, C)
    weights = net.score(net.encoder(support)).movedim(1, -1).flatten(0, 2).softmax(0)
    mean = (weights * features).sum(0)
    spread = ((weights * features.square()).sum(0) - mean.square() + 1e-6).sqrt()
    torch.testing.assert_close(
        net(support[None]), net.head(torch.cat([mean, spread])[None]), rtol=1e-4, atol=1e-4
    )


def test_the_least_patch_is_the_reach_of_the_encoder() -> None:
    net = make(VARIANTS[0], condition={"name": "attentive", "size": 16, "width": 8}).condition_net
    assert net is not None
    assert net(torch.rand(1, 2, 3, net.least, net.least)).shape == (1, 16)
    with pytest.raises(RuntimeError):
        net(torch.rand(1, 2, 3, net.least - 1, net.least))


def test_stacked_condition_reads_the_patches_on_the_channel_axis() -> None:
    network = make(VARIANTS[0], condition={"name": "stacked", "support": 5, "size": 16, "width": 8})
    support = torch.rand(5, 3, 16, 16)
    assert network.condition_net is not None
    first = network.condition_net.get_submodule("condition.0")
    seen: list[torch.Tensor] = []
    first.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    assert network.condition(support).shape == (1, 16)
    torch.testing.assert_close(seen[0], support.reshape(1, 15, 16, 16))


def test_modulation_starts_around_one() -> None:
    torch.manual_seed(0)
    network = build_network({"basenet": {"name": "srresnet"}, "condition": {"name": "stacked"}})
    assert torch.equal(network.modulation(torch.zeros(1, 128)), torch.ones(1, 20 * 64))
    scales = network.modulation(torch.ones(1, 128))
    assert 0.9 < float(scales.detach().std()) < 1.1  # W ~ N(0, 1) over sqrt(C), summed over C ones


def test_the_published_network_has_the_published_size() -> None:
    network = build_network({"basenet": {"name": "srresnet"}, "condition": {"name": "stacked"}})
    assert sum(p.numel() for p in network.parameters()) == 1_495_619
    assert network.basenet.modulated == (64,) * 20


@pytest.mark.parametrize("condition", CONDITION_NETS)
@pytest.mark.parametrize("basenet", VARIANTS, ids=str)
def test_saved_and_reloaded_it_is_the_same(basenet: dict[str, Any], condition: str) -> None:
    spec = {"name": condition, "size": 8, "width": 4} | ({"support": 4} if condition == "stacked" else {})
    network, other = make(basenet, condition=spec), make(basenet, condition=spec)
    for parameter in other.parameters():
        torch.nn.init.zeros_(parameter)
    other.load_state_dict(network.state_dict())
    lr, support = torch.rand(1, 3, 8, 8), torch.rand(4, 3, 24, 24)
    restored = [n(lr, n.modulation(n.condition(support))) for n in (network, other)]
    assert torch.equal(*restored)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"basenet": {"name": "srresnett"}}, "did you mean 'srresnet'"),
        ({"basenet": {"name": "srresnet", "chanels": 3}}, "did you mean 'channels'"),
        ({"basenet": {"name": "srresnet", "scale": 5}}, "scale must be 2, 3 or 4"),
        ({"basenet": {"name": "srresnet", "ends": True}}, "only the direct tail"),
        ({"basenet": {"name": "vdsr", "depth": 2}}, "depth"),
        ({"basenet": {"name": "idn", "channels": 30}}, "multiples of 4"),
        ({"basenet": {"name": "srresnet"}, "conditions": None}, "basenet, condition and pixel_range"),
        ({"basenet": {"name": "srresnet"}, "condition": {"name": "patch"}}, "did you mean 'patches'"),
    ],
)
def test_a_wrong_specification_is_named(spec: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_network(spec)
