"""Runs a model's network with PyTorch: on CUDA, on Apple's MPS, or on the CPU."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from blindsr.checkpoint.reading import build_for, network_of, read_content, read_safetensors
from blindsr.engine.identity import torch_identity
from blindsr.engine.inputs import check_condition, check_result, fill_inputs
from blindsr.errors import ConfigError, InputError, ModelError
from blindsr.models.card import Model
from blindsr.network import CMDSR, Cria, Restorer

__all__ = ["TorchEngine", "load_weights", "raise_memory_error"]


class TorchEngine:
    """PyTorch in float32 and channels_last.

    Threads may share it: what one call gives is what it would give alone.

    Args:
        model: The model to run; it must carry its weights as safetensors and its network's hyper-parameters,
            or be a checkpoint.
        device: "cuda" (or "cuda:1", ...), "mps" or "cpu".
        threads: CPU threads; None leaves PyTorch's own setting. It holds for the whole process.

    Attributes:
        identity: See `Engine.identity`.

    Raises:
        InputError: The device is not there.
        ModelError: The model carries no weights, or they do not fit its network.
    """

    def __init__(self, model: Model, device: str = "cpu", threads: int | None = None) -> None:
        self._model = model
        self._device = _find_device(device)
        self.identity = torch_identity(model, device)
        if threads is not None:
            torch.set_num_threads(threads)
        network: Restorer = load_weights(model).to(self._device)
        network.modulate_weights()
        # Module.to takes the format, its type stubs do not say so.
        self._network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @torch.inference_mode()
    def condition(self, support: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """See `Engine.condition`."""
        condition = self._network.condition(self._to_device(support))
        modulation = self._network.modulation(condition)
        vectors = _to_numpy(condition), _to_numpy(modulation)
        check_condition(self._model, *vectors)
        return vectors

    @torch.inference_mode()
    def upscale(
        self, lr: NDArray[np.float32], modulation: NDArray[np.float32] | None, texture: float | None = None
    ) -> NDArray[np.float32]:
        """See `Engine.upscale`."""
        inputs = fill_inputs(self._model, lr, modulation, texture)
        pixels = inputs.pop("lr")
        try:
            knobs = {name: torch.from_numpy(value).to(self._device) for name, value in inputs.items()}
            sr = _to_numpy(self._network(self._to_device(pixels), **knobs) / self._model.pixel_range)
        except RuntimeError as error:
            raise_memory_error(error)
            raise
        check_result(self._model, lr, sr)
        return sr

    def _to_device(self, pixels: NDArray[np.float32]) -> Tensor:
        """(N, 3, H, W) in [0, 1] -> a tensor on the device in the network's range."""
        tensor = torch.from_numpy(np.ascontiguousarray(pixels, np.float32)).to(self._device)
        return (tensor * self._model.pixel_range).contiguous(memory_format=torch.channels_last)


def _find_device(name: str) -> torch.device:
    """The device, if PyTorch can use it here."""
    device = torch.device(name)
    absent = (device.type == "cuda" and not torch.cuda.is_available()) or (
        device.type == "mps" and not torch.backends.mps.is_available()
    )
    if absent:
        raise InputError(
            f"device {name}: PyTorch {torch.__version__} sees no such device here; use --device cpu"
        )
    return device


def raise_memory_error(error: RuntimeError) -> None:
    """Raise MemoryError if that is what PyTorch's error means.

    A device has an error of its own for it; the CPU's allocator only says so.
    """
    if isinstance(error, torch.OutOfMemoryError) or "allocate memory" in str(error):
        if torch.cuda.is_available():
            torch.cuda.empty_cache()  # what is kept in pieces may do for smaller tiles
        raise MemoryError(str(error).splitlines()[0]) from error


def load_weights(model: Model) -> CMDSR | Cria:
    """Build the network that the card describes and load its weights; or that of a checkpoint."""
    if "checkpoint" in model.files:
        path = model.file("checkpoint")
        checkpoint, _ = network_of(read_content(path), path, model.scale)
        return checkpoint.requires_grad_(False)
    path = model.file("weights")
    try:
        network = build_for(model.network, read_safetensors(path))
    except ConfigError as error:
        raise ModelError(
            f"{path}: the weights do not fit the network of model {model.name} ({error})"
        ) from error
    return network.eval().requires_grad_(False)


def _to_numpy(tensor: Tensor) -> NDArray[np.float32]:
    array: NDArray[np.float32] = tensor.float().contiguous().cpu().numpy()
    return array
