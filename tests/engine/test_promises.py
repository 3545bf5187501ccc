"""A graph that makes something else than its card promises is a fault that is told, never a picture."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from blindsr.engine.inputs import all_finite, check_condition, check_result
from blindsr.engine.openvino import OpenVINOEngine
from blindsr.errors import InputError, ModelError
from blindsr.models.catalogue import find_model
from blindsr.upscaling.upscaler import Upscaler

from ..conftest import MakeModel, Run, made_photo

LR = np.ascontiguousarray(made_photo(9, 11).transpose(2, 0, 1)[None], np.float32) / np.float32(255)


def constant(name: str, value: Any, dtype: type = np.float32) -> onnx.TensorProto:
    return numpy_helper.from_array(np.asarray(value, dtype), name)


def graph_of(
    nodes: list[onnx.NodeProto],
    constants: list[onnx.TensorProto],
    inputs: dict[str, list[Any]],
    outputs: list[str],
    type_: int = TensorProto.FLOAT,
) -> onnx.ModelProto:
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()]
    results = [helper.make_tensor_value_info(name, type_, None) for name in outputs]
    graph = helper.make_graph(nodes, "made", ends, results, initializer=constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9
    return model


def enlarging(scale: int = 2, channels: int = 3, then: str = "", by: float = 1.0) -> onnx.ModelProto:
    """Every pixel as a block; then one operation with a number on every value."""
    weight = np.ones((channels * scale**2, 3, 1, 1)) / 3
    nodes = [
        helper.make_node("Conv", ["lr", "w"], ["x"]),
        helper.make_node("DepthToSpace", ["x"], ["y"], blocksize=scale),
    ]
    constants = [constant("w", weight), constant("by", by)]
    nodes.append(helper.make_node(then or "Mul", ["y", "by"], ["sr"]))
    return graph_of(nodes, constants, {"lr": [1, 3, "h", "w_"]}, ["sr"])


def put(folder: Path, role: str, graph: onnx.ModelProto) -> Path:
    """Give a model another graph, with a card that knows its digest."""
    path = folder / f"{role}.onnx"
    onnx.save(graph, path)
    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    card["files"][role]["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    (folder / "card.json").write_text(json.dumps(card), encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("graph", "fault"),
    [
        (enlarging(scale=1), r"made float32 of shape \(1, 3, 9, 11\) .* scale 2, .* shape \(1, 3, 18, 22\)"),
        (enlarging(scale=3), r"made float32 of shape \(1, 3, 27, 33\)"),
        (enlarging(channels=1), r"made float32 of shape \(1, 1, 18, 22\)"),
        (enlarging(channels=4), r"made float32 of shape \(1, 4, 18, 22\)"),
        (
            enlarging(by=float("nan")),
            r"1188 of the 1188 values that its network made are infinite or no numbers",
        ),
        (enlarging(then="Div", by=0.0), r"values that its network made are infinite"),
        (enlarging(then="Pow", by=float("-inf")), r"values that its network made are infinite"),
    ],
)
def test_other_pixels_than_promised(make_model: MakeModel, graph: onnx.ModelProto, fault: str) -> None:
    model = find_model(put(make_model(scale=2, adaptive=False), "base", graph))
    with pytest.raises(ModelError, match=f"model tiny: .*{fault}"):
        OpenVINOEngine(model).upscale(LR, None)
    # A whole picture has no part of it either, whatever its tiles and its size.
    with pytest.raises(ModelError, match="model tiny: "):
        Upscaler(model, device="cpu", tile=6).upscale(made_photo(20, 20))


def test_a_graph_that_keeps_its_promise(make_model: MakeModel) -> None:
    """The same graph, right: what the others are refused for is not how they are made."""
    model = find_model(put(make_model(scale=2, adaptive=False), "base", enlarging()))
    expected = LR.mean(axis=1, keepdims=True).repeat(3, 1).repeat(2, 2).repeat(2, 3)
    np.testing.assert_allclose(OpenVINOEngine(model).upscale(LR, None), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("type_", "to", "name"), [("DOUBLE", "f64", "sr"), ("FLOAT16", "f16", "sr"), ("UINT8", "u8", "sr")]
)
def test_other_numbers_than_promised(make_model: MakeModel, type_: str, to: str, name: str) -> None:
    graph = enlarging()
    kind = getattr(TensorProto, type_)
    graph.graph.node[-1].output[0] = "as_float"
    graph.graph.node.append(helper.make_node("Cast", ["as_float"], ["sr"], to=kind))
    graph.graph.output[0].type.tensor_type.elem_type = kind
    model = find_model(put(make_model(scale=2, adaptive=False), "base", graph))
    with pytest.raises(ModelError, match=rf"base\.onnx: its output sr is of {to}, not of f32"):
        OpenVINOEngine(model)


def test_a_graph_of_one_size_only(make_model: MakeModel) -> None:
    graph = graph_of(
        [helper.make_node("Resize", ["lr", "", "s"], ["sr"], mode="nearest")],
        [constant("s", [1, 1, 2, 2])],
        {"lr": [1, 3, 16, 16]},
        ["sr"],
    )
    engine = OpenVINOEngine(find_model(put(make_model(scale=2, adaptive=False), "base", graph)))
    assert engine.upscale(np.zeros((1, 3, 16, 16), np.float32), None).shape == (1, 3, 32, 32)
    with pytest.raises(ModelError, match=r"base\.onnx cannot run on an LR image of shape \(1, 3, 9, 11\)"):
        engine.upscale(LR, None)


def test_an_output_that_is_no_image(make_model: MakeModel) -> None:
    graph = graph_of([helper.make_node("Flatten", ["lr"], ["sr"])], [], {"lr": [1, 3, "h", "w"]}, ["sr"])
    with pytest.raises(ModelError, match=r"base\.onnx: OpenVINO cannot use this graph"):
        OpenVINOEngine(find_model(put(make_model(scale=2, adaptive=False), "base", graph)))


def conditioning(condition: int = 5, modulation: int = 12, times: float = 1.0) -> onnx.ModelProto:
    """The mean of all pixels, in so many numbers."""
    nodes = [
        helper.make_node("ReduceMean", ["support"], ["m"], axes=[0, 1, 2, 3], keepdims=0),
        helper.make_node("Mul", ["m", "c"], ["condition"]),
        helper.make_node("Mul", ["m", "d"], ["modulation"]),
    ]
    constants = [
        constant("c", np.ones((1, condition)) * times),
        constant("d", np.ones((1, modulation)) * times),
    ]
    return graph_of(nodes, constants, {"support": ["p", 3, "h", "w"]}, ["condition", "modulation"])


@pytest.mark.parametrize(
    ("graph", "fault"),
    [
        (conditioning(condition=6), r"a condition, float32 of shape \(1, 6\); by its card .* \(1, 5\)"),
        (conditioning(modulation=1), r"a modulation, float32 of shape \(1, 1\); by its card .* \(1, 12\)"),
        (conditioning(times=float("nan")), r"a condition, with values that are infinite or no numbers"),
        (conditioning(times=float("inf")), r"a condition, with values that are infinite or no numbers"),
    ],
)
def test_other_conditions_than_promised(make_model: MakeModel, graph: onnx.ModelProto, fault: str) -> None:
    upscaler = Upscaler(put(make_model(), "condition", graph), device="cpu")
    with pytest.raises(ModelError, match=f"model tiny: its network made {fault}"):
        upscaler.engine.condition(np.ones((6, 3, 12, 12), np.float32))
    with pytest.raises(ModelError, match="model tiny: its network made"):
        upscaler.upscale(made_photo(20, 20))


def test_a_modulation_that_is_none(make_model: MakeModel) -> None:
    engine = OpenVINOEngine(find_model(make_model()))
    for modulation, fault in (
        (np.ones((1, 11), np.float32), r"\(1, 11\); by its card .* \(1, 12\)"),
        (np.ones((2, 12), np.float32), r"\(2, 12\)"),
        (np.full((1, 12), np.nan, np.float32), "no numbers"),
    ):
        with pytest.raises(ModelError, match=f"it was given a modulation, .*{fault}"):
            engine.upscale(LR, modulation)


def test_an_image_of_no_numbers_is_not_the_models_fault(make_model: MakeModel) -> None:
    image = LR.copy()
    image[0, 1, 4, 5] = np.nan
    with pytest.raises(InputError, match="the image holds values"):
        OpenVINOEngine(find_model(make_model(adaptive=False))).upscale(image, None)


def test_other_torch_networks_than_the_card_promises(make_model: MakeModel) -> None:
    pytest.importorskip("torch")
    from dataclasses import replace

    from blindsr.engine.torch import TorchEngine

    from .test_torch import NETWORK, with_weights

    model = find_model(with_weights(make_model(scale=2), NETWORK))
    modulation = TorchEngine(model).condition(np.ones((4, 3, 12, 12), np.float32))[1]
    with pytest.raises(ModelError, match=r"shape \(1, 3, 18, 22\) .* scale 4, .* \(1, 3, 36, 44\)"):
        TorchEngine(replace(model, scale=4)).upscale(LR, modulation)
    with pytest.raises(ModelError, match="its network made a condition, "):
        TorchEngine(replace(model, condition_size=3)).condition(np.ones((4, 3, 12, 12), np.float32))


def test_sums_that_overflow_are_no_proof() -> None:
    large = np.full((1, 3, 8, 8), 3e38, np.float32)
    assert all_finite(large)
    large[0, 0, 0, 0] = -np.inf
    assert not all_finite(large)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [0, 1000, 3 * 48 * 68 - 1])
def test_one_value_suffices(make_model: MakeModel, value: float, place: int) -> None:
    model = find_model(make_model(scale=4, adaptive=False))
    sr = np.ones((1, 3, 48, 68), np.float32)
    check_result(model, np.ones((1, 3, 12, 17), np.float32), sr)
    sr.flat[place] = value
    with pytest.raises(ModelError, match="1 of the 9792 values"):
        check_result(model, np.ones((1, 3, 12, 17), np.float32), sr)
    with pytest.raises(ModelError, match="float64"):
        check_result(model, np.ones((1, 3, 12, 17), np.float32), np.ones((1, 3, 48, 68)))  # type: ignore[arg-type]


def test_conditions_of_another_type(make_model: MakeModel) -> None:
    model = find_model(make_model())
    with pytest.raises(ModelError, match="a modulation, float64"):
        check_condition(model, np.ones((1, 5), np.float32), np.ones((1, 12)))  # type: ignore[arg-type]


def test_no_file_comes_of_it(make_model: MakeModel, tmp_path: Path, run: Run) -> None:
    folder = put(make_model(scale=2, adaptive=False), "base", enlarging(by=float("nan")))
    for name in ("a.png", "b.png"):
        Image.fromarray(made_photo(20, 20)).save(tmp_path / name)
    code, _, error = run(
        "upscale", tmp_path / "a.png", tmp_path / "b.png", "-o", tmp_path / "out", "--model", folder
    )
    assert code == 3 and error.count("its card promises pixels") == 2
    assert not list((tmp_path / "out").glob("*.png"))
