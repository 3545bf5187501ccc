"""Discriminators: shapes, spectral norms, resuming, and that they can learn."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor
from torch.nn.utils.parametrize import is_parametrized

from blindsr.errors import ConfigError
from blindsr.network import DISCRIMINATORS, Discriminator, build_discriminator

SMALL = {"patch": {"name": "patch", "channels": 6, "depth": 2}, "unet": {"name": "unet", "channels": 6}}


def batch(seed: int = 0, height: int = 32, width: int = 24) -> Tensor:
    return torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(params=SMALL)
def network(request: pytest.FixtureRequest) -> Discriminator:
    torch.manual_seed(0)
    return build_discriminator(SMALL[request.param])


def test_every_one_is_tested() -> None:
    assert set(SMALL) == set(DISCRIMINATORS)


@pytest.mark.parametrize(
    ("spec", "shape"),
    [
        ({"name": "patch", "channels": 4}, (2, 1, 5, 7)),
        ({"name": "patch", "channels": 4, "depth": 1}, (2, 1, 20, 29)),
        ({"name": "patch", "channels": 2, "depth": 5}, (2, 1, 1, 1)),
        ({"name": "unet", "channels": 4}, (2, 1, 41, 59)),
    ],
)
def test_logits_of_any_size(spec: dict[str, object], shape: tuple[int, ...]) -> None:
    network = build_discriminator(spec).eval()
    x = batch(height=41, width=59)
    logits = network(x)
    assert logits.shape == shape
    features = network.features(x)
    assert all(len(feature) == 2 for feature in features)
    assert torch.equal(network.head(features[-1]), logits)
    assert features[-1].shape[2:] == logits.shape[2:]


def test_sizes_of_the_usual_ones() -> None:
    """The U-Net has as many weights as that of the paper's authors: 4.38 million."""
    counts = {
        name: sum(p.numel() for p in build_discriminator({"name": name}).parameters()) for name in SMALL
    }
    assert counts == {"patch": 1_843_265, "unet": 4_376_897}


def test_a_patch_is_as_wide_as_stated() -> None:
    torch.manual_seed(0)
    network = build_discriminator({"name": "patch", "channels": 4}).double().eval()
    x = torch.rand(1, 3, 128, 128, dtype=torch.float64, requires_grad=True)
    network(x)[0, 0, 8, 8].backward()
    assert x.grad is not None
    rows = x.grad.abs().sum((0, 1, 3)).nonzero().flatten()
    assert int(rows[-1] - rows[0]) + 1 == 54


def test_spectral_norms_are_one(network: Discriminator) -> None:
    for _ in range(150):  # each pass in training mode moves the estimates on
        network(batch(height=8, width=8))
    normed = [module for module in network.modules() if is_parametrized(module, "weight")]
    assert len(normed) == (8 if hasattr(network, "up") else 2)
    network.eval()
    for module in normed:
        weight = module.weight
        assert isinstance(weight, Tensor)
        assert float(torch.linalg.matrix_norm(weight.detach().flatten(1), 2)) == pytest.approx(1, abs=1e-3)


def test_training_goes_on_to_the_last_bit(network: Discriminator) -> None:
    def step(network: Discriminator, optimiser: torch.optim.Optimizer, seed: int) -> Tensor:
        optimiser.zero_grad()
        loss = network(batch(seed)).square().mean() + network(batch(seed + 100)).mean()
        loss.backward()
        optimiser.step()
        return loss.detach()

    def adam(network: Discriminator) -> torch.optim.Optimizer:
        return torch.optim.Adam(network.parameters(), 1e-3)

    optimiser = adam(network)
    for i in range(3):
        step(network, optimiser, i)
    saved = copy.deepcopy((network.state_dict(), optimiser.state_dict()))
    expected = [step(network, optimiser, i) for i in range(3, 6)]
    torch.manual_seed(99)
    resumed = build_discriminator(SMALL["unet" if hasattr(network, "up") else "patch"])
    resumed.load_state_dict(saved[0])
    optimiser = adam(resumed)
    optimiser.load_state_dict(saved[1])
    assert [step(resumed, optimiser, i) for i in range(3, 6)] == expected
    for name, tensor in network.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], tensor), name


def test_evaluation_changes_nothing(network: Discriminator) -> None:
    network.eval()
    before = copy.deepcopy(network.state_dict())
    assert torch.equal(network(batch()), network(batch()))
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())


def test_every_weight_and_the_picture_take_a_gradient(network: Discriminator) -> None:
    x = batch().requires_grad_()
    network(x).square().sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert (parameter.grad != 0).any(), name
    assert x.grad is not None
    assert (x.grad != 0).any()


def test_learns_to_tell_blurred_from_sharp(network: Discriminator) -> None:
    optimiser = torch.optim.Adam(network.parameters(), 2e-3)

    def judged(seed: int) -> tuple[Tensor, Tensor]:
        real = batch(seed)
        return network(real), network(torch.nn.functional.avg_pool2d(real, 3, 1, 1, count_include_pad=False))

    for i in range(40):
        real, fake = judged(i)
        loss = torch.nn.functional.softplus(-real).mean() + torch.nn.functional.softplus(fake).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    real, fake = judged(1000)
    assert float(real.detach().mean()) > float(fake.detach().mean()) + 0.5


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"name": "path"}, "discriminator.name: 'path' .* did you mean 'patch'"),
        ({"name": "unet", "chanels": 8}, "discriminator.chanels: .* did you mean 'channels'"),
        ({"name": "unet", "depth": 3}, "discriminator.depth: unet has no such argument"),
        ({}, "discriminator.name: None is not one of patch, unet"),
    ],
)
def test_what_cannot_be_built(spec: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        build_discriminator(spec)


def test_the_u_net_written_down_once_more() -> None:
    """Figure 4 of arXiv 2107.10833: leaky ReLUs of slope 0.2, skips added after them."""
    torch.manual_seed(3)
    network = build_discriminator(SMALL["unet"]).eval()
    first, one, two, three, up_three, up_two, up_one, last, very_last, head = (
        module for module in network.modules() if isinstance(module, torch.nn.Conv2d)
    )

    def leaky(x: Tensor) -> Tensor:
        return torch.where(x > 0, x, 0.2 * x)

    def twice(x: Tensor) -> Tensor:
        return torch.nn.functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)

    x0 = leaky(first(batch()))
    x1 = leaky(one(x0))
    x2 = leaky(two(x1))
    x = leaky(up_three(twice(leaky(three(x2))))) + x2
    x = leaky(up_two(twice(x))) + x1
    x = leaky(up_one(twice(x))) + x0
    torch.testing.assert_close(network(batch()), head(leaky(very_last(leaky(last(x))))))
