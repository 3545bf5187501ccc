"""Small models with real graphs, for tests that must not wait for a trained one; and what all tests share."""

from __future__ import annotations

import os

# Sums in the same order on every machine. Also, of PyTorch's threads those that have nothing to do wait by
# computing: beside other work on the same cores they take many times as long as one.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import hashlib
import json
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import onnx
import pytest
import yaml
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

MakeModel = Callable[..., Path]

Run = Callable[..., tuple[int, str, str]]

CHANNELS = 6
CONDITION = 5
HALO = 4
"""LR pixels: three 3x3 convolutions at LR size and one at SR size."""


SOURCE = Path(__file__).resolve().parents[1] / "src"

# The same examples every time, and no bounds of time, which a busy machine breaks. To look for others:
# `pytest --hypothesis-profile=default`.
hypothesis.settings.register_profile(
    "same", derandomize=True, deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("same")


@pytest.fixture(autouse=True)
def _no_signal_is_ignored() -> Iterator[None]:
    """As in a terminal, for the test and for all it starts; a shell's background and `nohup` ignore some."""
    ignored = [
        number
        for name in ("SIGINT", "SIGTERM", "SIGHUP")
        if (number := getattr(signal, name, None)) and signal.getsignal(number) is signal.SIG_IGN
    ]
    for number in ignored:
        default = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
        signal.signal(number, default)
    yield
    for number in ignored:
        signal.signal(number, signal.SIG_IGN)


@pytest.fixture(autouse=True)
def _own_place(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep the tests out of the user's cache and data, and the user's models and terminal out of the tests.

    Programs that are started import this checkout, too.
    """
    for name in ("COLUMNS", "LINES", "FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PYTHONPATH", str(SOURCE), prepend=os.pathsep)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path_factory.getbasetemp() / "data"))
    monkeypatch.delenv("BLINDSR_MODELS", raising=False)
    # A trial of every small model would take longer than the tests; tests/engine/test_trial.py has it.
    monkeypatch.setenv("BLINDSR_TRY_GRAPHS", "0")


@pytest.fixture
def make_model(tmp_path: Path) -> MakeModel:
    """Write a model folder and return it; keyword arguments as of `write_model`."""

    def make(name: str = "tiny", **options: object) -> Path:
        return write_model(tmp_path / "models" / name, **options)

    return make


@pytest.fixture
def photo() -> NDArray[np.uint8]:
    """A made photo, (40, 56, 3): smooth shapes, edges, and some noise."""
    return made_photo(40, 56)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command line in this process; gives (exit code, stdout, stderr)."""
    from blindsr import cli

    def call(*arguments: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["blindsr", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        captured = capsys.readouterr()
        code = ended.value.code
        return (code if isinstance(code, int) else 0), captured.out, captured.err

    return call


@pytest.fixture
def own_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time that passes only while this process computes: other work on the machine takes none of it."""
    monkeypatch.setattr(time, "monotonic", time.process_time)
    monkeypatch.setattr(time, "perf_counter", time.process_time)


@pytest.fixture
def photo_folder(tmp_path: Path) -> Path:
    """Five textured photos of 72 x 96 pixels."""
    return textured_photos(tmp_path / "photos")


@pytest.fixture
def config_file(tmp_path: Path, photo_folder: Path) -> Path:
    """A tiny run: 6 steps, 2 tasks, x2."""
    return tiny_run(tmp_path / "tiny.yaml", photo_folder)


def stand_in_copy(place: Path, here: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Copy a folder, make the copy the current one, and let models be looked for below it; returns it."""
    shutil.copytree(place, here)
    monkeypatch.chdir(here)
    monkeypatch.setenv("BLINDSR_MODELS", str(here / "models"))
    return here


def textured_photos(folder: Path) -> Path:
    """Write five textured photos of 72 x 96 pixels into a folder, which is made; returns it."""
    folder.mkdir()
    for seed in range(5):
        rng = np.random.default_rng(seed)
        coarse = rng.integers(0, 256, (9, 12, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((96, 72), Image.Resampling.BICUBIC).save(folder / f"{seed}.png")
    return folder


def tiny_run(path: Path, photos: Path) -> Path:
    """Write the configuration of a run of 6 steps, 2 tasks, x2; returns its path."""
    return write_config(
        path,
        photos,
        data={"tasks": 2, "support": 2, "restored": 1, "patch": 12},
        network={
            "basenet": {
                "name": "srresnet", "scale": 2, "channels": 4, "blocks": 1, "tail": "direct", "skip": True,
            },
            "condition": {"name": "patches", "size": 8, "width": 4},
        },
        loss={"condition_every": 2},
    )  # fmt: skip


def write_config(path: Path, photos: Path, data: dict[str, Any], **content: Any) -> Path:
    """Write the configuration of a run of 6 steps at x2, and what else it says; returns its path."""
    places = {"photos": str(photos), "cache": str(photos.with_name("cache")), "holdout": 1}
    common = {
        "name": path.stem,
        "steps": 6,
        "data": {**places, "degradations": "real", "scale": 2, "margin": 4, **data},
        "optimiser": {"lr": 1e-3},
        "validation": {"every": 3, "crop": 48, "degradations": ["blur=1.3,noise=15"]},
        "checkpoint_every": 100,
        "log_every": 1,
        "threads": 1,
        "accelerator": "cpu",
    }
    path.write_text(yaml.safe_dump({**common, **content}))
    return path


def save_photos(folder: Path, count: int, height: int, width: int) -> Path:
    """Write made photos 0.png, 1.png, ... into a folder, which is made if need be; returns it."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed in range(count):
        Image.fromarray(made_photo(height, width, seed)).save(folder / f"{seed}.png")
    return folder


def made_photo(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    """Smooth shapes, edges and some noise; RGB."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    waves = [
        np.sin(x / (5 + 2 * c) + c) + np.cos(y / (4 + c)) + (np.hypot(x - 20, y - 15) < 11) for c in range(3)
    ]
    photo = 110 + 40 * np.stack(waves, axis=2) + rng.normal(0, 6, (height, width, 3))
    return photo.clip(0, 255).astype(np.uint8)


def write_model(
    folder: Path,
    scale: int = 4,
    adaptive: bool = True,
    pixel_range: float = 1.0,
    fixed_count: int | None = None,
    patch: int = 12,
    count: int = 6,
    seed: int = 0,
    texture: float | None = None,
    multiple: int = 1,
    **card: object,
) -> Path:
    """Write a model with seeded random weights.

    Args:
        folder: Where; made if need be.
        scale: Scale of the model.
        adaptive: Whether it has a ConditionNet and a modulation.
        pixel_range: Range of its graphs; the weights are such that the model's results do not depend on it.
        fixed_count: The one number of patches it takes; None for any.
        patch: Side of a support patch.
        count: Number of support patches.
        seed: Seed of the weights.
        texture: Default of its texture; None makes a model without a texture view.
        multiple: Its inner size is so many times smaller than the LR photo.
        card: Entries of the card to replace.
    """
    folder.mkdir(parents=True, exist_ok=True)
    graphs = {"base": _base_graph(scale, adaptive, pixel_range, seed, texture is not None, multiple)}
    if adaptive:
        graphs["condition"] = _condition_graph(pixel_range, fixed_count, seed + 1)
    files = {}
    for role, graph in graphs.items():
        path = folder / f"{role}.onnx"
        onnx.save(graph, path)
        files[role] = {"path": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    content = {
        "name": folder.name,
        "description": "random weights",
        "scale": scale,
        "halo": HALO * multiple,
        "pixel_range": pixel_range,
        "adaptive": adaptive,
        "support": {
            "patch": patch,
            "count": fixed_count or count,
            "fixed_count": fixed_count is not None,
        }
        if adaptive
        else None,
        "modulation_size": 2 * CHANNELS if adaptive else None,
        "condition_size": CONDITION if adaptive else None,
        "texture": texture,
        "multiple": multiple,
        "files": files,
        "network": {},
        "licence": "MIT",
        "provenance": {},
        "metrics": {},
        **card,
    }
    (folder / "card.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


def with_int8(folder: Path) -> Path:
    """Give a model a second base graph that passes for one in 8 bit: the first, as OpenVINO writes it."""
    from blindsr.engine.openvino import import_openvino, shared_core

    graph = shared_core().read_model(folder / "base.onnx")
    import_openvino().save_model(graph, folder / "int8.xml", compress_to_fp16=False)
    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    for role, name in (("int8", "int8.xml"), ("int8_weights", "int8.bin")):
        digest = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        card["files"][role] = {"path": name, "sha256": digest}
    (folder / "card.json").write_text(json.dumps(card), encoding="utf-8")
    return folder


def add_inspector(folder: Path) -> Path:
    """Give a model what tells its conditions: their first four numbers as they are. Returns the folder."""
    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    # Two hidden units a number, for its positive and its negative part.
    hidden = np.zeros((CONDITION + 1, 8))
    output = np.zeros((9, 4))
    for i in range(4):
        hidden[i, 2 * i : 2 * i + 2] = output[2 * i : 2 * i + 2, i] = (1, -1)
    always = [-1e9, 1e9, -1e9, 1e9]
    content = {
        "format": "blindsr inspector",
        "version": 1,
        "condition_sha256": card["files"]["condition"]["sha256"],
        "spread": 2.0,
        "errors": {
            "blur": {"guess": 0.8, "ranges": [[0, 4, 0, 5, 0.4], [*always, 0.7]]},
            "noise": {"guess": 9.0, "ranges": [[*always, 2.0]]},
            "quality": {"guess": 15.0, "ranges": [[*always, 8.0]]},
            "jpeg": {"right": 0.9},
        },
        "hidden": hidden.tolist(),
        "output": output.tolist(),
    }
    file = folder / "inspect.json"
    file.write_text(json.dumps(content), encoding="utf-8")
    card["files"]["inspect"] = {"path": file.name, "sha256": hashlib.sha256(file.read_bytes()).hexdigest()}
    (folder / "card.json").write_text(json.dumps(card), encoding="utf-8")
    return folder


class _Graph:
    """Builds an ONNX graph node by node."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, value: object, dtype: type = np.float32) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def add(self, kind: str, *inputs: str, output: str = "", **attributes: object) -> str:
        output = output or f"n{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [output], **attributes))
        return output

    def conv(self, x: str, c_in: int, c_out: int, gain: float = 1.0, stride: int = 1) -> str:
        weight = self.rng.normal(0, gain / np.sqrt(9 * c_in), (c_out, c_in, 3, 3))
        bias = self.rng.normal(0, 0.1 * gain, c_out)
        return self.add(
            "Conv", x, self.constant(weight), self.constant(bias), pads=[1, 1, 1, 1], strides=[stride, stride]
        )

    def model(self, inputs: dict[str, list[Any]], outputs: dict[str, list[Any]]) -> onnx.ModelProto:
        ends = [
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in end.items()]
            for end in (inputs, outputs)
        ]
        graph = helper.make_graph(self.nodes, "tiny", *ends, initializer=self.constants)  # type: ignore[misc]
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
        model.ir_version = 9
        onnx.checker.check_model(model)
        return model


def _base_graph(
    scale: int, adaptive: bool, pixel_range: float, seed: int, texture: bool, multiple: int
) -> onnx.ModelProto:
    """Each pixel enlarged to a block, plus a modulated residual; then one convolution at SR size.

    The residual is made at a size `multiple` times smaller. A texture view is one convolution more at SR
    size, beside that which makes the structure view.
    """
    g = _Graph(seed)
    lr = g.add("Div", "lr", g.constant(pixel_range))
    x = lr if multiple == 1 else g.add("SpaceToDepth", lr, blocksize=multiple)
    x = g.add("Relu", g.conv(x, 3 * multiple**2, CHANNELS))
    for layer in range(2):
        if adaptive:
            ends = (layer * CHANNELS, (layer + 1) * CHANNELS, 1)
            scales = g.add("Slice", "modulation", *(g.constant([end], np.int64) for end in ends))
            shape = g.constant([1, CHANNELS, 1, 1], np.int64)
            x = g.add("Mul", x, g.add("Reshape", scales, shape))
        x = g.conv(
            x, CHANNELS, 3 * (scale * multiple) ** 2 if layer else CHANNELS, gain=0.3 if layer else 1.0
        )
        x = x if layer else g.add("Relu", x)
    x = g.add("DepthToSpace", x, blocksize=scale * multiple, mode="CRD")
    same = g.constant(np.repeat(np.eye(3), scale**2, axis=0)[:, :, None, None])
    x = g.add("Add", x, g.add("DepthToSpace", g.add("Conv", lr, same), blocksize=scale, mode="CRD"))
    view = g.add("Mul", "texture", g.conv(x, 3, 3, gain=0.2)) if texture else ""
    x = g.add("Add", x, g.conv(x, 3, 3, gain=0.2))
    if texture:
        x = g.add("Add", x, view)
    g.add("Mul", x, g.constant(pixel_range), output="sr")
    inputs: dict[str, list[Any]] = {"lr": [1, 3, "height", "width"]}
    if adaptive:
        inputs["modulation"] = [1, 2 * CHANNELS]
    if texture:
        inputs["texture"] = [1]
    return g.model(inputs, {"sr": [1, 3, "sr_height", "sr_width"]})


def _condition_graph(pixel_range: float, fixed_count: int | None, seed: int) -> onnx.ModelProto:
    """Convolution, mean over each patch, mean over patches; a matrix makes the modulation."""
    g = _Graph(seed)
    x = g.add("Div", "support", g.constant(pixel_range))
    x = g.add("Relu", g.conv(x, 3, CONDITION, gain=3, stride=2))
    x = g.add("Flatten", g.add("GlobalAveragePool", x))
    g.add("ReduceMean", x, axes=[0], keepdims=1, output="condition")
    matrix = g.constant(g.rng.normal(0, 1, (CONDITION, 2 * CHANNELS)))
    g.add("Add", g.add("MatMul", "condition", matrix), g.constant([1.0]), output="modulation")
    return g.model(
        {"support": [fixed_count or "patches", 3, "height", "width"]},
        {"condition": [1, CONDITION], "modulation": [1, 2 * CHANNELS]},
    )
