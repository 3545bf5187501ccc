"""What a model's networks take, and whether what they make is what the card promises: for every engine."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from blindsr.errors import InputError, ModelError
from blindsr.models.card import Model

__all__ = ["all_finite", "check_condition", "check_result", "fill_inputs", "input_names"]


def input_names(model: Model) -> tuple[str, ...]:
    """Names of the base graph's inputs, in its order."""
    present = {"lr": True, "modulation": model.adaptive, "texture": model.texture is not None}
    return tuple(name for name, there in present.items() if there)


def fill_inputs(
    model: Model, lr: NDArray[np.float32], modulation: NDArray[np.float32] | None, texture: float | None
) -> dict[str, NDArray[np.float32]]:
    """An array for each of the base network's inputs, by name; the arguments are those of `Engine.upscale`.

    Raises:
        ModelError: An input is missing, the model has none such, or it is not of the size that it takes: a
            side of the LR image must be a multiple of what the network wants (`blindsr.upscaling.tiling` cuts
            photos into such as are).
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
        _check_vectors(model, "it was given a modulation,", modulation, model.modulation_size)
        inputs["modulation"] = modulation
    if model.texture is not None:
        inputs["texture"] = np.array([model.texture if texture is None else texture], np.float32)
    elif texture is not None:
        raise ModelError(f"model {model.name} has no texture view: it takes no texture")
    return inputs


def check_result(model: Model, lr: NDArray[np.float32], sr: NDArray[np.float32]) -> None:
    """Compare what the base network made with what the card promises.

    Args:
        model: The model.
        lr: What the network was given, (1, 3, H, W).
        sr: What it made of it; to be (1, 3, scale * H, scale * W), float32 and finite.

    Raises:
        ModelError: It is of another shape or type, or holds values that are no numbers.
        InputError: So does the LR image.
    """
    height, width = lr.shape[2:]
    promised = (1, 3, model.scale * height, model.scale * width)
    if sr.shape != promised or sr.dtype != np.float32:
        raise ModelError(
            f"model {model.name}: its network made {sr.dtype} of shape {sr.shape} of an LR image of shape "
            f"{lr.shape}; by its card, scale {model.scale}, it should be float32 of shape {promised}"
        )
    if not all_finite(sr):
        if not all_finite(lr):
            raise InputError("the image holds values that are infinite or no numbers (NaN)")
        count = sr.size - int(np.count_nonzero(np.isfinite(sr)))
        raise ModelError(
            f"model {model.name}: {count} of the {sr.size} values that its network made are infinite or no "
            "numbers (NaN); its card promises pixels"
        )


def check_condition(model: Model, condition: NDArray[np.float32], modulation: NDArray[np.float32]) -> None:
    """Compare what the ConditionNet made with what the card promises: (1, C) and (1, M), finite.

    Raises:
        ModelError: It is something else.
    """
    for name, vectors, size in (
        ("condition", condition, model.condition_size),
        ("modulation", modulation, model.modulation_size),
    ):
        _check_vectors(model, f"its network made a {name},", vectors, size)


def all_finite(values: NDArray[np.float32]) -> bool:
    """Whether no value is infinite or NaN: a sum tells in a fraction of the time that each value takes."""
    with np.errstate(all="ignore"):
        # Sums of sound values can overflow, so an unsound sum is no proof.
        return bool(np.isfinite(values.sum()) or np.isfinite(values).all())


def _check_vectors(model: Model, what: str, vectors: NDArray[np.float32], size: int) -> None:
    if vectors.shape != (1, size) or vectors.dtype != np.float32:
        raise ModelError(
            f"model {model.name}: {what} {vectors.dtype} of shape {vectors.shape}; by its card it should be "
            f"float32 of shape {(1, size)}"
        )
    if not all_finite(vectors):
        raise ModelError(f"model {model.name}: {what} with values that are infinite or no numbers (NaN)")
