"""What a model's base network takes, and its result's true size: the same for every engine."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from blindsr.errors import ModelError
from blindsr.model import Model

__all__ = ["crop_result", "fill_inputs", "input_names"]


def input_names(model: Model) -> tuple[str, ...]:
    """Names of the base graph's inputs, in its order."""
    present = {"lr": True, "modulation": model.adaptive, "texture": model.texture is not None}
    return tuple(name for name, there in present.items() if there)


def fill_inputs(
    model: Model, lr: NDArray[np.float32], modulation: NDArray[np.float32] | None, texture: float | None
) -> dict[str, NDArray[np.float32]]:
    """An array for each of the base network's inputs, by name; the arguments are those of `Engine.upscale`.

    An LR image whose sides are no multiples of what the network wants goes on at its right and bottom as its
    last pixels do; `crop_result` takes away what comes of them.

    Raises:
        ModelError: An input is missing, or the model has none such.
    """
    missing = [-side % model.multiple for side in lr.shape[2:]]
    if any(missing):
        lr = np.pad(lr, ((0, 0), (0, 0), (0, missing[0]), (0, missing[1])), mode="edge")
    inputs = {"lr": lr}
    if model.adaptive:
        if modulation is None:
            raise ModelError(f"model {model.name} adapts: it needs a modulation")
        inputs["modulation"] = modulation
    if model.texture is not None:
        inputs["texture"] = np.array([model.texture if texture is None else texture], np.float32)
    elif texture is not None:
        raise ModelError(f"model {model.name} has no texture view: it takes no texture")
    return inputs


def crop_result(model: Model, sr: NDArray[np.float32], lr: NDArray[np.float32]) -> NDArray[np.float32]:
    """What of a result (1, 3, sH', sW') belongs to the LR image, (1, 3, H, W), that it was asked for."""
    height, width = lr.shape[2:]
    return sr[:, :, : model.scale * height, : model.scale * width]
