"""How a model runs on hardware: OpenVINO on the CPU (the default), PyTorch on CUDA, MPS and the CPU."""

from __future__ import annotations

import sys
from ctypes import CDLL
from importlib.util import find_spec
from typing import TYPE_CHECKING, Protocol

from blindsr.engine.instructions import has_int8_instructions
from blindsr.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from blindsr.model import Model

__all__ = ["DEVICES", "PRECISIONS", "Engine", "choose_engine"]

DEVICES = ("auto", "cpu", "cuda", "mps")
PRECISIONS = ("auto", "fp32", "int8")


class Engine(Protocol):
    """Runs the graphs of one model. Pixels are float32 RGB in [0, 1], whatever range the graphs want."""

    def condition(self, support: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Read a task's degradation.

        Args:
            support: Support set, (P, 3, h, w), RGB in [0, 1].

        Returns:
            The condition, (1, C), and the modulation it stands for, (1, M).
        """
        ...

    def upscale(
        self, lr: NDArray[np.float32], modulation: NDArray[np.float32] | None, texture: float | None = None
    ) -> NDArray[np.float32]:
        """Restore one LR image.

        Args:
            lr: (1, 3, H, W), RGB in [0, 1]; H and W multiples of the model's `multiple`. Beyond it the
                network sees zeros: whoever wants a photo's rim right extends the photo (see `blindsr.rim`).
            modulation: (1, M); None for a model that does not adapt.
            texture: How much of the texture view is added, 0 to 1; None takes the model's default, and is
                the only choice for a model without such a view.

        Returns:
            SR image, (1, 3, scale * H, scale * W); not clipped.

        Raises:
            MemoryError: There is not enough memory for an image of this size.
            ModelError: The model takes no such sides, or its other inputs are not those given.
        """
        ...


def choose_engine(
    model: Model, device: str = "auto", threads: int | None = None, precision: str = "auto"
) -> Engine:
    """Start the engine that suits a device.

    Args:
        model: The model to run.
        device: "auto" takes CUDA where PyTorch is installed and sees such a device, and the CPU otherwise.
        threads: CPU threads; None leaves the choice to the engine.
        precision: What the network's convolutions compute in, one of `PRECISIONS`. "auto" takes int8 on a CPU
            that has instructions for it, if the model comes in 8 bit, and fp32 otherwise.

    Raises:
        InputError: Unknown or absent device, or a precision that it or the model has not.
        MissingExtraError: The device needs PyTorch, which is not installed.
        ModelError: The model's files do not fit the engine, or end the process that runs them: those that
            are not shipped are tried once, see `blindsr.engine.trial`.
    """
    if device not in DEVICES:
        raise InputError(f"device {device!r} is not one of {', '.join(DEVICES)}")
    if precision not in PRECISIONS:
        raise InputError(f"precision {precision!r} is not one of {', '.join(PRECISIONS)}")
    if precision == "int8" and "int8" not in model.files:
        raise InputError(f"model {model.name} does not come in int8; leave --precision out")
    # PyTorch runs from the model's weights, so without them only OpenVINO can serve it.
    if device == "auto":
        device = "cuda" if "weights" in model.files and _cuda_available() else "cpu"
    if device == "cpu":
        from blindsr.engine.openvino import OpenVINOEngine
        from blindsr.engine.trial import ensure_tried

        ensure_tried(model)
        if precision == "auto":
            precision = "int8" if "int8" in model.files and has_int8_instructions() else "fp32"
        return OpenVINOEngine(model, threads, precision=precision)
    if precision == "int8":
        raise InputError(
            f"int8 runs on the CPU, not on {device}; leave --precision out, or take --device cpu"
        )
    if not _torch_installed():
        raise MissingExtraError(f"device {device}", "torch", "torch")
    from blindsr.engine.torch import TorchEngine

    return TorchEngine(model, device, threads=threads)


def _torch_installed() -> bool:
    """Whether PyTorch could be imported; looks without importing it."""
    try:
        return find_spec("torch") is not None and find_spec("safetensors") is not None
    except (ImportError, ValueError):  # an import hook may refuse, and a half-loaded module has no spec
        return False


def _driver_installed() -> bool:
    """Whether there is an NVIDIA driver: quick to ask, where importing PyTorch takes seconds."""
    try:
        CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    return True


def _cuda_available() -> bool:
    """Whether PyTorch is there and sees a CUDA device; imports it only where there is a driver for one."""
    if not _torch_installed() or not _driver_installed():
        return False
    import torch

    return torch.cuda.is_available()
