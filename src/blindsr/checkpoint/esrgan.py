"""The official layouts of Cria-CL and ESRGAN: what their weights are called, and how large the network is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from blindsr.network.cria import Cria

_NUMBERED = "model.1.sub."  # of ESRGAN's first release, whose layers have numbers

_BLOCKS = re.compile(r"(?:RRDB_trunk|body|model\.1\.sub)\.(\d+)\.[rR][dD][bB](\d)\.conv(\d)(?:\.0)?\.(\w+)")
_BRANCHES = re.compile(r"(branch1|branch2|sm)\.(\d+)\.(block\.0|block\.2|conv)\.(\w+)")
_BRANCH = {"branch1": "structure", "branch2": "texture", "sm": "mask"}
_PART = {"block.0": "conv1", "block.2": "conv2", "conv": "skip"}
_LAYERS = {
    "conv_first": "trunk.first",
    "trunk_conv": "trunk.last", "conv_body": "trunk.last",
    "upconv1": "tail.up.0", "conv_up1": "tail.up.0",
    "upconv2": "tail.up.1", "conv_up2": "tail.up.1",
    "HRconv": "tail.hr", "conv_hr": "tail.hr",
    "conv_last": "tail.last",
    "tail_conv1": "projector.structure_out",
    "tail_conv2": "projector.texture_out",
    "model.0": "trunk.first", "model.3": "tail.up.0", "model.6": "tail.up.1",
    "model.8": "tail.hr", "model.10": "tail.last",
}  # fmt: skip


def is_esrgan(state: Mapping[str, Any]) -> bool:
    """Whether the weights are an official network of ESRGAN's family, Cria-CL included."""
    return any(_BLOCKS.fullmatch(str(key)) for key in state)


def is_cria(state: Mapping[str, Any]) -> bool:
    """Whether the weights are an official network of Cria-CL: ESRGAN's with a spatial projector."""
    return is_esrgan(state) and "tail_conv1.weight" in state


def convert_esrgan(state: Mapping[str, Tensor]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Translate an official Cria-CL or ESRGAN state_dict: deduce the hyper-parameters and rename the weights.

    The layout does not tell x4 from x1, which have the same weights: x4 it is, unless `network_of` is told.

    Raises:
        KeyError: A weight that the layout needs is missing.
        ValueError: A weight of another layout, or of an ESRGAN that is not made for x4.
    """
    blocks = 1 + max(int(m[1]) for key in state if (m := _BLOCKS.fullmatch(key)))
    if blocks > len(state):
        raise ValueError("a block of a number beyond all weights")
    renamed = {_renamed(key, blocks): tensor.float() for key, tensor in state.items()}
    first = renamed["trunk.first.weight"]  # (channels, 3, 3, 3)
    if first.shape[1] != 3:
        raise ValueError(f"its first convolution takes {first.shape[1]} channels, and 3 are known")
    spec: dict[str, Any] = {
        "scale": 4,
        "channels": first.shape[0],
        "blocks": blocks,
        "growth": renamed["trunk.blocks.0.dense.0.convs.0.weight"].shape[0],
        "projector": 0,
    }
    if "projector.structure_out.weight" in renamed:
        spec["projector"] = renamed["projector.structure_out.weight"].shape[1]
        spec["projector_blocks"] = 1 + max(
            int(key.split(".")[2]) for key in renamed if key.startswith("projector.structure.")
        )
    return {"cria": spec}, renamed


def initialise_trunk(network: Cria, state: Mapping[str, Tensor]) -> int:
    """Start a network's trunk from the weights of another one with a trunk of the same size.

    The upsampler is taken over too where it has the same form; a projector keeps its own start, unless the
    other network has one of the same size.

    Args:
        network: Its weights are changed in place.
        state: Weights under our names (see `convert_esrgan`).

    Returns:
        How many tensors were taken over.

    Raises:
        ValueError: The trunks are of different sizes.
    """
    own = network.state_dict()
    taken = {key: tensor for key, tensor in state.items() if _fits(own, key, tensor)}
    missing = [key for key in own if key.startswith("trunk.") and key not in taken]
    if missing:
        has = tuple(state[missing[0]].shape) if missing[0] in state else "missing"
        raise ValueError(f"{missing[0]} should be {tuple(own[missing[0]].shape)}, and is {has}")
    for part in ("tail.", "projector."):
        if any(key.startswith(part) and key not in taken for key in own):
            taken = {key: tensor for key, tensor in taken.items() if not key.startswith(part)}
    with torch.no_grad():
        for key, tensor in taken.items():
            own[key].copy_(tensor)
    return len(taken)


def _fits(own: Mapping[str, Tensor], key: str, tensor: Tensor) -> bool:
    return key in own and own[key].shape == tensor.shape


def _renamed(key: str, blocks: int) -> str:
    """A weight's name of ours."""
    if m := _BLOCKS.fullmatch(key):
        return f"trunk.blocks.{m[1]}.dense.{int(m[2]) - 1}.convs.{int(m[3]) - 1}.{m[4]}"
    if m := _BRANCHES.fullmatch(key):
        return f"projector.{_BRANCH[m[1]]}.{m[2]}.{_PART[m[3]]}.{m[4]}"
    layer, _, kind = key.rpartition(".")
    if layer == f"{_NUMBERED}{blocks}":  # the trunk's last convolution is numbered as a block more
        return f"trunk.last.{kind}"
    if layer not in _LAYERS:
        raise ValueError(f"unknown weight {key!r}")
    return f"{_LAYERS[layer]}.{kind}"
