"""Reading networks from files: ours, and the official layouts. No file's code is ever run."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from blindsr.checkpoint.esrgan import convert_esrgan, is_cria, is_esrgan
from blindsr.checkpoint.pickled import CHECKPOINT_FAULTS, ForeignObject, check_checkpoint
from blindsr.errors import ConfigError, MissingExtraError, ModelError
from blindsr.network import CMDSR, Cria, build_network
from blindsr.network.features import FeatureNetwork, SqueezeNetFeatures, VGG19Features
from blindsr.system.files import open_file
from blindsr.system.npz import NPZ_FAULTS, read_npz
from blindsr.system.untrusted import brief, shorten

FORMAT = "blindsr-checkpoint"
OFFICIAL_KEY = "sr_net.input_conv.weight"
"""A weight that tells an official CMDSR checkpoint."""
_HEADER = 8 << 20  # bytes of a .safetensors file's
_LARGEST = 1 << 16  # of all numbers that describe a network
_UNFIT = (
    TypeError, ValueError, LookupError, ArithmeticError, AttributeError, RuntimeError, AssertionError,
)  # fmt: skip
"""What networks raise of hyper-parameters that are none of theirs."""
_WRAPPERS = (
    "params_ema", "state_dict_ema", "model_ema", "net_g_ema", "g_ema", "ema", "params", "state_dict",
    "model_state_dict", "model_state", "model", "net", "network", "net_g", "netG", "generator", "G",
    "weights",
)  # fmt: skip
"""Under which others put their weights; of several the averaged ones are taken."""
_PREFIXES = (
    "module.", "_orig_mod.", "model.", "net.", "network.", "net_g.", "netG.", "generator_ema.", "generator.",
    "G.",
)  # fmt: skip
"""That wrappers of networks put before the names of weights."""
_NESTING = 5  # of wrappers and prefixes in one another


def read_tensors(path: Path) -> dict[str, Any]:
    """Read a checkpoint's dictionary without running code from it.

    Args:
        path: A PyTorch file holding a dictionary of tensors and plain values.

    Raises:
        ModelError: The file is missing, truncated, not a checkpoint, or holds pickled code.
    """
    try:
        with open_file(path) as file:
            check_checkpoint(file)
            file.seek(0)
            with warnings.catch_warnings():
                warnings.simplefilter(
                    "ignore"
                )  # of what the file is like; it is read, or refused in one line
                content = torch.load(file, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise ModelError(f"{path}: no such file") from None
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror or error})") from None
    except ForeignObject as error:
        raise ModelError(
            f"{path}: refused: it holds Python objects other than tensors ({error}), which could run code; "
            "save a plain state_dict"
        ) from None
    except CHECKPOINT_FAULTS as error:
        raise ModelError(
            f"{path}: not a whole PyTorch checkpoint (truncated, or another kind of file): {brief(error)}"
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
    return _pick(read_content(path), wanted, what, str(path))


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
    content = _torchvision_weights(kind) if weights is None else read_content(weights)
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


def read_content(path: Path) -> Mapping[str, Any]:
    """What a file of weights holds, whatever its kind: of PyTorch, .safetensors, or an .npz of arrays.

    Raises:
        ModelError: The file is missing or damaged, or holds pickled code.
    """
    if path.suffix.lower() == ".safetensors":
        return read_safetensors(path)
    if path.suffix.lower() != ".npz":
        return read_tensors(path)
    try:
        return {name: torch.from_numpy(array) for name, array in read_npz(path).items()}
    except FileNotFoundError:
        raise ModelError(f"{path}: no such file") from None
    except NPZ_FAULTS as error:
        raise ModelError(f"{path}: not a whole .npz file of numbers ({brief(error)})") from None


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a .safetensors file.

    Raises:
        ModelError: The file is missing or damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        with open_file(path) as file:
            length = file.seek(0, 2)
            file.seek(0)
            if int.from_bytes(file.read(8), "little") > min(_HEADER, length - 8):
                raise ValueError("its header is larger than any")
        tensors: dict[str, Tensor] = load_file(path)
    except FileNotFoundError:
        raise ModelError(f"{path}: no such file") from None
    except (*CHECKPOINT_FAULTS, SafetensorError) as error:
        raise ModelError(f"{path}: not a whole .safetensors file ({brief(error)})") from None
    return tensors


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
        path: The file, of PyTorch or .safetensors.

    Returns:
        The network in evaluation mode (with the averaged weights, if the checkpoint is one of training), and
        the hyper-parameters that build it (see `blindsr.network.build_network`).

    Raises:
        ModelError: The file is not such a checkpoint; the message says what is wrong with it.
    """
    return network_of(read_content(path), path)


def is_known(content: Mapping[str, Any]) -> bool:
    """Whether a checkpoint that was read already is ours, or an official one of CMDSR or Cria-CL.

    ESRGAN's is left out: its layout is that of many networks, of which `network_of` takes some.
    """
    state = find_weights(content)
    return is_ours(content) or (state is not None and (OFFICIAL_KEY in state or is_cria(state)))


def network_of(
    content: Mapping[str, Any], path: Path, scale: int | None = None
) -> tuple[CMDSR | Cria, dict[str, Any]]:
    """As `load_network`, of a checkpoint that was read already.

    Args:
        content: What `read_tensors` gave.
        path: For messages.
        scale: For official Cria-CL and ESRGAN files, whose layout does not tell it; None: 4.

    Raises:
        ModelError: See `load_network`; or the checkpoint tells another scale.
    """
    if is_ours(content):
        spec, state = content.get("network"), content.get("ema")
        if not (isinstance(state, Mapping) and state):
            state = content.get("state")
    else:
        found = find_weights(content) or content
        state = {k: v for k, v in found.items() if isinstance(k, str) and isinstance(v, Tensor)}
        if OFFICIAL_KEY in state:
            what, convert = "CMDSR", convert_official
        elif is_esrgan(state):
            what, convert = "Cria-CL or ESRGAN", convert_esrgan
        else:
            begin = ", ".join(sorted(key for key in found if isinstance(key, str))[:3]) or "nothing"
            raise ModelError(
                f"{path}: neither a blindsr checkpoint nor an official one of CMDSR, Cria-CL or ESRGAN "
                f"(its keys begin with {begin[:200]})"
            )
        try:
            spec, state = convert(state)
            if "cria" in spec and scale is not None:
                spec["cria"]["scale"] = scale
        except (KeyError, ValueError, IndexError, ArithmeticError, RuntimeError) as error:
            raise ModelError(
                f"{path}: an official {what} checkpoint with parts missing: {brief(error)}"
            ) from None
    try:
        network, spec = build_for(spec, state), dict(spec or {})
    except ConfigError as error:
        raise ModelError(f"{path}: the weights do not fit the network: {brief(error)}") from None
    if scale is not None and network.scale != scale:
        raise ModelError(f"{path}: it is a network for x{network.scale}, not x{scale}")
    return network.eval(), spec


def build_for(spec: object, state: object) -> CMDSR | Cria:
    """Build a network from its hyper-parameters, and load its weights.

    It is built once without memory: hyper-parameters from elsewhere can ask for more than there is, and the
    weights tell whether they mean it.

    Args:
        spec: See `build_network`; from anywhere.
        state: The weights, by name; from anywhere.

    Raises:
        ConfigError: There is no such network, or the weights are another's.
    """
    if not isinstance(state, Mapping) or not all(isinstance(one, Tensor) for one in state.values()):
        raise ConfigError("what should be its weights are none")
    if not isinstance(spec, Mapping):
        raise ConfigError("what should be its hyper-parameters are none")
    _check_spec(spec, len(state))
    try:
        with torch.device("meta"):
            wanted = {name: tuple(tensor.shape) for name, tensor in build_network(spec).state_dict().items()}
    except (ConfigError, *_UNFIT) as error:
        raise ConfigError(f"the network cannot be built ({brief(error)})") from None
    found = {name: tuple(tensor.shape) for name, tensor in state.items()}
    if wanted != found:
        name = next(str(name) for name in [*wanted, *found] if wanted.get(name) != found.get(name))
        raise ConfigError(f"{name[:100]} is {found.get(name, 'missing')}, to be {wanted.get(name, 'absent')}")
    network = build_network(spec)
    try:
        network.load_state_dict(state)
    except (RuntimeError, NotImplementedError) as error:
        raise ConfigError(brief(error)) from None
    return network


def _check_spec(spec: Mapping[Any, Any], tensors: int) -> None:
    """Refuse hyper-parameters that no network has.

    Raises:
        ConfigError: A number is beyond all of theirs, or there are more blocks than tensors.
    """
    for name, section in spec.items():
        for key, value in section.items() if isinstance(section, Mapping) else [(name, section)]:
            most = tensors if str(key).endswith("blocks") else _LARGEST
            if isinstance(value, (int, float)) and not abs(value) <= most:
                raise ConfigError(f"{str(key)[:40]}: {shorten(value)} is more than any network has")


def is_ours(content: Mapping[str, Any]) -> bool:
    """Whether a checkpoint that was read is one of ours."""
    kind = content.get("format")
    return isinstance(kind, str) and kind == FORMAT


def find_weights(content: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The weights of an official network, whatever others have wrapped them in.

    Programs save a network under a name of theirs (``{"state_dict": ...}``, ``{"params_ema": ...}``), and
    what trains it on several machines, compiles it or holds it beside a discriminator puts its own name
    before those of the weights (``module.``, ``generator.``).

    Args:
        content: What a checkpoint holds.

    Returns:
        The weights under their official names; None where there is no network of CMDSR, Cria-CL or ESRGAN.

    Example:
        >>> find_weights({"state_dict": {"module.sr_net.input_conv.weight": 0}})
        {'sr_net.input_conv.weight': 0}
    """
    waiting, seen = [content], {id(content)}
    for _ in range(_NESTING):
        for state in waiting:
            if OFFICIAL_KEY in state or is_esrgan(state):
                return state
        wrapped = [state[name] for state in waiting for name in _WRAPPERS if name in state]
        # One dictionary may stand in many places.
        inner = [one for one in wrapped if isinstance(one, Mapping) and id(one) not in seen]
        inner = list({id(one): one for one in inner}.values())
        seen.update(map(id, inner))
        waiting = [*inner, *(named for state in waiting for named in _without_prefixes(state))]
    return None


def _without_prefixes(state: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Of each known prefix what is named with it, without it."""
    for prefix in _PREFIXES:
        names = [name for name in state if isinstance(name, str) and name.startswith(prefix)]
        if names:
            yield {name.removeprefix(prefix): state[name] for name in names}


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
    if blocks > len(state):
        raise ValueError(f"a block of number {shorten(blocks - 1)}")
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
