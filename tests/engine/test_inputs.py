"""What a base network takes: by name, in whole groups of pixels, and nothing that it has no use for."""

from __future__ import annotations

import numpy as np
import pytest

from blindsr.engine.inputs import fill_inputs, input_names
from blindsr.errors import ModelError
from blindsr.models.catalogue import find_model

from ..conftest import MakeModel

LR = np.arange(3 * 5 * 8, dtype=np.float32).reshape(1, 3, 5, 8)
MODULATION = np.ones((1, 12), np.float32)


@pytest.mark.parametrize("adaptive", [False, True])
@pytest.mark.parametrize("texture", [None, 0.25])
def test_every_input_is_filled(make_model: MakeModel, adaptive: bool, texture: float | None) -> None:
    model = find_model(make_model(adaptive=adaptive, texture=texture))
    inputs = fill_inputs(model, LR, MODULATION if adaptive else None, None)
    assert tuple(inputs) == input_names(model) and inputs["lr"] is LR
    assert ("modulation" in inputs) == adaptive
    if texture is not None:
        assert inputs["texture"].tolist() == [0.25] and inputs["texture"].dtype == np.float32
        assert fill_inputs(model, LR, MODULATION, 0.0)["texture"].tolist() == [0.0]


def test_sides_are_whole_groups(make_model: MakeModel) -> None:
    model = find_model(make_model(scale=2, multiple=4, adaptive=False))
    whole = LR[:, :, :4]
    assert fill_inputs(model, whole, None, None)["lr"] is whole
    with pytest.raises(
        ModelError, match=r"model tiny: .* multiples of 4 pixels, not 8x5; Upscaler takes any"
    ):
        fill_inputs(model, LR, None, None)


def test_what_is_missing_or_of_no_use(make_model: MakeModel) -> None:
    with pytest.raises(ModelError, match="model tiny adapts: it needs a modulation"):
        fill_inputs(find_model(make_model()), LR, None, None)
    with pytest.raises(ModelError, match="model tiny has no texture view"):
        fill_inputs(find_model(make_model(adaptive=False)), LR, None, 1.0)
