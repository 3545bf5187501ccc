"""What a run starts from: deeper networks that begin as the shallower one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from blindsr.errors import ConfigError
from blindsr.network import build_network
from blindsr.training.initial import load_initial


def save(spec: dict[str, object], path: Path) -> torch.nn.Module:
    torch.manual_seed(1)
    network = build_network(spec)
    content = {"format": "blindsr-checkpoint", "network": spec, "state": network.state_dict()}
    torch.save(content, path)
    return network


@pytest.mark.parametrize("ends", [False, True])
@pytest.mark.parametrize("condition", [None, {"name": "patches", "size": 8, "width": 4}])
def test_a_deeper_network_begins_as_the_shallower(
    tmp_path: Path, ends: bool, condition: dict[str, object] | None
) -> None:
    basenet = {"name": "srresnet", "scale": 2, "channels": 6, "blocks": 2, "tail": "direct", "ends": ends}
    spec = {"basenet": basenet, "condition": condition, "pixel_range": 1.0}
    shallow = save(spec, tmp_path / "shallow.ckpt")
    deeper = spec | {"basenet": basenet | {"blocks": 5}}
    torch.manual_seed(2)
    network = build_network(deeper)
    load_initial(network, str(tmp_path / "shallow.ckpt"), deeper)
    lr, support = torch.rand(2, 3, 12, 12), torch.rand(2, 4, 3, 12, 12)
    modulations: list[torch.Tensor | None] = [None, None]
    if condition is not None:
        modulations = [net.modulation(net.conditions(support)) for net in (shallow, network)]  # type: ignore[operator]
    torch.testing.assert_close(network(lr, modulations[1]), shallow(lr, modulations[0]))
    network(lr, modulations[1]).square().mean().backward()
    added = network.basenet.backbone[4]  # type: ignore[index]
    assert added.conv2.weight.grad.abs().max() > 0  # it can learn to do more


def test_a_shallower_one_is_not_made_of_a_deeper(tmp_path: Path) -> None:
    basenet = {"name": "srresnet", "scale": 2, "channels": 6, "blocks": 3, "tail": "direct"}
    save({"basenet": basenet, "condition": None}, tmp_path / "deep.ckpt")
    wanted = {"basenet": basenet | {"blocks": 2}, "condition": None}
    with pytest.raises(ConfigError, match="its network is"):
        load_initial(build_network(wanted), str(tmp_path / "deep.ckpt"), wanted)
