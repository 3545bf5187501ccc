"""The weights that a run starts from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor

from blindsr.engine.torch import load_weights
from blindsr.errors import ConfigError
from blindsr.model import load_model
from blindsr.network.checkpoint import load_network


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


def initial_weights(init: str, wanted: dict[str, Any]) -> dict[str, Tensor]:
    """The weights that `init` names, for a network of the same hyper-parameters.

    Raises:
        ModelError: They cannot be found or read.
        ConfigError: They are another network's.
    """
    weights, spec = read_initial(init)
    if spec != wanted:
        raise ConfigError(f"init {init}: its network is {spec}, the configuration says {wanted}")
    return weights
