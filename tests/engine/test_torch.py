"""The PyTorch engine runs the network that the card describes, with the weights beside it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
safetensors = pytest.importorskip("safetensors.torch")

from blindsr.engine import choose_engine  # noqa: E402
from blindsr.engine.torch import TorchEngine  # noqa: E402
from blindsr.errors import InputError, ModelError  # noqa: E402
from blindsr.models.catalogue import find_model  # noqa: E402
from blindsr.network import Cria, build_network  # noqa: E402

from ..conftest import MakeModel  # noqa: E402

NETWORK: dict[str, Any] = {
    "basenet": {"name": "srresnet", "scale": 2, "channels": 8, "blocks": 2},
    "condition": {"name": "patches", "size": 16, "width": 8},
    "pixel_range": 255.0,
}
RNG = np.random.default_rng(2)
SUPPORT = RNG.random((4, 3, 12, 12), np.float32)
LR = RNG.random((1, 3, 11, 14), np.float32)


CRIA: dict[str, Any] = {
    "cria": {
        "scale": 1, "channels": 8, "blocks": 1, "growth": 4, "projector": 6, "projector_blocks": 1,
        "mask": "views", "tail": "direct", "skip": True, "unshuffle": 2,
    }
}  # fmt: skip


def with_weights(folder: Path, network: dict[str, Any], weights: bytes | None = None) -> Path:
    """Add a network and its weights to a model."""
    path = folder / "weights.safetensors"
    if weights is None:
        torch.manual_seed(0)
        safetensors.save_file(build_network(network).state_dict(), path)
    else:
        path.write_bytes(weights)
    card = json.loads((folder / "card.json").read_text())
    card["files"]["weights"] = {
        "path": path.name,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }
    built = build_network(network)
    card.update(network=network, pixel_range=built.pixel_range, scale=built.scale)
    if card["adaptive"]:
        card.update(modulation_size=sum(built.basenet.modulated), condition_size=built.condition_net.size)
    (folder / "card.json").write_text(json.dumps(card))
    return folder


def test_equals_the_network(make_model: MakeModel) -> None:
    engine = TorchEngine(find_model(with_weights(make_model(), NETWORK)))
    torch.manual_seed(0)
    network = build_network(NETWORK).eval()
    with torch.no_grad():
        condition = network.condition(torch.from_numpy(SUPPORT) * 255)
        modulation = network.modulation(condition)
        sr = network(torch.from_numpy(LR) * 255, modulation) / 255
    got_condition, got_modulation = engine.condition(SUPPORT)
    np.testing.assert_allclose(got_condition, condition, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(got_modulation, modulation, rtol=1e-4, atol=1e-4)
    got = engine.upscale(LR, got_modulation)
    assert got.shape == (1, 3, 22, 28) and got.dtype == np.float32 and got.flags.c_contiguous
    assert np.abs(got - sr.numpy()).max() < 1e-5 * np.abs(got).max()


def test_adaptive_needs_a_modulation(make_model: MakeModel) -> None:
    with pytest.raises(ModelError, match="needs a modulation"):
        TorchEngine(find_model(with_weights(make_model(), NETWORK))).upscale(LR, None)


@pytest.mark.parametrize("texture", [None, 0.0, 0.3, 1.0])
def test_the_texture_of_the_network(make_model: MakeModel, texture: float | None) -> None:
    folder = make_model(adaptive=False, texture=0.6, multiple=2)
    engine = TorchEngine(find_model(with_weights(folder, CRIA)))
    torch.manual_seed(0)
    network = build_network(CRIA).eval()
    assert isinstance(network, Cria)
    lr = LR[:, :, :10]
    with torch.no_grad():
        views = network.views(torch.from_numpy(lr))
    assert views.texture is not None
    expected = views.structure + (0.6 if texture is None else texture) * views.texture
    got = engine.upscale(lr, None, texture)
    assert got.shape == lr.shape
    np.testing.assert_allclose(got, expected.numpy(), atol=1e-5)
    with pytest.raises(ModelError, match="multiples of 2"):
        engine.upscale(LR, None, texture)


def test_model_without_weights(make_model: MakeModel) -> None:
    with pytest.raises(ModelError, match="no 'weights' file"):
        TorchEngine(find_model(make_model()))


def test_weights_that_do_not_fit(make_model: MakeModel) -> None:
    folder = with_weights(make_model(), NETWORK)
    card = json.loads((folder / "card.json").read_text())
    card["network"]["basenet"]["channels"] = 12
    (folder / "card.json").write_text(json.dumps(card))
    with pytest.raises(ModelError, match=r"weights\.safetensors: the weights do not fit"):
        TorchEngine(find_model(folder))


def test_weights_that_are_no_safetensors(make_model: MakeModel) -> None:
    with pytest.raises(ModelError, match=r"weights\.safetensors: not a whole \.safetensors file"):
        TorchEngine(find_model(with_weights(make_model(), NETWORK, b"\x80\x04K*.")))


def test_network_that_cannot_be_built(make_model: MakeModel) -> None:
    folder = with_weights(make_model(), {**NETWORK})
    card = json.loads((folder / "card.json").read_text())
    card["network"]["basenet"]["name"] = "srresent"
    (folder / "card.json").write_text(json.dumps(card))
    with pytest.raises(ModelError, match=r"the weights do not fit .*did you mean 'srresnet'"):
        TorchEngine(find_model(folder))


@pytest.mark.skipif(torch.cuda.is_available(), reason="a CUDA device is here")
def test_absent_cuda(make_model: MakeModel) -> None:
    with pytest.raises(InputError, match="sees no such device"):
        choose_engine(find_model(make_model()), "cuda")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_equals_cpu(make_model: MakeModel) -> None:
    model = find_model(with_weights(make_model(), NETWORK))
    cuda, cpu = choose_engine(model, "auto"), TorchEngine(model, "cpu")
    assert isinstance(cuda, TorchEngine)
    _, modulation = cpu.condition(SUPPORT)
    np.testing.assert_allclose(cuda.condition(SUPPORT)[1], modulation, rtol=1e-2, atol=1e-2)
    expected = cpu.upscale(LR, modulation)
    assert np.abs(cuda.upscale(LR, modulation) - expected).max() < 1e-2 * np.abs(expected).max()
