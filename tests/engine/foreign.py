"""Made files of other programs."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Pixels = NDArray[np.float32]

PARAM = """7767517
4 5
Input in 0 1 data
Split s 1 2 data a b
Convolution c 1 1 a x 0=48 1=3 4=1 5=1 6=1296
PixelShuffle p 1 1 x y 0=4
Interp i 1 1 b z 0=1 1=4.0 2=4.0
BinaryOp + 2 1 y z output
"""


def write_onnx(
    path: Path,
    bias: float = 0.0,
    scale: int = 2,
    inputs: int = 1,
    *,
    convolutions: int = 0,
    channels: int = 3,
    sides: tuple[int, int] | None = None,
    last: bool = False,
    unshuffle: int = 1,
    normalised: bool = False,
    number: int = TensorProto.FLOAT,
    external: bool = False,
    seed: int = 0,
) -> Path:
    """Every pixel as a block, plus a bias (a network of [0, 255] where it is large), and more as asked for.

    Args:
        path: Where.
        bias: What is added.
        scale: What it enlarges by.
        inputs: So many, of which the first is used.
        convolutions: 3x3 ones of random weights, with ReLU between; each looks a pixel farther.
        channels: Planes.
        sides: The only height and width that it takes.
        last: Channels come last.
        unshuffle: The convolutions work on so many times smaller pictures: theirs are groups of pixels.
        normalised: By the mean over the whole picture.
        number: Of inputs and outputs.
        external: Says that a constant lies in another file.
        seed: Of the weights.
    """
    rng = np.random.default_rng(seed)
    constants: list[onnx.TensorProto] = []
    nodes: list[onnx.NodeProto] = []

    def constant(value: object) -> str:
        constants.append(numpy_helper.from_array(np.asarray(value, np.float32), f"c{len(constants)}"))
        return constants[-1].name

    def add(kind: str, *given: str, **attributes: object) -> str:
        nodes.append(helper.make_node(kind, list(given), [f"n{len(nodes)}"], **attributes))
        return str(nodes[-1].output[0])

    x = "in0"
    if number != TensorProto.FLOAT:
        x = add("Cast", x, to=TensorProto.FLOAT)
    if last:
        x = add("Transpose", x, perm=[0, 3, 1, 2])
    same = np.repeat(np.eye(channels), scale**2, axis=0)[:, :, None, None]
    y = add("DepthToSpace", add("Conv", x, constant(same)), blocksize=scale, mode="CRD")
    if convolutions:
        planes = channels * unshuffle**2
        x = add("SpaceToDepth", x, blocksize=unshuffle) if unshuffle > 1 else x
        for layer in range(convolutions):
            out = planes * scale**2 if layer == convolutions - 1 else planes
            gain = 0.15 if layer == convolutions - 1 else 1.0
            weight = rng.normal(0, gain / np.sqrt(9 * planes), (out, planes, 3, 3))
            x = add("Conv", x, constant(weight), pads=[1, 1, 1, 1])
            x = x if layer == convolutions - 1 else add("LeakyRelu", x, alpha=0.2)
        y = add("Add", y, add("DepthToSpace", x, blocksize=scale * unshuffle, mode="CRD"))
    if normalised:
        y = add("Mul", y, add("Add", add("ReduceMean", y, axes=[1, 2, 3]), constant(0.5)))
    y = add("Add", y, constant(np.full((1, 1, 1, 1), bias)))
    if last:
        y = add("Transpose", y, perm=[0, 2, 3, 1])
    if number != TensorProto.FLOAT:
        y = add("Cast", y, to=number)
    nodes.append(helper.make_node("Identity", [y], ["out"]))
    planes_of = [channels, *(sides or ("h", "w"))]
    shape = [1, *planes_of[1:], channels] if last else [1, *planes_of]
    ends = [helper.make_tensor_value_info(f"in{i}", number, shape) for i in range(inputs)]
    result = helper.make_tensor_value_info("out", number, None)
    model = helper.make_model(
        helper.make_graph(nodes, "g", ends, [result], initializer=constants),
        opset_imports=[helper.make_opsetid("", 17)],
    )
    model.ir_version = 9
    if external:
        weights = model.graph.initializer[0]
        weights.ClearField("raw_data")
        weights.data_location = TensorProto.EXTERNAL
        entry = weights.external_data.add()
        entry.key, entry.value = "location", "../secret"
    path.write_bytes(model.SerializeToString())
    return path


def repeat(planes: Pixels, scale: int) -> Pixels:
    """Every pixel as a block."""
    return planes.repeat(scale, axis=1).repeat(scale, axis=2)


class NcnnMat:
    """Stands for ncnn's: points to an array."""

    def __init__(self, array: Pixels) -> None:
        self.array = array

    def clone(self) -> NcnnMat:
        """Its own memory."""
        return NcnnMat(self.array.copy())


def stand_in_for_ncnn(monkeypatch: pytest.MonkeyPatch, code: int = 0) -> list[Pixels]:
    """A stand-in for ncnn whose network repeats RGB four times; gives what it was fed."""
    fed: list[Pixels] = []

    class Extractor:
        def input(self, name: str, mat: NcnnMat) -> None:
            assert name == "data"
            self.fed = mat.array
            fed.append(mat.array)

        def extract(self, name: str) -> tuple[int, Pixels]:
            assert name == "output"
            return code, repeat(self.fed[:3], 4)

    class Net:
        def __init__(self) -> None:
            self.opt = SimpleNamespace()

        def load_param(self, path: str) -> int:
            return 0 if path.endswith(".param") else 1

        def load_model(self, path: str) -> int:
            return 0 if path.endswith(".bin") else 1

        def create_extractor(self) -> Extractor:
            return Extractor()

    module = ModuleType("ncnn")
    module.__dict__.update(Net=Net, Mat=NcnnMat)
    monkeypatch.setitem(__import__("sys").modules, "ncnn", module)
    return fed
