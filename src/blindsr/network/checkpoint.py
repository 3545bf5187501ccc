"""Reading networks from files: ours, and the official layouts. No file's code is ever run."""

from __future__ import annotations

import math
import pickle
import re
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from blindsr.errors import ConfigError, MissingExtraError, ModelError
from blindsr.network import CMDSR, Cria, build_network
from blindsr.network.esrgan import convert_esrgan, is_cria, is_esrgan
from blindsr.network.features import FeatureNetwork, SqueezeNetFeatures, VGG19Features

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


def read_weights(path: Path, wanted: Mapping[str, tuple[int, ...]], what: str) -> dict[str, Tensor]:
    """Read the tensors of a network that is known beforehand.

    Args:
        path: A PyTorch checkpoint, .safetensors, or an .npz file of arrays; it may hold more.
        wanted: Names and shapes.
        what: What they are, for messages: "features of VGG-19".

    Returns:
        They, in float32, in the order in which they are wanted.

    Raises:
        ModelError: The file is missing or damaged, or a tensor is missing or of another shape.
    """
    return _pick(_read_any(path), wanted, what, str(path))


def load_features(
    kind: Literal["vgg19", "squeezenet"], weights: Path | None = None, layers: Sequence[str] | None = None
) -> FeatureNetwork:
    """A feature network with trained weights, in evaluation mode.

    Args:
        kind: "vgg19" or "squeezenet".
        weights: File of its weights, see `read_weights`; of VGG-19 in either layout of `VGG19Features`, as
            deep as the layers are. None: those of torchvision, which it downloads when they are first used.
        layers: See `VGG19Features` and `SqueezeNetFeatures`; None: their usual ones.

    Raises:
        ConfigError: There is no such network or layer.
        ModelError: The weights cannot be read, are others, or do not reach as deep as the layers.
        MissingExtraError: No file is given, and torchvision is not installed.
    """
    if kind not in ("vgg19", "squeezenet"):
        raise ConfigError(f'features.network: "vgg19" or "squeezenet", not {kind!r}')
    content = _torchvision_weights(kind) if weights is None else _read_any(weights)
    chosen = {} if layers is None else {"layers": layers}
    network: FeatureNetwork
    prefix = ""  # which our names have and the file's have not
    if kind == "squeezenet":
        network, what = SqueezeNetFeatures(**chosen), "features of SqueezeNet 1.1"
    else:
        first = content.get("0.weight")
        normalised = isinstance(first, Tensor) and first.shape[2:] == (1, 1)
        network = VGG19Features(**chosen, normalised=normalised)
        what = f"features of VGG-19{' (normalised)' if normalised else ''} up to {network.layers[-1]}"
        prefix = "features." if normalised else ""
    wanted = {name.removeprefix(prefix): tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    found = _pick(content, wanted, what, str(weights or "torchvision"))
    network.load_state_dict({prefix + name: tensor for name, tensor in found.items()})
    return network.eval()


def _torchvision_weights(kind: str) -> Mapping[str, object]:
    purpose = f"features of {kind} without a file of its weights"
    try:
        from torchvision import models
    except ModuleNotFoundError as error:
        raise MissingExtraError(purpose, "torchvision", error.name or "torchvision") from error
    except (ImportError, RuntimeError) as error:  # one that does not fit PyTorch
        raise ModelError(
            f"torchvision is installed and does not start ({error}); install the one that fits "
            f"torch {torch.__version__}, or give a file of the weights"
        ) from error
    build = {"vgg19": models.vgg19, "squeezenet": models.squeezenet1_1}[kind]
    try:
        state: Mapping[str, object] = build(weights="IMAGENET1K_V1").state_dict()
    except (OSError, RuntimeError) as error:
        raise ModelError(
            f"torchvision could not get the weights of {kind} ({error}); give a file of them"
        ) from error
    return state


def _read_any(path: Path) -> Mapping[str, object]:
    """What a file of weights holds, whatever its kind."""
    kind = path.suffix.lower()
    try:
        if kind == ".npz":
            with np.load(path, allow_pickle=False) as arrays:
                return {name: torch.from_numpy(arrays[name]) for name in arrays}
        if kind == ".safetensors":
            from safetensors import SafetensorError
            from safetensors.torch import load_file

            try:
                return load_file(path)
            except SafetensorError as error:
                raise ValueError(error) from None
    except FileNotFoundError:
        raise ModelError(f"{path}: no such file") from None
    except (OSError, ValueError, EOFError, TypeError, zipfile.BadZipFile) as error:
        raise ModelError(f"{path}: not a whole {kind} file of numbers ({error})") from None
    return read_tensors(path)


def _pick(
    content: Mapping[str, object], wanted: Mapping[str, tuple[int, ...]], what: str, where: str
) -> dict[str, Tensor]:
    found = {}
    for name, shape in wanted.items():
        tensor = content.get(name)
        if not isinstance(tensor, Tensor) or tuple(tensor.shape) != shape:
            has = f"has {tuple(tensor.shape)}" if isinstance(tensor, Tensor) else "is missing"
            raise ModelError(f"{where}: not the {what}: {name}, to be {shape}, {has}")
        found[name] = tensor.float()
    return found


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


def is_known(content: Mapping[str, Any]) -> bool:
    """Whether a checkpoint that was read already is ours, or an official one of CMDSR or Cria-CL.

    ESRGAN's is left out: its layout is that of many networks, of which `network_of` takes some.
    """
    return content.get("format") == FORMAT or OFFICIAL_KEY in content or is_cria(_unwrapped(content))


def network_of(content: Mapping[str, Any], path: Path) -> tuple[CMDSR | Cria, dict[str, Any]]:
    """As `load_network`, of a checkpoint that was read already; `path` is for messages."""
    if content.get("format") == FORMAT:
        spec, state = content["network"], content.get("ema") or content["state"]
    else:
        content = _unwrapped(content)
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


def _unwrapped(content: Mapping[str, Any]) -> Mapping[str, Any]:
    """The weights themselves, which others put under a name of their own."""
    return next((content[key] for key in _WRAPPERS if isinstance(content.get(key), Mapping)), content)


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
