"""The weights that a run starts from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from blindsr.checkpoint.reading import load_network, read_tensors
from blindsr.engine.torch import load_weights
from blindsr.errors import ConfigError
from blindsr.models.catalogue import find_model
from blindsr.network import CMDSR
from blindsr.training.state import read_average, read_record

_CONDITION_NET = "condition_net."


def read_initial(init: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Weights and hyper-parameters of what `init` names: a checkpoint, a state, or a model's name or folder.

    Raises:
        ModelError: It cannot be found or read.
    """
    path = Path(init)
    if path.suffix == ".npz":
        return read_average(path)
    if path.is_file():
        network, spec = load_network(path)
    else:
        model = find_model(init)
        network, spec = load_weights(model), dict(model.network)
    return network.state_dict(), spec


def teachers_of(init: str) -> list[Any]:
    """The teachers of what `init` names, as far as it tells of any (see `blindsr.training.teacher`).

    Raises:
        ModelError: It cannot be found or read.
    """
    path, told = Path(init), dict[str, Any]()
    if path.suffix == ".npz":
        told = read_record(path)
    elif path.is_file():
        told = read_tensors(path)
    else:
        told = dict(find_model(init).provenance)
    found = told.get("teachers")
    return found if isinstance(found, list) else []


def load_initial(network: nn.Module, init: str, wanted: dict[str, Any]) -> None:
    """Load the weights that `init` names into a network, which they were made for but for its scale.

    From a network of another scale comes all but the layers whose shape the scale decides, the last ones:
    they stay as they are. EDSR's x4 networks begin so, from x2 (arXiv 1707.02921, section 4.2). From one with
    another ConditionNet, which reads conditions of the same length, comes all but that. From one with fewer
    blocks comes all, and the blocks that it lacks begin as the identity. From one without the projector of a
    unified network comes all but that.

    Args:
        network: What is to be trained.
        init: See `read_initial`.
        wanted: Its hyper-parameters.

    Raises:
        ModelError: They cannot be found or read.
        ConfigError: They are another network's.
    """
    weights, spec = read_initial(init)
    own = network.state_dict()
    if spec.get("condition") != wanted.get("condition"):
        weights = {k: v for k, v in weights.items() if not k.startswith(_CONDITION_NET)}
        weights |= {k: v for k, v in own.items() if k.startswith(_CONDITION_NET)}
    if "unified" in wanted and "unified" not in spec:
        weights, spec = _topped(weights, own, spec, wanted)
    if _blocks(spec) < _blocks(wanted):
        weights, spec = _deepened(weights, own, spec, wanted)
    if _comparable(spec) != _comparable(wanted) or weights.keys() != own.keys():
        raise ConfigError(f"init {init}: its network is {spec}, the configuration says {wanted}")
    if spec != wanted:
        weights = {k: v if v.shape == own[k].shape else own[k] for k, v in weights.items()}
    network.load_state_dict(weights)


def load_condition_net(network: CMDSR, init: str) -> None:
    """Load the weights of the ConditionNet of what `init` names, and no others.

    Raises:
        ModelError: They cannot be found or read.
        ConfigError: It has none, or one of another size.
    """
    weights, _ = read_initial(init)
    found = {k.removeprefix(_CONDITION_NET): v for k, v in weights.items() if k.startswith(_CONDITION_NET)}
    try:
        assert network.condition_net is not None
        network.condition_net.load_state_dict(found)
    except (AssertionError, RuntimeError):
        raise ConfigError(
            f"init_condition {init}: it has not the ConditionNet that the configuration says"
        ) from None


def _topped(
    weights: dict[str, Tensor], own: dict[str, Tensor], spec: dict[str, Any], wanted: dict[str, Any]
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The weights of a CMDSR below a projector that begins as it is, and their hyper-parameters.

    What the last convolution makes beside the image, for the projector, begins as it is too.
    """
    if float(spec.get("pixel_range", 1)) != 1:
        return weights, spec
    topped = weights | {name: tensor for name, tensor in own.items() if name.startswith("projector.")}
    for name in ("basenet.output_conv.0.weight", "basenet.output_conv.0.bias"):
        if name in weights and name in own and len(own[name]) > len(weights[name]):
            topped[name] = torch.cat([weights[name], own[name][len(weights[name]) :]])
    carry = {"carry": wanted["basenet"]["carry"]} if "carry" in wanted["basenet"] else {}
    kept = {name: section for name, section in spec.items() if name != "pixel_range"}
    return topped, kept | {"basenet": spec["basenet"] | carry, "unified": wanted["unified"]}


def _comparable(spec: dict[str, Any]) -> dict[str, Any]:
    """Hyper-parameters without the sections' scales, and without what reads a condition but its length."""
    return {
        name: {k: v for k, v in section.items() if k == "size" or (k != "scale" and name != "condition")}
        if isinstance(section, dict)
        else section
        for name, section in spec.items()
    }


def _blocks(spec: dict[str, Any]) -> int:
    """How many residual blocks an SRResNet has; 0: it is another network, or does not say."""
    basenet = spec.get("basenet") or {}
    return int(basenet.get("blocks", 0)) if basenet.get("name") == "srresnet" else 0


def _deepened(
    weights: dict[str, Tensor], own: dict[str, Tensor], spec: dict[str, Any], wanted: dict[str, Any]
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The weights of a deeper SRResNet that computes the same, and its hyper-parameters.

    A residual block whose last convolution is zero adds nothing, and has a gradient (as Net2Net's deeper nets
    begin as the identity, arXiv 1511.05641; by a zero in the residual branch as in arXiv 1706.02677, section
    5.1).
    """
    before, after = _blocks(spec), _blocks(wanted)
    grown = dict(weights)
    for i in range(before, after):
        block = {name: own[name] for name in own if name.startswith(f"basenet.backbone.{i}.")}
        zero = {name: torch.zeros_like(t) for name, t in block.items() if ".conv2." in name}
        grown |= block | zero
    for name in ("modulations.weight", "modulations.bias"):
        if name in weights:
            new = len(own[name]) - len(weights[name])
            trunk = 2 * before * weights["basenet.input_conv.weight"].shape[0]
            begun = own[name][trunk : trunk + new]  # those of the ends come last
            grown[name] = torch.cat([weights[name][:trunk], begun, weights[name][trunk:]])
    return grown, spec | {"basenet": spec["basenet"] | {"blocks": after}}
