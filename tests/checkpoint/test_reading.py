"""Reading checkpoints: the official layout, ours, and files that are neither."""

from __future__ import annotations

import math
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from blindsr.checkpoint.reading import FORMAT, find_weights, load_network
from blindsr.errors import ModelError
from blindsr.network import CMDSR, build_network

REFERENCE = Path(__file__).parents[2] / ".." / "shared" / "reference"


def official_spec(scale: int, channels: int, blocks: int, support: int) -> dict[str, Any]:
    basenet = {
        "name": "srresnet", "scale": scale, "channels": channels, "blocks": blocks, "tail": "shuffle",
        "skip": False,
    }  # fmt: skip
    condition = {"name": "stacked", "support": support, "size": 128, "width": 64}
    return {"basenet": basenet, "condition": condition, "pixel_range": 255.0}


def official_state(network: CMDSR) -> dict[str, torch.Tensor]:
    """Write a network as the official code does: equalised weights, one pair of tensors a modulation."""
    state: dict[str, torch.Tensor] = {}
    for key, tensor in network.state_dict().items():
        if key.startswith("basenet."):
            if key.endswith(".weight"):
                tensor = tensor * math.sqrt(tensor[0].numel())
            state["sr_net." + key.removeprefix("basenet.")] = tensor
        elif key.startswith("condition_net."):
            state[key] = tensor
    assert network.modulations is not None
    weights = network.modulations.weight.detach().split(network.basenet.modulated)
    biases = network.modulations.bias.detach().split(network.basenet.modulated)
    for i, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        state[f"sr_net.modulations.modulations.{i}.weight"] = weight.clone()
        state[f"sr_net.modulations.modulations.{i}.bias"] = bias.clone()
    return state


@pytest.mark.parametrize(
    ("scale", "channels", "blocks", "support"), [(4, 8, 2, 20), (3, 4, 1, 5), (2, 16, 3, 1)]
)
def test_official_layout_gives_its_hyper_parameters_and_function(
    tmp_path: Path, scale: int, channels: int, blocks: int, support: int
) -> None:
    torch.manual_seed(0)
    spec = official_spec(scale, channels, blocks, support)
    network = build_network(spec)
    torch.save(official_state(network), tmp_path / "official.pth")
    loaded, found = load_network(tmp_path / "official.pth")
    assert found == spec
    patches, lr = torch.rand(support, 3, 8, 8) * 255, torch.rand(1, 3, 6, 5) * 255
    results = [n(lr, n.modulation(n.condition(patches))) for n in (network, loaded)]
    torch.testing.assert_close(*results, rtol=1e-4, atol=1e-4)


@pytest.mark.skipif(not REFERENCE.is_dir(), reason="../shared/reference is not there")
def test_official_oracle() -> None:
    network, spec = load_network(REFERENCE / "cmdsr_x4_support20.pth")
    assert spec == official_spec(4, 64, 10, 20)
    oracle = np.load(REFERENCE / "cmdsr_x4_support20.npz")
    with torch.no_grad():
        condition = network.conditions(torch.from_numpy(oracle["support"]).unflatten(1, (20, 3)))  # type: ignore[operator]
        modulation = network.modulation(condition)
        output = network(torch.from_numpy(oracle["image"]), modulation)
    for name, ours in (("condition", condition), ("modulation", modulation), ("output", output)):
        expected = oracle[name]
        error = np.abs(ours.numpy().reshape(expected.shape) - expected).max() / np.abs(expected).max()
        assert error < 1e-4, name


@pytest.mark.parametrize("condition", [None, {"name": "patches", "size": 8, "width": 4}])
def test_our_checkpoint_prefers_the_averaged_weights(
    tmp_path: Path, condition: dict[str, Any] | None
) -> None:
    spec = {"basenet": {"name": "srresnet", "scale": 2, "channels": 4, "blocks": 1}, "condition": condition}
    network, averaged = build_network(spec), build_network(spec)
    content = {"format": FORMAT, "network": spec, "state": network.state_dict(), "ema": averaged.state_dict()}
    torch.save(content, tmp_path / "run.ckpt")
    loaded, found = load_network(tmp_path / "run.ckpt")
    assert found == spec
    for key, tensor in averaged.state_dict().items():
        assert torch.equal(loaded.state_dict()[key], tensor)


class Intruder:
    """Would make a file, were it unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def test_pickled_code_never_runs(tmp_path: Path) -> None:
    trap = tmp_path / "it ran"
    torch.save({"sr_net.input_conv.weight": Intruder(trap)}, tmp_path / "new.pth")
    torch.save({"w": Intruder(trap)}, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    (tmp_path / "bare.pth").write_bytes(pickle.dumps(Intruder(trap)))
    for name in ("new.pth", "old.pth", "bare.pth"):
        with pytest.raises(ModelError, match=name):
            load_network(tmp_path / name)
        assert not trap.exists()
    with pytest.raises(ModelError, match="could run code"):
        load_network(tmp_path / "new.pth")
    pickle.loads((tmp_path / "bare.pth").read_bytes())  # the trap is real
    assert trap.exists()


def damaged(kind: str, path: Path) -> None:
    network = build_network(official_spec(2, 4, 1, 2))
    state = official_state(network)
    if kind == "truncated":
        torch.save(state, path)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif kind == "empty":
        path.touch()
    elif kind == "text":
        path.write_text("not a checkpoint")
    elif kind == "list":
        torch.save([torch.zeros(2)], path)
    elif kind == "other network":
        torch.save({"conv_first.weight": torch.zeros(4, 3, 3, 3)}, path)
    elif kind == "a part missing":
        del state["sr_net.modulations.modulations.1.bias"]
        torch.save(state, path)
    elif kind == "wrong shape":
        state["sr_net.output_conv.weight"] = torch.zeros(3, 5, 3, 3)
        torch.save(state, path)
    elif kind == "unknown key":
        torch.save({**state, "other.weight": torch.zeros(1)}, path)


@pytest.mark.parametrize(
    "kind",
    [
        "absent", "empty", "text", "truncated", "list", "other network", "a part missing", "wrong shape",
        "unknown key",
    ],
)  # fmt: skip
def test_what_is_not_a_checkpoint_is_said_in_one_line(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "model.pth"
    damaged(kind, path)
    with pytest.raises(ModelError) as caught:
        load_network(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: {"state_dict": state},
        lambda state: {"model": state, "epoch": 3},
        lambda state: {"net": {"params": state}},
        lambda state: {"params": {}, "params_ema": state},
        lambda state: {"generator": state, "discriminator": {"conv.weight": torch.zeros(1)}},
        lambda state: {f"module.{name}": tensor for name, tensor in state.items()},
        lambda state: {"state_dict": {f"model.{name}": tensor for name, tensor in state.items()}},
        lambda state: {"model_state_dict": {f"module.netG.{name}": tensor for name, tensor in state.items()}},
        lambda state: {
            **{f"generator.{name}": tensor for name, tensor in state.items()},
            "discriminator.conv.weight": torch.zeros(1),
        },
        lambda state: {"G": {f"_orig_mod.module.{name}": tensor for name, tensor in state.items()}},
    ],
)
def test_weights_are_found_in_what_others_wrap_them_in(tmp_path: Path, wrap: Any) -> None:
    torch.manual_seed(0)
    network = build_network(official_spec(2, 4, 1, 3))
    torch.save(wrap(official_state(network)), tmp_path / "wrapped.pth")
    loaded, _ = load_network(tmp_path / "wrapped.pth")
    for (name, ours), theirs in zip(loaded.state_dict().items(), network.state_dict().values(), strict=True):
        torch.testing.assert_close(ours, theirs, msg=name)


def test_safetensors_hold_an_official_network_too(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    torch.manual_seed(0)
    network = build_network(official_spec(2, 4, 1, 3))
    save_file(
        {f"module.{k}": v.contiguous() for k, v in official_state(network).items()},
        tmp_path / "a.safetensors",
    )
    assert load_network(tmp_path / "a.safetensors")[0].scale == 2


def test_averaged_weights_come_first_and_wrappers_have_an_end() -> None:
    averaged = {"sr_net.input_conv.weight": 1}
    assert find_weights({"params": {"sr_net.input_conv.weight": 0}, "params_ema": averaged}) is averaged
    endless: dict[str, Any] = {}
    endless.update(dict.fromkeys(("model", "net", "params", "state_dict", "ema"), endless))
    assert find_weights(endless) is None
    assert find_weights({"module." * 50 + "sr_net.input_conv.weight": 0}) is None
