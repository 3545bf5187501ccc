"""Files of other programs become models: found out once, kept, and refused in one line."""

from __future__ import annotations

import builtins
import json
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto

import blindsr
from blindsr.engine import choose_engine, identity_of_choice, opening, trial
from blindsr.engine.ncnn import io_names
from blindsr.engine.opening import Request, load_model, read_request
from blindsr.errors import InputError, MissingExtraError, ModelError

from ..conftest import MakeModel, made_photo
from .foreign import PARAM, repeat, stand_in_for_ncnn, write_onnx

LR = np.ascontiguousarray(made_photo(20, 24).transpose(2, 0, 1)[None], np.float32) / np.float32(255)


def test_an_onnx_file_is_a_model(tmp_path: Path) -> None:
    model = blindsr.load_model(write_onnx(tmp_path / "2x-sharp.onnx", bias=5.0, convolutions=2))
    assert (model.name, model.scale, model.pixel_range, model.halo) == ("2x-sharp", 2, 255.0, 2)
    assert model.licence == "unknown" and model.card is None and model.reads == [tmp_path / "2x-sharp.onnx"]
    engine = choose_engine(model, "cpu", threads=1)
    sr = engine.upscale(LR, None)
    assert sr.shape == (1, 3, 40, 48)
    assert np.abs(sr[0] - 5 / 255 - repeat(LR[0], 2)).mean() < 0.2
    with pytest.raises(ModelError, match="does not adapt"):
        engine.condition(LR)


@pytest.mark.parametrize(
    "options",
    [
        {"last": True},
        {"number": TensorProto.FLOAT16},
        {"number": TensorProto.DOUBLE, "last": True},
        {"channels": 1},
        {"sides": (20, 24)},
        {"last": True, "sides": (20, 24), "channels": 1},
    ],
)
def test_layouts_and_numbers_of_all_kinds(tmp_path: Path, options: dict[str, Any]) -> None:
    model = load_model(write_onnx(tmp_path / "a.onnx", **options))
    assert np.abs(choose_engine(model, "cpu", threads=1).upscale(LR, None)[0] - repeat(LR[0], 2)).max() < 2e-3
    assert model.window == options.get("sides")


def test_bytes_in_and_out(tmp_path: Path) -> None:
    model = load_model(write_onnx(tmp_path / "a.onnx", number=TensorProto.UINT8))
    assert model.pixel_range == 255.0
    sr = choose_engine(model, "cpu", threads=1).upscale(LR, None)
    assert np.abs(sr[0] - repeat(LR[0], 2)).max() <= 1.01 / 255


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"inputs": 2}, "2 inputs and 1 outputs"),
        ({"bias": 1e4}, "does not resemble it"),
        ({"channels": 4}, "takes pictures of 4 planes"),
        ({"external": True}, "keeps weights in another file"),
        ({"bias": float("nan")}, "does not resemble it"),
    ],
)
def test_what_is_no_network_for_pictures_is_refused(
    tmp_path: Path, options: dict[str, Any], fault: str
) -> None:
    with pytest.raises(ModelError, match=rf"a\.onnx.*{fault}") as caught:
        load_model(write_onnx(tmp_path / "a.onnx", **options))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["a.onnx", "a.param", "a.bin", "a.pth", "a.safetensors"])
def test_damaged_and_absent_files(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in_for_ncnn(monkeypatch)
    with pytest.raises(ModelError, match=r"not there|no such file"):
        load_model(tmp_path / name)
    for file in {name, "a.bin", "a.param"} if name in ("a.param", "a.bin") else {name}:
        (tmp_path / file).write_bytes(b"no network")
    with pytest.raises(ModelError, match=r"a\.\w+: ") as caught:
        load_model(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_a_folder_and_a_name_come_first(make_model: MakeModel, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_model("4x.onnx", scale=2)
    assert load_model(folder).card == folder / "card.json"
    monkeypatch.setenv("BLINDSR_MODELS", str(folder.parent))
    assert load_model("4x.onnx").card is not None


def test_what_was_found_out_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    file = write_onnx(tmp_path / "a.onnx", convolutions=1)
    first = load_model(file)
    with monkeypatch.context() as patch:
        patch.setattr(opening, "probe_network", lambda *given: pytest.fail("found out again"))
        assert load_model(file) == first
        (tmp_path / "other.onnx").write_bytes(file.read_bytes())
        assert load_model(tmp_path / "other.onnx").halo == 1
        write_onnx(tmp_path / "other.onnx", convolutions=2)
        with pytest.raises(pytest.fail.Exception, match="found out again"):
            load_model(tmp_path / "other.onnx")
    (kept,) = (tmp_path / "cache" / "blindsr" / "probed").iterdir()
    kept.write_bytes(kept.read_bytes()[:-9] + b"damaged}}")
    # (What a process that has done much before grows by is not the same each time.)
    assert replace(load_model(file), tile_memory=first.tile_memory) == first


@pytest.mark.parametrize(
    "content",
    [b"[]", b"{}", b"null", b"no JSON", b'{"scale": -1}', b'{"window": [1], "scale": 2}'],
)
def test_what_is_kept_must_be_what_was_found_out(content: bytes) -> None:
    assert opening._read_probed(content) is None
    sound = {
        "scale": 2, "pixel_range": 1.0, "halo": 3, "tiled": True, "multiple": 1, "tile_memory": 9,
        "channels": 3, "window": [8, 9],
    }  # fmt: skip
    found = opening._read_probed(json.dumps(sound))
    assert found is not None and found.window == (8, 9)
    for change in (
        {"scale": 0},
        {"halo": "3"},
        {"pixel_range": 2.0},
        {"tiled": 1},
        {"window": "ab"},
        {"x": 1},
    ):
        assert opening._read_probed(json.dumps({**sound, **change})) is None


def test_files_are_run_in_a_process_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(trial.SWITCH)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    file = write_onnx(tmp_path / "a.onnx", convolutions=1)
    with monkeypatch.context() as patch:
        patch.setattr(opening, "probe_network", lambda *given: pytest.fail("run here"))
        assert load_model(file).halo == 1
    with pytest.raises(ModelError, match="does not resemble it"):
        load_model(write_onnx(tmp_path / "b.onnx", bias=1e4))
    monkeypatch.setattr(opening, "_SECONDS", 0.01)
    with pytest.raises(ModelError, match="do not come to an end"):
        load_model(write_onnx(tmp_path / "c.onnx", convolutions=3))


def test_another_scale_than_was_asked_for(tmp_path: Path) -> None:
    file = write_onnx(tmp_path / "a.onnx", scale=2)
    assert load_model(file, scale=2).scale == 2
    with pytest.raises(ModelError, match=r"a\.onnx: it is a model for x2, not x4"):
        load_model(file, scale=4)


def test_identity_tells_what_the_bytes_depend_on(tmp_path: Path) -> None:
    first = load_model(write_onnx(tmp_path / "a.onnx"))
    identity = identity_of_choice(first)
    assert json.loads(json.dumps(identity)) == identity
    assert identity == choose_engine(first, threads=1).identity
    (tmp_path / "b.onnx").write_bytes((tmp_path / "a.onnx").read_bytes())
    assert identity_of_choice(load_model(tmp_path / "b.onnx")) == identity
    assert identity_of_choice(load_model(write_onnx(tmp_path / "b.onnx", bias=0.01))) != identity


def test_what_runs_on_the_cpu_alone_says_so(tmp_path: Path) -> None:
    model = load_model(write_onnx(tmp_path / "a.onnx"))
    with pytest.raises(InputError, match="model a runs on the CPU alone"):
        choose_engine(model, "cuda")
    with pytest.raises(InputError, match="does not come in int8"):
        choose_engine(model, precision="int8")


def test_settings_after_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_request("cmdsr-x4") == Request("cmdsr-x4")
    assert read_request("a.pth@scale=1,fp32") == Request("a.pth", "fp32", None, 1, "scale=1,fp32")
    assert read_request("a@texture=0.5").texture == 0.5
    monkeypatch.chdir(tmp_path)
    (tmp_path / "me@home.onnx").write_bytes(b"")
    assert read_request("me@home.onnx").model == "me@home.onnx"
    for text in ("a@scale=big", "a@int4", "a@texture", "a@scale=2.5"):
        with pytest.raises(InputError, match=r"cannot be set; there are auto, .* texture=0\.\.1, scale=N"):
            read_request(text)


def test_an_ncnn_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fed = stand_in_for_ncnn(monkeypatch)
    (tmp_path / "a.param").write_text(PARAM)
    with pytest.raises(ModelError, match=r"a\.bin: not there"):
        load_model(tmp_path / "a.param")
    (tmp_path / "a.bin").write_bytes(b"")
    model = load_model(tmp_path / "a.bin")
    assert (model.name, model.scale, model.halo) == ("a", 4, 0)
    assert set(model.reads) == {tmp_path / "a.param", tmp_path / "a.bin"}
    assert np.array_equal(choose_engine(model).upscale(LR, None)[0], repeat(LR[0], 4))
    assert np.array_equal(fed[-1], LR[0])


def test_planes_that_are_told_lie_beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fed = stand_in_for_ncnn(monkeypatch)
    (tmp_path / "a.param").write_text(PARAM.replace("6=1296", "6=2160"))  # five planes
    (tmp_path / "a.bin").write_bytes(b"")
    with pytest.raises(ModelError, match=r"takes 5 planes.*a\.json.*2 numbers"):
        load_model(tmp_path / "a.param")
    (tmp_path / "a.json").write_text(json.dumps({"planes": [0.5, -2]}))
    model = load_model(tmp_path / "a.param")
    choose_engine(model).upscale(LR, None)
    assert fed[-1].shape == (5, 20, 24) and fed[-1][3:, 0, 0].tolist() == [0.5, -2.0]
    assert tmp_path / "a.json" in model.reads
    (tmp_path / "a.json").write_text("[]")
    with pytest.raises(ModelError, match=r"a\.json: should hold"):
        load_model(tmp_path / "a.param")


def test_io_names_of_an_ncnn_network(tmp_path: Path) -> None:
    file = tmp_path / "a.param"
    first = PARAM.replace("Split s 1 2 data a b", "Reorg s 1 2 data a b").replace("6=1296", "6=5184")
    for text, expected in (
        (PARAM, ("data", "output", 3)),
        (PARAM.replace("6=1296", "6=432"), ("data", "output", 1)),
        # What goes in first is no convolution: its planes are not the first convolution's.
        (first, ("data", "output", 3)),
    ):
        file.write_text(text)
        assert io_names(file) == expected
    for text, fault in (
        ("1234\n0 0\n", "not a .param file"),
        (PARAM.replace("Input in 0 1 data", "Input in 0"), "damaged"),
        (PARAM.replace("0=48 1=3", "0=0 1=3"), "damaged"),
        (PARAM + "Noop n 0 1 more\n", "its outputs"),
    ):
        file.write_text(text)
        with pytest.raises(ModelError, match=fault):
            io_names(file)


def test_ncnn_that_has_no_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in_for_ncnn(monkeypatch)
    (tmp_path / "a.param").write_text(PARAM)
    (tmp_path / "a.bin").write_bytes(b"")
    model = load_model(tmp_path / "a.param")
    for code, error in ((-100, MemoryError), (-1, ModelError)):
        stand_in_for_ncnn(monkeypatch, code)
        with pytest.raises(error):
            choose_engine(model).upscale(LR, None)


def test_ncnn_itself(tmp_path: Path) -> None:
    """Where it is installed: a network written by hand."""
    pytest.importorskip("ncnn")
    (tmp_path / "a.param").write_text(PARAM)
    weight = np.zeros((48, 3, 3, 3), np.float32)
    weight[:, :, 0, 1] = np.random.default_rng(0).normal(0, 0.03, (48, 3))  # a pixel above
    flag = np.zeros(1, np.uint32)
    (tmp_path / "a.bin").write_bytes(flag.tobytes() + weight.tobytes() + np.zeros(48, np.float32).tobytes())
    model = load_model(tmp_path / "a.param")
    assert (model.scale, model.halo, model.pixel_range) == (4, 1, 1.0)
    sr = choose_engine(model, threads=1).upscale(LR, None)
    assert sr.shape == (1, 3, 80, 96) and np.abs(sr[0] - repeat(LR[0], 4)).mean() < 0.1


def block(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    """Make a package one that is not installed."""
    found = builtins.__import__

    def refuse(name: str, *arguments: Any, **options: Any) -> Any:
        if name.partition(".")[0] == package:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return found(name, *arguments, **options)

    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setattr(builtins, "__import__", refuse)


@pytest.mark.parametrize(("package", "extra"), [("ncnn", "peers"), ("spandrel", "spandrel")])
def test_missing_packages_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str, extra: str
) -> None:
    torch = pytest.importorskip("torch")
    torch.save({"conv.weight": torch.zeros(3)}, tmp_path / "a.pth")
    (tmp_path / "b.param").write_text(PARAM)
    (tmp_path / "b.bin").write_bytes(b"")
    block(monkeypatch, package)
    with pytest.raises(MissingExtraError, match=rf"blindsr\[{extra}\]"):
        choose_engine(load_model(tmp_path / ("b.param" if package == "ncnn" else "a.pth")))


def stand_in_for_spandrel(monkeypatch: pytest.MonkeyPatch, channels: int = 3) -> list[dict[str, Any]]:
    """A stand-in for spandrel, which needs torchvision; gives the tensors that it was given."""
    import torch

    given: list[dict[str, Any]] = []

    class Descriptor:
        scale, input_channels, output_channels = 3, channels, channels

        def eval(self) -> None:
            pass

        def __call__(self, batch: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.interpolate(batch, scale_factor=3)

    class Loader:
        def __init__(self, device: str) -> None:
            assert device == "cpu"

        def load_from_state_dict(self, state: dict[str, Any]) -> Descriptor:
            given.append(state)
            if "conv.weight" not in state:
                raise LookupError("an architecture that nobody knows")
            return Descriptor()

    module = ModuleType("spandrel")
    module.__dict__.update(ImageModelDescriptor=Descriptor, ModelLoader=Loader)
    monkeypatch.setitem(sys.modules, "spandrel", module)
    return given


@pytest.mark.parametrize("name", ["a.pth", "a.safetensors"])
@pytest.mark.parametrize("channels", [1, 3])
def test_spandrel_is_given_tensors_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, channels: int
) -> None:
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file

    given = stand_in_for_spandrel(monkeypatch, channels)
    (torch.save if name == "a.pth" else save_file)({"conv.weight": torch.zeros(3)}, tmp_path / name)
    model = load_model(tmp_path / name)
    assert (model.scale, model.pixel_range, model.licence) == (3, 1.0, "unknown")
    sr = choose_engine(model, "cpu").upscale(LR, None)
    assert np.abs(sr[0] - repeat(LR[0], 3)).max() < 1e-6
    assert all(isinstance(one["conv.weight"], torch.Tensor) for one in given)


def test_what_spandrel_does_not_know(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    stand_in_for_spandrel(monkeypatch, channels=4)
    torch.save({"conv.weight": torch.zeros(3)}, tmp_path / "rgba.pth")
    torch.save({"other.weight": torch.zeros(3)}, tmp_path / "other.pth")
    torch.save({"conv.weight": torch.zeros(3), "code": print}, tmp_path / "code.pth")
    faults = {"rgba": "no network from one RGB", "other": "nobody knows", "code": "Python objects"}
    for name, fault in faults.items():
        with pytest.raises(ModelError, match=fault):
            load_model(tmp_path / f"{name}.pth")


def test_checkpoints_of_ours_need_no_probing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    from blindsr.checkpoint.reading import FORMAT
    from blindsr.network import build_network

    monkeypatch.setattr(opening, "probe_network", lambda *given: pytest.fail("probed"))
    torch.manual_seed(0)
    basenet = {"name": "srresnet", "scale": 2, "channels": 4, "blocks": 1}
    spec = {"basenet": basenet, "condition": None, "pixel_range": 255.0}
    network = build_network(spec).eval()
    torch.save({"format": FORMAT, "network": spec, "state": network.state_dict()}, tmp_path / "a.pth")
    model = load_model(tmp_path / "a.pth")
    assert (model.scale, model.halo, model.pixel_range, model.licence) == (2, network.halo, 255.0, "unknown")
    with torch.no_grad():
        expected = network(torch.from_numpy(LR) * 255) / 255
    assert np.abs(choose_engine(model, "cpu").upscale(LR, None) - expected.numpy()).max() < 1e-5
    assert identity_of_choice(model, "cpu") == choose_engine(model, "cpu").identity
    with pytest.raises(ModelError, match="network for x2, not x1"):
        load_model(tmp_path / "a.pth", scale=1)
