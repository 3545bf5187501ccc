"""Networks of others: found by their files, and run in the range they want."""

from __future__ import annotations

import builtins
import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from blindsr.checkpoint.reading import FORMAT
from blindsr.degradation import resize
from blindsr.errors import MissingExtraError, ModelError
from blindsr.evaluation.methods import find_method
from blindsr.evaluation.methods.method import NetworkRestorer, Pixels, find_out, probe
from blindsr.evaluation.methods.ncnn import ends_of
from blindsr.network import build_network
from blindsr.picture.rim import MARGIN
from blindsr.upscaling.upscaler import Upscaler

from ...conftest import MakeModel, made_photo

PARAM = """7767517
4 5
Input in 0 1 data
Split s 1 2 data a b
Convolution c 1 1 a x 0=48 1=3 4=1 5=1 6=1296
PixelShuffle p 1 1 x y 0=4
Interp i 1 1 b z 0=1 1=4.0 2=4.0
BinaryOp + 2 1 y z output
"""


@pytest.fixture
def lr() -> Pixels:
    return made_photo(20, 24).astype(np.float32) / np.float32(255)


def repeat(planes: Pixels, scale: int = 3) -> Pixels:
    return planes.repeat(scale, axis=1).repeat(scale, axis=2)


def write_onnx(path: Path, bias: float = 0.0, scale: int = 2, inputs: int = 1) -> Path:
    """Every pixel as a block, plus a bias: a network of [0, 255] where the bias is large."""
    weight = np.repeat(np.eye(3, dtype=np.float32), scale**2, axis=0)[:, :, None, None]
    nodes = [
        helper.make_node("Conv", ["in0", "w"], ["x"]),
        helper.make_node("DepthToSpace", ["x"], ["y"], blocksize=scale, mode="CRD"),
        helper.make_node("Add", ["y", "bias"], ["out"]),
    ]
    ends = [
        helper.make_tensor_value_info(f"in{i}", TensorProto.FLOAT, [1, 3, "h", "w_"]) for i in range(inputs)
    ]
    result = helper.make_tensor_value_info("out", TensorProto.FLOAT, [1, 3, "h2", "w2"])
    constants = [
        numpy_helper.from_array(weight, "w"),
        numpy_helper.from_array(np.float32([bias]).reshape(1, 1, 1, 1), "bias"),
    ]
    graph = helper.make_graph(nodes, "g", ends, [result], initializer=constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9
    onnx.save(model, path)
    return path


def test_bicubic_and_input(lr: Pixels) -> None:
    bicubic = find_method("bicubic").restorer.restore(lr, 3)
    expected = resize(lr.transpose(2, 0, 1)[None], scale=3)[0].transpose(1, 2, 0).clip(0, 1)
    assert np.array_equal(bicubic, expected)
    assert find_method("input").restorer.scale == 1
    assert find_method("none=input").title == "none"


@pytest.mark.parametrize(("bias", "pixel_range"), [(0.02, 1.0), (5.0, 255.0)])
def test_onnx_is_run_in_the_range_that_serves(
    tmp_path: Path, lr: Pixels, bias: float, pixel_range: float
) -> None:
    method = find_method(f"peer={write_onnx(tmp_path / 'a.onnx', bias)}", threads=1)
    restored = method.restorer.restore(lr, 2)
    expected = (lr.repeat(2, 0).repeat(2, 1) + bias / pixel_range).clip(0, 1)
    assert (method.title, method.restorer.scale) == ("peer", 2)
    assert np.abs(restored - expected).max() < 1e-5


def test_what_is_no_such_network_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="2 inputs and 1 outputs"):
        _ = find_method(str(write_onnx(tmp_path / "two.onnx", inputs=2))).restorer
    with pytest.raises(ModelError, match="does not resemble it"):
        _ = find_method(str(write_onnx(tmp_path / "far.onnx", bias=1e4))).restorer
    with pytest.raises(ModelError, match="no enlarged picture"):
        find_out(lambda planes: planes[:, :50], "half")
    with pytest.raises(ModelError, match="does not resemble it"):
        find_out(lambda planes: planes * np.float32(np.nan), "nan")
    (tmp_path / "damaged.onnx").write_bytes(b"no graph")
    with pytest.raises(ModelError, match="damaged"):
        _ = find_method(str(tmp_path / "damaged.onnx")).restorer
    with pytest.raises(ModelError, match="no such file"):
        find_method(str(tmp_path / "absent.param"))


def test_the_probe_tells_scale_and_range() -> None:
    found = find_out(repeat, "three")
    assert (found.scale, found.pixel_range) == (3, 1.0)
    assert probe().min() >= 0.1 and probe().max() <= 0.9


def test_large_pictures_are_tiled_without_seams(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("blindsr.evaluation.methods.method._WHOLE", 48 * 48)
    seen: list[tuple[int, ...]] = []

    def network(planes: Pixels) -> Pixels:
        seen.append(planes.shape)
        padded = np.pad(planes, [(0, 0), (2, 2), (2, 2)], mode="edge")
        mean = sum(
            padded[:, y : y + planes.shape[1], x : x + planes.shape[2]] for y in (0, 4) for x in (0, 4)
        )
        return repeat(np.asarray(mean, np.float32) / 4)

    photo = made_photo(90, 70).astype(np.float32) / np.float32(255)
    tiled = NetworkRestorer("t", network, 3, 1.0, halo=2).restore(photo, 3)
    assert len(seen) > 1
    extended = np.pad(photo.transpose(2, 0, 1), [(0, 0), (2, 2), (2, 2)], mode="symmetric")
    whole = network(extended).transpose(1, 2, 0)[6:-6, 6:-6]
    assert np.array_equal(tiled, whole.clip(0, 1))


def test_identity_follows_content_and_threads(tmp_path: Path) -> None:
    first = find_method(str(write_onnx(tmp_path / "a.onnx")))
    (tmp_path / "b.onnx").write_bytes((tmp_path / "a.onnx").read_bytes())
    assert find_method(str(tmp_path / "b.onnx")).identity == first.identity
    assert find_method(str(tmp_path / "b.onnx"), threads=1).identity != first.identity
    write_onnx(tmp_path / "b.onnx", bias=0.01)
    assert find_method(str(tmp_path / "b.onnx")).identity != first.identity


def test_our_model_is_the_upscaler(make_model: MakeModel, lr: Pixels) -> None:
    folder = make_model(scale=2)
    method = find_method(str(folder), "cpu")
    assert method.title == "tiny" and method.restorer.scale == 2
    assert np.array_equal(method.restorer.restore(lr, 2), Upscaler(folder, "cpu").upscale(lr))
    assert method.identity != find_method(str(make_model("other", scale=2, seed=3))).identity


@pytest.mark.parametrize("condition", [None, {"name": "stacked", "support": 3, "size": 4, "width": 4}])
def test_a_checkpoint_is_its_network(tmp_path: Path, lr: Pixels, condition: dict[str, Any] | None) -> None:
    torch.manual_seed(0)
    basenet = {"name": "srresnet", "scale": 2, "channels": 4, "blocks": 1}
    spec = {"basenet": basenet, "condition": condition, "pixel_range": 255.0}
    network = build_network(spec).eval()
    torch.save({"format": FORMAT, "network": spec, "state": network.state_dict()}, tmp_path / "a.pth")
    method = find_method(str(tmp_path / "a.pth"), "cpu")
    restored = method.restorer.restore(lr, 2)
    assert restored.shape == (40, 48, 3)
    if condition is None:
        with torch.no_grad():
            expected = network.restore(torch.from_numpy(lr.transpose(2, 0, 1)[None]))
        assert np.abs(restored - expected[0].numpy().transpose(1, 2, 0).clip(0, 1)).max() < 1e-5


def test_a_checkpoint_with_a_texture_view(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, photo: NDArray[np.uint8]
) -> None:
    """Cria-CL restores with all its texture, and its tiles begin where its groups of pixels do."""
    torch.manual_seed(0)
    sizes = {"channels": 4, "blocks": 1, "growth": 2, "projector": 4, "projector_blocks": 1}
    spec = {"cria": {"scale": 1, "unshuffle": 4, "tail": "direct", **sizes}}
    network = build_network(spec).eval()
    torch.save({"format": FORMAT, "network": spec, "state": network.state_dict()}, tmp_path / "a.pth")
    lr = np.tile(photo.astype(np.float32) / np.float32(255), (15, 1, 1))
    monkeypatch.setattr("blindsr.evaluation.methods.method._WHOLE", 1)
    restored = find_method(str(tmp_path / "a.pth"), "cpu").restorer.restore(lr, 1)
    with torch.no_grad():
        expected = network.restore(torch.from_numpy(lr.transpose(2, 0, 1)[None]))
    assert np.abs(restored - expected[0].numpy().transpose(1, 2, 0).clip(0, 1)).max() < 1e-5


def test_an_official_cria_is_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.save({"RRDB_trunk.0.RDB1.conv1.weight": torch.zeros(1)}, tmp_path / "esrgan.pth")
    torch.save(
        {"params": {"RRDB_trunk.0.RDB1.conv1.weight": torch.zeros(1), "tail_conv1.weight": torch.zeros(1)}},
        tmp_path / "cria.pth",
    )
    block(monkeypatch, "spandrel")
    with pytest.raises(ModelError, match="an official Cria-CL or ESRGAN checkpoint with parts missing"):
        _ = find_method(str(tmp_path / "cria.pth")).restorer
    with pytest.raises(MissingExtraError, match="spandrel"):
        _ = find_method(str(tmp_path / "esrgan.pth")).restorer


def test_spandrel_is_a_door(tmp_path: Path, lr: Pixels, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for spandrel, which needs torchvision."""

    class Descriptor:
        scale, input_channels, output_channels = 3, 3, 3

        def eval(self) -> None:
            pass

        def __call__(self, batch: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.interpolate(batch, scale_factor=3)

    class Loader:
        def __init__(self, device: str) -> None:
            assert device == "cpu"

        def load_from_file(self, path: str) -> Descriptor:
            assert path.endswith("a.pth")
            return Descriptor()

    stand_in = ModuleType("spandrel")
    stand_in.__dict__.update(ImageModelDescriptor=Descriptor, ModelLoader=Loader)
    monkeypatch.setitem(sys.modules, "spandrel", stand_in)
    torch.save({"conv.weight": torch.zeros(3)}, tmp_path / "a.pth")
    method = find_method(str(tmp_path / "a.pth"))
    assert method.restorer.scale == 3
    assert np.abs(method.restorer.restore(lr, 3) - lr.repeat(3, 0).repeat(3, 1)).max() < 1e-6
    monkeypatch.setattr(Descriptor, "input_channels", 1)
    with pytest.raises(ModelError, match="no network from one RGB picture"):
        _ = find_method(str(tmp_path / "a.pth")).restorer


def block(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    """Make a package one that is not installed."""
    found = builtins.__import__

    def refuse(name: str, *arguments: Any, **options: Any) -> Any:
        if name.partition(".")[0] == package:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return found(name, *arguments, **options)

    monkeypatch.delitem(sys.modules, package, raising=False)
    monkeypatch.setattr(builtins, "__import__", refuse)


def test_missing_packages_are_named_when_they_are_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save({"conv.weight": torch.zeros(3)}, tmp_path / "a.pth")
    (tmp_path / "a.param").write_text(PARAM)
    (tmp_path / "a.bin").write_bytes(b"")
    methods = {name: find_method(str(tmp_path / file)) for name, file in
                   (("spandrel", "a.pth"), ("ncnn", "a.bin"))}  # fmt: skip
    for package, extra in (("spandrel", "spandrel"), ("ncnn", "peers")):
        with monkeypatch.context() as patch:
            block(patch, package)
            with pytest.raises(MissingExtraError, match=rf"blindsr\[{extra}\]"):
                _ = methods[package].restorer


def test_ends_of_an_ncnn_network(tmp_path: Path) -> None:
    file = tmp_path / "a.param"
    file.write_text(PARAM)
    assert ends_of(file) == ("data", "output", 3)
    file.write_text(PARAM.replace("6=1296", "6=8208"))
    assert ends_of(file) == ("data", "output", 19)
    for text, fault in (
        ("1234\n0 0\n", "not a .param file"),
        (PARAM.replace("Input in 0 1 data", "Input in 0"), "damaged"),
        (PARAM + "Noop n 0 1 more\n", "its outputs"),
    ):
        file.write_text(text)
        with pytest.raises(ModelError, match=fault):
            ends_of(file)


@pytest.fixture
def ncnn(monkeypatch: pytest.MonkeyPatch) -> list[Pixels]:
    """A stand-in for ncnn whose network repeats RGB four times; gives what it was fed."""
    fed: list[Pixels] = []

    class Mat:
        def __init__(self, array: Pixels) -> None:
            self.array = array

        def clone(self) -> Mat:
            return Mat(self.array.copy())

    class Extractor:
        def input(self, name: str, mat: Mat) -> None:
            assert name == "data"
            fed.append(mat.array)

        def extract(self, name: str) -> tuple[int, Pixels]:
            assert name == "output"
            return 0, repeat(fed[-1][:3], 4)

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
    module.__dict__.update(Net=Net, Mat=Mat)
    monkeypatch.setitem(sys.modules, "ncnn", module)
    return fed


def test_ncnn_is_fed_what_its_file_names(tmp_path: Path, lr: Pixels, ncnn: list[Pixels]) -> None:
    (tmp_path / "a.param").write_text(PARAM)
    with pytest.raises(ModelError, match=r"a\.bin: not there"):
        find_method(str(tmp_path / "a.param"))
    (tmp_path / "a.bin").write_bytes(b"")
    restored = find_method(str(tmp_path / "a.bin")).restorer.restore(lr, 4)
    assert np.array_equal(restored, lr.repeat(4, 0).repeat(4, 1))
    extended = np.pad(lr.transpose(2, 0, 1), [(0, 0), (MARGIN, MARGIN), (MARGIN, MARGIN)], mode="symmetric")
    assert np.array_equal(ncnn[-1], extended)


def test_a_network_that_must_be_told_is_told_from_the_file_beside_it(
    tmp_path: Path, lr: Pixels, ncnn: list[Pixels]
) -> None:
    (tmp_path / "a.param").write_text(PARAM.replace("6=1296", "6=2160"))  # five planes
    (tmp_path / "a.bin").write_bytes(b"")
    untold = find_method(str(tmp_path / "a.param"))
    with pytest.raises(ModelError, match=r"takes 5 planes.*a\.json.*2 numbers"):
        _ = untold.restorer
    (tmp_path / "a.json").write_text(json.dumps({"planes": [0.5, -2]}))
    told = find_method(str(tmp_path / "a.param"))
    told.restorer.restore(lr, 4)
    assert told.identity != untold.identity
    assert ncnn[-1].shape == (5, 20 + 2 * MARGIN, 24 + 2 * MARGIN) and ncnn[-1][3:, 0, 0].tolist() == [
        0.5,
        -2.0,
    ]
    (tmp_path / "a.json").write_text("[]")
    with pytest.raises(ModelError, match=r"a\.json: should hold"):
        find_method(str(tmp_path / "a.param"))
