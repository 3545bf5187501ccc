"""What the bytes of an engine's results depend on, as values that JSON can hold."""

from __future__ import annotations

from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from blindsr.engine.instructions import instruction_set
from blindsr.models.card import Model
from blindsr.system.files import sha256

__all__ = ["foreign_identity", "openvino_identity", "package_version", "torch_identity"]


def openvino_identity(model: Model, precision: str, fold: bool = False) -> dict[str, Any]:
    """Identity of `OpenVINOEngine`.

    The number of threads is not in it, for the bytes are the same with any.

    Args:
        model: The model it runs.
        precision: "fp32" or "int8".
        fold: Whether the modulation is compiled into the graph.
    """
    base = ("base",) if precision == "fp32" else (precision, f"{precision}_weights")
    roles = (*base, "condition") if model.adaptive else base
    options: dict[str, Any] = {"precision": precision, "fold": fold}
    # Each instruction set sums in an order of its own.
    return _identity(model, "openvino", "cpu", instruction_set().name, roles) | options


def torch_identity(model: Model, device: str) -> dict[str, Any]:
    """Identity of `TorchEngine`.

    Args:
        model: The model it runs.
        device: "cpu", "cuda" (or "cuda:1", ...) or "mps".
    """
    kind = device.partition(":")[0]
    processor = instruction_set().name if kind == "cpu" else _accelerator(device)
    network = {"precision": "fp32", "network": dict(model.network)}
    role = "checkpoint" if "checkpoint" in model.files else "weights"
    return _identity(model, "torch", kind, processor, (role,)) | network


def foreign_identity(model: Model, library: str, device: str = "cpu") -> dict[str, Any]:
    """Identity of `ForeignEngine`.

    Args:
        model: The model it runs.
        library: The package that runs it.
        device: As in `torch_identity`.
    """
    kind = device.partition(":")[0]
    processor = instruction_set().name if kind == "cpu" else _accelerator(device)
    found = {"tiled": model.tiled, "window": model.window, "network": dict(model.network)}
    other = {"torch": package_version("torch")} if library == "spandrel" else {}
    return _identity(model, library, kind, processor, tuple(model.files)) | {"found": found} | other


def package_version(package: str) -> str | None:
    """Version of an installed package; looks without importing it."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _identity(
    model: Model, library: str, device: str, processor: str, roles: tuple[str, ...]
) -> dict[str, Any]:
    return {
        "library": [library, package_version(library)],
        "device": [device, processor],
        "files": {role: model.digests.get(role) or sha256(model.file(role)) for role in roles},
        "card": {
            "scale": model.scale,
            "halo": model.halo,
            "pixel_range": model.pixel_range,
            "multiple": model.multiple,
            "texture": model.texture,
            "support": None if model.support is None else asdict(model.support),
        },
    }


def _accelerator(device: str) -> str:
    """Name of the GPU; empty where PyTorch does not see it."""
    try:
        import torch
    except ImportError:
        return ""
    place = torch.device(device)
    if place.type == "cuda" and torch.cuda.is_available():
        return torch.cuda.get_device_name(place)
    return ""
