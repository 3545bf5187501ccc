"""PyTorch definitions of the networks, and the tables by which a configuration names them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from inspect import signature
from typing import Any, TypeVar

from blindsr.errors import ConfigError
from blindsr.network.basenet import BaseNet
from blindsr.network.cmdsr import CMDSR
from blindsr.network.condition import (
    AttentiveConditionNet,
    ConditionNet,
    PatchConditionNet,
    StackedConditionNet,
)
from blindsr.network.cria import Cria
from blindsr.network.discriminator import Discriminator, PatchDiscriminator, UNetDiscriminator
from blindsr.network.idn import IDN
from blindsr.network.oracle import Oracle
from blindsr.network.restorer import Restorer
from blindsr.network.rrdb import RRDBNet
from blindsr.network.srresnet import SRResNet
from blindsr.network.unified import Unified
from blindsr.network.vdsr import VDSR
from blindsr.system.nearest import nearest

__all__ = [
    "BASENETS",
    "CMDSR",
    "CONDITION_NETS",
    "DISCRIMINATORS",
    "BaseNet",
    "ConditionNet",
    "Cria",
    "Discriminator",
    "Oracle",
    "Restorer",
    "Unified",
    "build_discriminator",
    "build_named",
    "build_network",
    "expect",
]

BASENETS: dict[str, Callable[..., BaseNet]] = {
    "srresnet": SRResNet,
    "vdsr": VDSR,
    "idn": IDN,
    "rrdb": RRDBNet,
}
CONDITION_NETS: dict[str, Callable[..., ConditionNet]] = {
    "patches": PatchConditionNet,
    "attentive": AttentiveConditionNet,
    "stacked": StackedConditionNet,
}
DISCRIMINATORS: dict[str, Callable[..., Discriminator]] = {
    "patch": PatchDiscriminator,
    "unet": UNetDiscriminator,
}

T = TypeVar("T")
Kind = TypeVar("Kind")


def build_network(spec: Mapping[str, Any]) -> CMDSR | Cria:
    """Build a network from its hyper-parameters.

    Args:
        spec: Of CMDSR, ``{"basenet": {"name": ..., **arguments}, "condition": {"name": ..., **arguments} |
            None, "pixel_range": 1.0}``; of Cria-CL, ``{"cria": arguments}``; of both in one, ``{"basenet":
            ..., "condition": ..., "unified": arguments}``.

    Raises:
        ConfigError: An unknown name or argument; the message names the nearest right one.
    """
    if set(spec) == {"cria"}:
        return build_named({"cria": Cria}, {"name": "cria", **spec["cria"]}, "network")
    unknown = set(spec) - {"basenet", "condition", "pixel_range", "unified"}
    if unknown or "basenet" not in spec or {"pixel_range", "unified"} <= set(spec):
        raise ConfigError(
            "a network has basenet, condition and pixel_range, or basenet, condition and unified, or cria "
            f"alone, not {sorted(spec)}"
        )
    basenet = build_named(BASENETS, spec["basenet"], "basenet")
    condition = spec.get("condition")
    condition_net = None if condition is None else build_named(CONDITION_NETS, condition, "condition")
    if "unified" in spec:
        chosen = {"name": "unified", "basenet": basenet, "condition_net": condition_net, **spec["unified"]}
        return build_named({"unified": Unified}, chosen, "network")
    pixel_range = float(spec.get("pixel_range", 1.0))
    if condition_net is not None:
        condition_net.start_for(pixel_range)
    return CMDSR(basenet, condition_net, pixel_range)


def build_discriminator(spec: Mapping[str, Any]) -> Discriminator:
    """Build a discriminator from its hyper-parameters.

    Args:
        spec: ``{"name": ..., **arguments}``, the name being one of `DISCRIMINATORS`.

    Raises:
        ConfigError: An unknown name or argument; the message names the nearest right one.
    """
    return build_named(DISCRIMINATORS, spec, "discriminator")


def build_named(
    table: Mapping[str, Callable[..., T]], spec: Mapping[str, Any], what: str, taken: Sequence[str] = ()
) -> T:
    """Build what a table has under ``spec["name"]``, from the other entries.

    Raises:
        ConfigError: An unknown name or argument; the message, which begins with `what`, names the nearest
            right one (of `taken` too: keys that the caller took out before).
    """
    arguments = dict(spec)
    name = arguments.pop("name", None)
    if name not in table:
        raise ConfigError(f"{what}.name: {name!r} is not one of {', '.join(table)}{_nearest(name, table)}")
    known = signature(table[name]).parameters
    for key in arguments:
        if key not in known:
            raise ConfigError(f"{what}.{key}: {name} has no such argument{_nearest(key, [*known, *taken])}")
    return table[name](**arguments)


def expect(network: object, kind: type[Kind], fault: str) -> Kind:
    """A network that must be of one kind.

    Raises:
        ConfigError: It is not; its text is `fault`.
    """
    if not isinstance(network, kind):
        raise ConfigError(fault)
    return network


def _nearest(word: object, words: Iterable[str]) -> str:
    close = nearest(word, words)
    return f"; did you mean {close[0]!r}?" if close else ""
