"""Reading networks from files: ours, and the official layouts. No file's code is ever run."""

from __future__ import annotations

import math
import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from blindsr.errors import ConfigError, ModelError
from blindsr.network import CMDSR, Cria, build_network
from blindsr.network.esrgan import convert_esrgan, is_esrgan

FORMAT = "blindsr-checkpoint"
OFFICIAL_KEY = "sr_net.input_conv.weight"
"""A weight that tells an official CMDSR checkpoint."""
_WRAPPERS = ("params_ema", "params", "state_dict")  # under which others put their weights


def read_tensors(path: Path) -> dict[str, Any]:
    """Read a checkpoint's dictionary without running code from it.

    Args:
        path: A PyTorch file holding a dictionary of tensors and plain values.

    Raises:
        ModelError: The file is missing, truncated, not a checkpoint, or holds pickled code.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise ModelError(f"{path}: no such file") from None
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror})") from None
    except pickle.UnpicklingError as error:
        if "GLOBAL" in str(error) or "Unsupported" in str(error):
            why = "it holds Python objects other than tensors, which could run code; save a plain state_dict"
        else:
            why = "it is not a PyTorch checkpoint"
        raise ModelError(f"{path}: refused: {why}") from None
    except (RuntimeError, EOFError, ValueError, KeyError) as error:
        raise ModelError(
            f"{path}: not a whole PyTorch checkpoint (truncated, or another kind of file): "
            f"{str(error).splitlines()[0] if str(error) else type(error).__name__}"
        ) from None
    if not isinstance(content, Mapping):
        raise ModelError(f"{path}: holds a {type(content).__name__}, not a dictionary of weights")
    return dict(content)


def load_network(path: Path) -> tuple[CMDSR | Cria, dict[str, Any]]:
    """Load a network from one of our checkpoints, or an official file of CMDSR, Cria-CL or ESRGAN.

    Args:
        path: The file.

    Returns:
        The network in evaluation mode (with the averaged weights, if the checkpoint is one of training), and
        the hyper-parameters that build it (see `blindsr.network.build_network`).

    Raises:
        ModelError: The file is not such a checkpoint; the message says what is wrong with it.
    """
    return network_of(read_tensors(path), path)


def network_of(content: Mapping[str, Any], path: Path) -> tuple[CMDSR | Cria, dict[str, Any]]:
    """As `load_network`, of a checkpoint that was read already; `path` is for messages."""
    if content.get("format") == FORMAT:
        spec, state = content["network"], content.get("ema") or content["state"]
    else:
        content = next((content[key] for key in _WRAPPERS if isinstance(content.get(key), Mapping)), content)
        state = {k: v for k, v in content.items() if isinstance(v, Tensor)}
        if OFFICIAL_KEY in state:
            what, convert = "CMDSR", convert_official
        elif is_esrgan(state):
            what, convert = "Cria-CL or ESRGAN", convert_esrgan
        else:
            raise ModelError(
                f"{path}: neither a blindsr checkpoint nor an official one of CMDSR, Cria-CL or ESRGAN "
                f"(its keys begin with {', '.join(sorted(map(str, content))[:3]) or 'nothing'})"
            )
        try:
            spec, state = convert(state)
        except (KeyError, ValueError, IndexError) as error:
            raise ModelError(f"{path}: an official {what} checkpoint with parts missing: {error}") from None
    try:
        network = build_network(spec)
        network.load_state_dict(state)
    except (ConfigError, RuntimeError) as error:
        raise ModelError(
            f"{path}: the weights do not fit the network: {' '.join(str(error).split())}"
        ) from None
    return network.eval(), dict(spec)


def convert_official(state: Mapping[str, Tensor]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Translate an official CMDSR state_dict: deduce the hyper-parameters and rename the weights.

    The official convolutions use the equalised learning rate (the stored weight is multiplied by
    1 / sqrt(c_in k^2) at run time); ours hold the product.

    Raises:
        KeyError: A weight that the layout needs is missing.
        ValueError: The weights' shapes or names are not those of the layout.
    """
    blocks = 1 + max(
        (int(m[1]) for k in state if (m := re.match(r"sr_net\.backbone\.(\d+)\.", k))), default=-1
    )
    channels = state[OFFICIAL_KEY].shape[0]
    stages = sorted({k.split(".")[2] for k in state if k.startswith("sr_net.upsampler.")}, key=int)
    scale = math.prod(math.isqrt(state[f"sr_net.upsampler.{i}.weight"].shape[0] // channels) for i in stages)
    first = state["condition_net.condition.0.weight"]  # (width, 3n, 3, 3)
    if first.shape[1] % 3 or blocks == 0:
        raise ValueError(f"{blocks} residual blocks and {first.shape[1]} input channels of the ConditionNet")
    size = state["condition_net.condition.7.weight"].shape[0]
    spec = {
        "basenet": {
            "name": "srresnet", "scale": scale, "channels": channels, "blocks": blocks, "tail": "shuffle",
            "skip": False,
        },
        "condition": {
            "name": "stacked", "support": first.shape[1] // 3, "size": size, "width": first.shape[0]
        },
        "pixel_range": 255.0,
    }  # fmt: skip
    renamed: dict[str, Tensor] = {}
    for key, tensor in state.items():
        if key.startswith("sr_net.modulations."):
            continue
        if key.startswith("sr_net."):
            tensor = tensor.float()
            if key.endswith(".weight"):
                tensor = tensor / math.sqrt(tensor[0].numel())
            renamed["basenet." + key.removeprefix("sr_net.")] = tensor
        elif key.startswith("condition_net."):
            renamed["condition_net." + key.removeprefix("condition_net.")] = tensor.float()
        else:
            raise ValueError(f"unknown weight {key!r}")
    layers = [f"sr_net.modulations.modulations.{i}" for i in range(2 * blocks)]
    renamed["modulations.weight"] = torch.cat([state[f"{layer}.weight"].float() for layer in layers])
    renamed["modulations.bias"] = torch.cat([state[f"{layer}.bias"].float() for layer in layers])
    return spec, renamed
