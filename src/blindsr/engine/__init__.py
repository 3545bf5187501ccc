"""How a model runs on hardware: OpenVINO on the CPU (the default), PyTorch on CUDA, MPS and the CPU; ncnn."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from ctypes import CDLL
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from blindsr.engine.identity import foreign_identity, openvino_identity, torch_identity
from blindsr.engine.instructions import int8_is_faster
from blindsr.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from blindsr.engine.foreign import ForeignNetwork
    from blindsr.models.card import Model

__all__ = ["DEVICES", "PRECISIONS", "Engine", "choose_engine", "identity_of_choice", "load_network"]

DEVICES = ("auto", "cpu", "cuda", "mps")
PRECISIONS = ("auto", "fp32", "int8")

_LIBRARIES = {"onnx": "openvino", "ncnn": "ncnn", "spandrel": "spandrel"}
"""What runs another program's network, by the role of its file."""
_BY_TORCH = {"weights", "checkpoint", "spandrel"}


class Engine(Protocol):
    """Runs the graphs of one model. Pixels are float32 RGB in [0, 1], whatever range the graphs want.

    Threads may share an engine: what a call gives is what it would give alone, to the last bit, and is the
    caller's own.
    """

    @property
    def identity(self) -> Mapping[str, Any]:
        """Everything that the bytes of a result depend on besides the arguments, as values for JSON.

        The library and its version, the device and its kind of instructions, the precision, the digests of
        the files that are run, and what the card says of them. Neither the model's name nor the number of
        threads is in it: the bytes do not depend on them.
        """
        ...

    def condition(self, support: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Read a task's degradation.

        Args:
            support: Support set, (P, 3, h, w), RGB in [0, 1].

        Returns:
            The condition, (1, C), and the modulation it stands for, (1, M).

        Raises:
            ModelError: The network cannot run on it, or makes what the card does not promise.
        """
        ...

    def upscale(
        self, lr: NDArray[np.float32], modulation: NDArray[np.float32] | None, texture: float | None = None
    ) -> NDArray[np.float32]:
        """Restore one LR image.

        Args:
            lr: (1, 3, H, W), RGB in [0, 1]; H and W multiples of the model's `multiple`. Beyond it the
                network sees zeros: to keep the rim right, extend the photo first, see `blindsr.picture.rim`.
            modulation: (1, M); None for a model that does not adapt.
            texture: How much of the texture view is added, 0 to 1; None takes the model's default, and is
                the only choice for a model without such a view.

        Returns:
            SR image, (1, 3, scale * H, scale * W); finite, not clipped.

        Raises:
            ModelError: The model takes no such sides or inputs, its network cannot run on them, or makes
                what the card does not promise: another size, other channels, values that are infinite or no
                numbers.
            MemoryError: There is not enough memory for an image of this size.
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
            where that is faster (`instructions.int8_is_faster`), if the model comes in 8 bit, and fp32
            otherwise.

    Raises:
        InputError: Unknown or absent device, or a precision that it or the model has not.
        MissingExtraError: The device needs PyTorch, which is not installed.
        ModelError: The model's files do not fit the engine, or end the process that runs them: those that
            are not shipped are tried once, see `blindsr.engine.trial`.
    """
    device, precision = _resolve(model, device, precision)
    runner = _runner_of(model)
    if runner is not None:
        return _start_foreign(model, runner, device, threads)
    if device == "cpu" and "checkpoint" not in model.files:
        from blindsr.engine.openvino import OpenVINOEngine
        from blindsr.engine.trial import ensure_tried

        ensure_tried(model)
        return OpenVINOEngine(model, threads, precision=precision)
    if not _torch_installed():
        raise MissingExtraError(f"device {device}", "torch", "torch")
    from blindsr.engine.torch import TorchEngine

    return TorchEngine(model, device, threads=threads)


def identity_of_choice(model: Model, device: str = "auto", precision: str = "auto") -> dict[str, Any]:
    """`Engine.identity` of the engine that `choose_engine` would start, without starting it.

    Args:
        model: As in `choose_engine`, like the others.
        device: As there.
        precision: As there.

    Raises:
        InputError: As there.
    """
    device, precision = _resolve(model, device, precision)
    runner = _runner_of(model)
    if runner is not None:
        return foreign_identity(model, _LIBRARIES[runner], device)
    if "checkpoint" in model.files:
        return torch_identity(model, device)
    return openvino_identity(model, precision) if device == "cpu" else torch_identity(model, device)


def _runner_of(model: Model) -> str | None:
    """The role of the file that a network of another program is run from; None for a model of ours."""
    return next((role for role in _LIBRARIES if role in model.files), None)


def _start_foreign(model: Model, runner: str, device: str, threads: int | None) -> Engine:
    """Load another program's network as its kind of file wants it."""
    from blindsr.engine.foreign import ForeignEngine

    network = load_network(runner, model.files, device, threads)
    return ForeignEngine(model, network, foreign_identity(model, _LIBRARIES[runner], device))


def load_network(
    runner: str, files: Mapping[str, Path], device: str = "cpu", threads: int | None = None
) -> ForeignNetwork:
    """Make a network of another program ready to run.

    Args:
        runner: Role of its file: "onnx", "ncnn" or "spandrel".
        files: Its files by role.
        device: As in `choose_engine`, decided.
        threads: As in `choose_engine`.

    Raises:
        ModelError: A file cannot be used.
        MissingExtraError: What runs it is not installed.
    """
    if runner == "onnx":
        from blindsr.engine.onnx import load_onnx

        return load_onnx(files["onnx"], threads)
    if runner == "ncnn":
        from blindsr.engine.ncnn import load_ncnn

        return load_ncnn(files, threads)
    from blindsr.engine.spandrel import load_spandrel

    return load_spandrel(files["spandrel"], device, threads)


def _resolve(model: Model, device: str, precision: str) -> tuple[str, str]:
    """Device and precision with "auto" decided."""
    if device not in DEVICES:
        raise InputError(f"device {device!r} is not one of {', '.join(DEVICES)}")
    if precision not in PRECISIONS:
        raise InputError(f"precision {precision!r} is not one of {', '.join(PRECISIONS)}")
    if precision == "int8" and "int8" not in model.files:
        raise InputError(f"model {model.name} does not come in int8; leave --precision out")
    # PyTorch runs from weights, so without them only the CPU's engines can serve it.
    by_torch = not _BY_TORCH.isdisjoint(model.files)
    if device == "auto":
        device = "cuda" if by_torch and _cuda_available() else "cpu"
    if device != "cpu" and not by_torch and _runner_of(model) is not None:
        raise InputError(
            f"model {model.name} runs on the CPU alone; leave --device out, or take --device cpu"
        )
    if device != "cpu":
        if precision == "int8":
            raise InputError(
                f"int8 runs on the CPU, not on {device}; leave --precision out, or take --device cpu"
            )
        return device, "fp32"
    if precision == "auto":
        precision = "int8" if "int8" in model.files and int8_is_faster() else "fp32"
    return device, precision


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
