"""The weights that a run starts from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor, nn

from blindsr.engine.torch import load_weights
from blindsr.errors import ConfigError
from blindsr.model import load_model
from blindsr.network.checkpoint import load_network

_CONDITION_NET = "condition_net."


def read_initial(init: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Weights and hyper-parameters of what `init` names: a checkpoint, or a model's name or folder.

    Raises:
        ModelError: It cannot be found or read.
    """
    path = Path(init)
    if path.is_file():
        network, spec = load_network(path)
    else:
        model = load_model(init)
        network, spec = load_weights(model), dict(model.network)
    return network.state_dict(), spec


def load_initial(network: nn.Module, init: str, wanted: dict[str, Any]) -> None:
    """Load the weights that `init` names into a network, which they were made for but for its scale.

    From a network of another scale comes all but the layers whose shape the scale decides, the last ones:
    they stay as they are. EDSR's x4 networks begin so, from x2 (arXiv 1707.02921, section 4.2). From one with
    another ConditionNet, which reads conditions of the same length, comes all but that.

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
    if _comparable(spec) != _comparable(wanted) or weights.keys() != own.keys():
        raise ConfigError(f"init {init}: its network is {spec}, the configuration says {wanted}")
    if spec != wanted:
        weights = {k: v if v.shape == own[k].shape else own[k] for k, v in weights.items()}
    network.load_state_dict(weights)


def _comparable(spec: dict[str, Any]) -> dict[str, Any]:
    """Hyper-parameters without the sections' scales, and without what reads a condition but its length."""
    return {
        name: {k: v for k, v in section.items() if k == "size" or (k != "scale" and name != "condition")}
        if isinstance(section, dict)
        else section
        for name, section in spec.items()
    }
