"""What a network that was read from a checkpoint tells of itself, as a model says it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from blindsr.models.card import MOST_PATCH, SupportSpec
from blindsr.network import Restorer

PAPER_PATCH = 32  # side of a support patch at test time, LR pixels (arXiv 2104.03926, section IV)
SUPPORT_COUNT = 20  # patches in a support set at test time


def describe(network: Restorer, patch: int) -> dict[str, Any]:
    """What a network tells of itself, under the names that `Model` has for it.

    Args:
        network: The network.
        patch: Side of the support patches that it wants, if it adapts; LR pixels.
    """
    capabilities: dict[str, Any] = {
        "scale": network.scale,
        "halo": network.halo,
        "pixel_range": network.pixel_range,
        "adaptive": network.adaptive,
        "support": None,
        "texture": 1.0 if network.texture else None,
        "multiple": network.multiple,
    }
    adapts = network.adapts
    if adapts is not None:
        fixed = adapts.support
        capabilities["support"] = SupportSpec(patch, fixed or SUPPORT_COUNT, fixed is not None)
        capabilities["modulation_size"] = adapts.modulation
        capabilities["condition_size"] = adapts.condition
    return capabilities


def support_patch(checkpoint: Mapping[str, Any]) -> int:
    """Side of the support patches that a checkpoint's ConditionNet wants, LR pixels.

    That of its training, where the checkpoint tells: the zeros around a patch enter its features, and a patch
    of another size has another share of them (docs/results/ablations.md has what a mismatch costs).
    """
    section = checkpoint.get("config")
    for key in ("data", "patch"):
        section = section.get(key) if isinstance(section, Mapping) else None
    return section if isinstance(section, int) and 1 <= section <= MOST_PATCH else PAPER_PATCH
