"""What a model's base network takes: the same for every engine."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from blindsr.errors import ModelError
from blindsr.model import Model

__all__ = ["fill_inputs", "input_names"]


def input_names(model: Model) -> tuple[str, ...]:
    """Names of the base graph's inputs, in its order."""
    present = {"lr": True, "modulation": model.adaptive, "texture": model.texture is not None}
    return tuple(name for name, there in present.items() if there)


def fill_inputs(
    model: Model, lr: NDArray[np.float32], modulation: NDArray[np.float32] | None, texture: float | None
) -> dict[str, NDArray[np.float32]]:
    """An array for each of the base network's inputs, by name; the arguments are those of `Engine.upscale`.

    Raises:
        ModelError: An input is missing, or the model has none such, or a side of the LR image is no multiple
            of what the network wants (`blindsr.tiling` cuts photos into such as are).
    """
    height, width = lr.shape[2:]
    if height % model.multiple or width % model.multiple:
        raise ModelError(
            f"model {model.name}: its graph takes sides that are multiples of {model.multiple} pixels, "
            f"not {width}x{height}; Upscaler takes any"
        )
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
