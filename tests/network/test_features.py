"""Feature networks: what they compute, by second implementations; how they are read; that they are frozen."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from blindsr.checkpoint.reading import load_features, read_weights
from blindsr.errors import ConfigError, MissingExtraError, ModelError
from blindsr.network.features import (
    SQUEEZENET_CHANNELS,
    SQUEEZENET_LAYERS,
    VGG19_LAYERS,
    FeatureNetwork,
    SqueezeNetFeatures,
    VGG19Features,
)

SHARED = Path(__file__).parents[2] / ".." / "shared"
WEIGHTS = SHARED / "metrics" / "vgg19_normalised_conv3_1.pth"

NETWORKS: dict[str, Callable[[], FeatureNetwork]] = {
    "vgg19": VGG19Features,
    "vgg19 normalised": lambda: VGG19Features(normalised=True),
    "squeezenet": SqueezeNetFeatures,
}


def batch(side: int = 24, seed: int = 0) -> Tensor:
    return torch.rand(2, 3, side, side + 6, generator=torch.Generator().manual_seed(seed))


def normalised_weights() -> dict[str, Tensor]:
    """Up to relu2_1, in the layout of style transfer networks."""
    generator = torch.Generator().manual_seed(1)
    shapes = {0: (3, 3, 1, 1), 2: (64, 3, 3, 3), 5: (64, 64, 3, 3), 9: (128, 64, 3, 3)}
    weights = {}
    for number, shape in shapes.items():
        weights[f"{number}.weight"] = (
            torch.randn(shape, generator=generator) * (2 / np.prod(shape[1:])) ** 0.5
        )
        weights[f"{number}.bias"] = 0.1 * torch.randn(shape[0], generator=generator)
    return weights


@pytest.fixture
def squeeze_state() -> dict[str, Tensor]:
    torch.manual_seed(2)
    return SqueezeNetFeatures().state_dict()


def test_vgg_in_the_layout_of_style_transfer(tmp_path: Path) -> None:
    weights = normalised_weights()
    torch.save(weights, tmp_path / "vgg.pth")
    network = load_features("vgg19", tmp_path / "vgg.pth", ["relu2_1", "relu1_1", "relu1_2"])
    assert network.layers == ("relu1_1", "relu1_2", "relu2_1")
    x = batch(25)

    def layer(x: Tensor, number: int) -> Tensor:
        x = F.pad(x, (1, 1, 1, 1), mode="reflect")
        return F.conv2d(x, weights[f"{number}.weight"], weights[f"{number}.bias"]).relu()

    first = layer(F.conv2d(x, weights["0.weight"], weights["0.bias"]), 2)
    second = layer(first, 5)
    third = layer(F.max_pool2d(second, 2, ceil_mode=True), 9)
    assert third.shape[2:] == (13, 16)
    for ours, expected in zip(network(x), (first, second, third), strict=True):
        torch.testing.assert_close(ours, expected)


def test_vgg_in_the_layout_of_torchvision(tmp_path: Path) -> None:
    """Table 1, column E of the paper written down once more, as torchvision numbers it."""
    layers: list[torch.nn.Module] = []
    into = 3
    for channels in (64, 64, 0, 128, 128, 0, 256, 256, 256, 256, 0, 512):
        if channels:
            layers += [torch.nn.Conv2d(into, channels, 3, padding=1), torch.nn.ReLU()]
            into = channels
        else:
            layers.append(torch.nn.MaxPool2d(2))
    torch.manual_seed(0)
    sequence = torch.nn.Sequential(*layers)
    for convolution in sequence:
        if isinstance(convolution, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(convolution.weight)
    torch.save(torch.nn.ModuleDict({"features": sequence}).state_dict(), tmp_path / "vgg.pth")
    network = load_features("vgg19", tmp_path / "vgg.pth", ["relu1_2", "relu3_4", "relu4_1"])
    x = batch(25)
    mean, deviation = (
        torch.tensor(values).view(3, 1, 1) for values in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    )
    expected, value = [], (x - mean) / deviation
    with torch.no_grad():
        for i, module in enumerate(sequence):
            value = module(value)
            if i in (3, 17, 20):
                expected.append(value)
    for ours, theirs in zip(network(x), expected, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_vgg_is_as_deep_as_it_must_be() -> None:
    assert VGG19_LAYERS[0] == "relu1_1"
    assert len(VGG19_LAYERS) == 16
    numbers = [int(name) for name in VGG19Features(["relu5_4"]).features]
    assert numbers == [0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34]
    numbers = [int(name) for name in VGG19Features(["relu3_1"], normalised=True).features]
    assert numbers == [0, 2, 5, 9, 12, 16]


def test_squeezenet_stages() -> None:
    x = batch(33)
    network = SqueezeNetFeatures()
    stages = network(x)
    assert tuple(stage.shape[1] for stage in stages) == SQUEEZENET_CHANNELS
    some = SqueezeNetFeatures(["relu5", "relu2"])
    some.load_state_dict(network.state_dict())
    assert some.layers == ("relu2", "relu5")
    for ours, expected in zip(some(x), (stages[1], stages[4]), strict=True):
        assert torch.equal(ours, expected)


@pytest.mark.parametrize("kind", NETWORKS)
def test_frozen_but_for_the_picture(kind: str) -> None:
    torch.manual_seed(0)
    network = NETWORKS[kind]()
    assert not any(parameter.requires_grad for parameter in network.parameters())
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    x = batch().requires_grad_()
    features = network.train()(x)
    again = network.eval()(x)
    assert all(
        torch.equal(a, b) for a, b in zip(features, again, strict=True)
    )  # no mode, no state of its own
    sum(feature.sum() for feature in features).backward()
    assert x.grad is not None
    assert torch.isfinite(x.grad).all()
    assert (x.grad != 0).any()
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())


@pytest.mark.parametrize("kind", NETWORKS)
def test_gradient_is_that_of_the_function(kind: str) -> None:
    """Activations made in place must not spoil what an earlier layer handed out."""
    torch.manual_seed(0)
    network = NETWORKS[kind]().double()
    x = batch(20).double().requires_grad_()
    direction = torch.randn(x.shape, dtype=x.dtype)

    def value(x: Tensor) -> Tensor:
        return torch.stack([feature.square().mean() for feature in network(x)]).sum()

    (gradient,) = torch.autograd.grad(value(x), x)
    step = 1e-5
    with torch.no_grad():
        slope = (value(x + step * direction) - value(x - step * direction)) / (2 * step)
    assert float((gradient * direction).sum()) == pytest.approx(float(slope), rel=1e-3)


@pytest.mark.parametrize("kind", NETWORKS)
def test_channels_last_stays(kind: str) -> None:
    torch.manual_seed(0)
    network = NETWORKS[kind]()
    plain = network(batch(40))
    for ours, expected in zip(
        network(batch(40).contiguous(memory_format=torch.channels_last)), plain, strict=True
    ):
        assert ours.is_contiguous(memory_format=torch.channels_last)
        torch.testing.assert_close(ours, expected)


@pytest.mark.parametrize(
    ("layers", "words"),
    [(["relu2_3"], "relu2_3; the network has relu1_1, relu1_2, relu2_1"), ([], "layers: none")],
)
def test_layers_that_are_not(layers: list[str], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        VGG19Features(layers)


def test_a_network_that_is_not() -> None:
    with pytest.raises(ConfigError, match='"vgg19" or "squeezenet", not \'vgg16\''):
        load_features("vgg16")  # type: ignore[arg-type]


def test_kinds_of_files(tmp_path: Path, squeeze_state: dict[str, Tensor]) -> None:
    from safetensors.torch import save_file

    torch.save(squeeze_state, tmp_path / "weights.pth")
    np.savez(tmp_path / "weights.npz", **{name: tensor.numpy() for name, tensor in squeeze_state.items()})
    save_file(squeeze_state, tmp_path / "weights.safetensors")
    expected = SqueezeNetFeatures()
    expected.load_state_dict(squeeze_state)
    for kind in ("pth", "npz", "safetensors"):
        network = load_features("squeezenet", tmp_path / f"weights.{kind}")
        assert network.layers == SQUEEZENET_LAYERS
        assert not network.training
        for ours, theirs in zip(network(batch()), expected(batch()), strict=True):
            assert torch.equal(ours, theirs)


def test_weights_are_checked_and_in_the_order_asked_for(tmp_path: Path) -> None:
    file = tmp_path / "weights.npz"
    np.savez(file, a=np.zeros(2, np.float16), b=np.ones((1, 3)), other=np.zeros(1))
    found = read_weights(file, {"b": (1, 3), "a": (2,)}, "letters")
    assert [(name, tensor.dtype) for name, tensor in found.items()] == [
        ("b", torch.float32),
        ("a", torch.float32),
    ]
    for wanted, words in (
        ({"c": (1,)}, "c, to be .* is missing"),
        ({"a": (3,)}, r"a, to be \(3,\), has \(2,\)"),
    ):
        with pytest.raises(ModelError, match=rf"weights\.npz: not the letters: {words}"):
            read_weights(file, wanted, "letters")
    np.savez(tmp_path / "words.npz", a=np.array(["no", "numbers"]))
    with pytest.raises(ModelError, match=r"words\.npz: not a whole \.npz file of numbers"):
        read_weights(tmp_path / "words.npz", {"a": (2,)}, "letters")


def test_a_file_that_ends_before_the_layer(tmp_path: Path, squeeze_state: dict[str, Tensor]) -> None:
    torch.save(normalised_weights(), tmp_path / "short.pth")
    with pytest.raises(
        ModelError, match=r"short\.pth: .* VGG-19 \(normalised\) up to relu2_2: 12\.weight, .* miss"
    ):
        load_features("vgg19", tmp_path / "short.pth", ["relu1_1", "relu2_2"])
    torch.save(squeeze_state, tmp_path / "squeeze.pth")
    with pytest.raises(
        ModelError, match=r"squeeze\.pth: not the features of VGG-19 up to relu3_1: features\.2\."
    ):
        load_features("vgg19", tmp_path / "squeeze.pth")


def test_weights_of_torchvision(monkeypatch: pytest.MonkeyPatch, squeeze_state: dict[str, Tensor]) -> None:
    """A stand-in with torchvision's interface, whose networks have a classifier besides."""
    asked: list[tuple[str, str]] = []

    def model(name: str, state: dict[str, Tensor]) -> Callable[..., SimpleNamespace]:
        def build(*, weights: str) -> SimpleNamespace:
            asked.append((name, weights))
            return SimpleNamespace(state_dict=lambda: {**state, "classifier.0.weight": torch.zeros(2)})

        return build

    torch.manual_seed(5)
    vgg = VGG19Features(["relu2_1"])
    models = SimpleNamespace(
        vgg19=model("vgg19", vgg.state_dict()), squeezenet1_1=model("squeezenet1_1", squeeze_state)
    )
    monkeypatch.setitem(sys.modules, "torchvision", SimpleNamespace(models=models))
    assert torch.equal(load_features("vgg19", layers=["relu2_1"])(batch())[0], vgg(batch())[0])
    expected = SqueezeNetFeatures(["relu3"])
    expected.load_state_dict(squeeze_state)
    ours = load_features("squeezenet", layers=["relu3"])
    assert torch.equal(ours(batch(40))[0], expected(batch(40))[0])
    assert asked == [("vgg19", "IMAGENET1K_V1"), ("squeezenet1_1", "IMAGENET1K_V1")]
    with pytest.raises(ModelError, match=r"torchvision: not the features of VGG-19 up to relu3_1"):
        load_features("vgg19")

    def offline(*, weights: str) -> SimpleNamespace:
        raise OSError("no network")

    models.vgg19 = offline
    with pytest.raises(ModelError, match=r"could not get the weights of vgg19 \(no network\); give a file"):
        load_features("vgg19")


def test_without_torchvision(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises(MissingExtraError, match=r"of vgg19 without a file .*\"blindsr\[torchvision\]\""):
        load_features("vgg19")
    monkeypatch.delitem(sys.modules, "torchvision")
    (tmp_path / "torchvision.py").write_text("raise RuntimeError('operator torchvision::nms does not exist')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(
        ModelError, match=r"does not start \(operator torchvision::nms.*; install the one that fits"
    ):
        load_features("squeezenet")


@pytest.mark.skipif(
    not WEIGHTS.is_file(), reason="the trained VGG-19 is not beside the repository (../shared)"
)
def test_the_normalised_weights_are_normalised() -> None:
    """Mean activation of every layer about 1 on photos, and less like it where red and blue are exchanged."""
    from PIL import Image

    network = load_features("vgg19", WEIGHTS, VGG19_LAYERS[:5])
    means = []
    for file in sorted((SHARED / "data" / "Set14" / "x4" / "HR").glob("*.png"))[:6]:
        photo = Image.open(file).convert("RGB")
        x = torch.from_numpy(np.array(photo.crop((0, 0, 224, 224)), np.float32) / 255)
        with torch.inference_mode():
            means.append([float(layer.mean()) for layer in network(x.permute(2, 0, 1)[None])])
    assert np.mean(means, axis=0) == pytest.approx(np.ones(5), abs=0.4)
