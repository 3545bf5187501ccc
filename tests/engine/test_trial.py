"""Graphs that crash the engine, never end, or read other files: found out in a process of their own."""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import openvino
import pytest
from onnx import TensorProto, helper, numpy_helper

from blindsr.engine import choose_engine, trial
from blindsr.engine.trial import ensure_tried, try_model
from blindsr.errors import ModelError
from blindsr.models.catalogue import find_model
from blindsr.pulling import pull as pulling

from ..conftest import MakeModel, Run


@pytest.fixture(autouse=True)
def tried(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Models are tried here; where what passed is noted."""
    monkeypatch.delenv(trial.SWITCH)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "blindsr" / "tried"


def with_files(model: Path, **files: bytes) -> Path:
    """The model with these files, by role."""
    names = {"base": "base.onnx", "int8": "int8.xml", "int8_weights": "int8.bin"}
    card = json.loads((model / "card.json").read_text(encoding="utf-8"))
    for role, content in files.items():
        (model / names[role]).write_bytes(content)
        card["files"][role] = {"path": names[role], "sha256": hashlib.sha256(content).hexdigest()}
    (model / "card.json").write_text(json.dumps(card), encoding="utf-8")
    return model


def with_int8(model: Path, change: Callable[[str], str] = str) -> Path:
    """The model with its own graph in OpenVINO's form."""
    openvino.save_model(openvino.Core().read_model(model / "base.onnx"), model / "int8.xml", False)
    graph = change((model / "int8.xml").read_text(encoding="utf-8"))
    return with_files(model, int8=graph.encode(), int8_weights=(model / "int8.bin").read_bytes())


def crashing(graph: str) -> str:
    """A constant of -2^63 elements, after which OpenVINO reads wherever that leads."""
    shapes = list(re.finditer(r'<data element_type="i64" shape="(1)"', graph))
    return f"{graph[: shapes[1].start(1)]}{-(2**63)}{graph[shapes[1].end(1) :]}"


def graph_of(*nodes: onnx.NodeProto, **constants: object) -> bytes:
    """An ONNX graph from `lr` to `sr`."""
    ends = [
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3, f"{name}_h", f"{name}_w"])]
        for name in ("lr", "sr")
    ]
    values = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph(list(nodes), "hostile", *ends, initializer=values)  # type: ignore[misc]
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    return model.SerializeToString()


def test_a_sound_model_is_tried_once(
    make_model: MakeModel, tried: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = find_model(with_int8(make_model(texture=0.5)))
    ensure_tried(model)
    assert len([*tried.iterdir()]) == 1
    monkeypatch.setattr(trial, "try_model", lambda model: pytest.fail("tried again"))
    ensure_tried(find_model(model.files["base"].parent))
    other = find_model(make_model("other", seed=4))
    with pytest.raises(pytest.fail.Exception, match="tried again"):
        ensure_tried(other)
    ensure_tried(find_model("cmdsr-x4"))  # shipped
    monkeypatch.setenv(trial.SWITCH, "0")
    ensure_tried(other)


@pytest.mark.skipif(sys.platform == "win32", reason="a crash has no signal there")
def test_a_graph_that_crashes(make_model: MakeModel, run: Run, tmp_path: Path, tried: Path) -> None:
    model = with_int8(make_model(), crashing)
    with pytest.raises(ModelError, match=r"\(SIG[A-Z]+\)|OpenVINO cannot use") as caught:
        choose_engine(find_model(model), "cpu", precision="int8")
    assert "\n" not in str(caught.value) and not tried.exists()
    with pytest.raises(ModelError, match="tiny"):
        pulling.pull(model, folder=tmp_path / "shelf")
    assert not [*(tmp_path / "shelf").iterdir()]


def test_a_graph_without_an_end(make_model: MakeModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "SECONDS", 0.01)
    with pytest.raises(ModelError, match="do not come to an end"):
        try_model(find_model(make_model()))


@pytest.mark.skipif(sys.platform != "linux", reason="bounds on memory hold there")
def test_a_graph_that_takes_all_memory(make_model: MakeModel) -> None:
    zeros = helper.make_node("ConstantOfShape", ["shape"], ["zeros"])
    most = helper.make_node("ReduceMax", ["zeros"], ["most"], keepdims=0)
    add = helper.make_node("Add", ["lr", "most"], ["sr"])
    graph = graph_of(zeros, most, add, shape=np.array([1, 3, 40_000, 40_000]))
    model = with_files(make_model(adaptive=False, scale=1), base=graph)
    with pytest.raises(ModelError, match="tiny"):
        try_model(find_model(model))


@pytest.mark.parametrize("place", ["../../secret.bin", "/dev/zero", "other.bin"])
def test_weights_in_another_file(make_model: MakeModel, tmp_path: Path, place: str) -> None:
    model = onnx.load_from_string(
        graph_of(helper.make_node("Add", ["lr", "k"], ["sr"]), k=np.zeros((3, 1, 1), np.float32))
    )
    weights = model.graph.initializer[0]
    weights.ClearField("raw_data")
    weights.data_location = TensorProto.EXTERNAL
    for key, value in (("location", place), ("offset", "0"), ("length", "12")):
        entry = weights.external_data.add()
        entry.key, entry.value = key, value
    folder = with_files(make_model(adaptive=False, scale=1), base=model.SerializeToString())
    with pytest.raises(ModelError, match=r"base\.onnx: keeps weights in another file"):
        choose_engine(find_model(folder), "cpu")


def test_no_graph_at_all(make_model: MakeModel, tmp_path: Path) -> None:
    model = with_files(make_model(), base=b"no graph")
    with pytest.raises(ModelError, match=r"base\.onnx: OpenVINO cannot use this graph"):
        try_model(find_model(model))
    with pytest.raises(ModelError, match=r"card\.json: base\.onnx: OpenVINO cannot use"):
        pulling.pull(model, folder=tmp_path / "shelf")


def test_another_size_and_no_numbers(make_model: MakeModel) -> None:
    same = graph_of(helper.make_node("Identity", ["lr"], ["sr"]))
    none = graph_of(helper.make_node("Mul", ["lr", "k"], ["sr"]), k=np.float32(np.nan))
    for graph, scale in ((same, 2), (none, 1)):
        model = with_files(make_model(adaptive=False, scale=scale), base=graph)
        with pytest.raises(ModelError, match=r"should be float32 of shape|infinite or no numbers"):
            try_model(find_model(model))
    try_model(find_model(with_files(make_model(adaptive=False, scale=1), base=same)))
