"""Methods as a command line has them: models by name, folder or file, and interpolation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from blindsr.checkpoint.reading import FORMAT
from blindsr.degradation import resize
from blindsr.engine.opening import load_model
from blindsr.errors import InputError, MissingExtraError, ModelError
from blindsr.evaluation.methods import ModelRestorer, find_method
from blindsr.evaluation.methods.method import Pixels
from blindsr.network import build_network
from blindsr.upscaling.upscaler import Upscaler

from ..checkpoint.test_reading import official_spec, official_state
from ..conftest import MakeModel, made_photo
from ..engine.foreign import PARAM, stand_in_for_ncnn, write_onnx
from ..engine.test_opening import block


@pytest.fixture
def lr() -> Pixels:
    return made_photo(20, 24).astype(np.float32) / np.float32(255)


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


def test_a_file_is_looked_into_when_it_is_needed(tmp_path: Path) -> None:
    """So that one which cannot run is one line, and the others go on."""
    (tmp_path / "damaged.onnx").write_bytes(b"no graph")
    method = find_method(str(tmp_path / "damaged.onnx"))
    with pytest.raises(ModelError, match="damaged"):
        _ = method.restorer
    with pytest.raises(ModelError, match="not there"):
        find_method(str(tmp_path / "absent.param"))
    with pytest.raises(ModelError, match="no such file"):
        find_method(str(tmp_path / "absent.onnx"))


def test_a_file_is_restored_as_users_restore(tmp_path: Path, lr: Pixels) -> None:
    file = write_onnx(tmp_path / "a.onnx", convolutions=3)
    restorer = find_method(str(file), "cpu", 1).restorer
    assert isinstance(restorer, ModelRestorer)
    assert np.array_equal(restorer.restore(lr, 2), Upscaler(file, device="cpu").upscale(lr))


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
    assert np.array_equal(method.restorer.restore(lr, 2), Upscaler(folder, device="cpu").upscale(lr))
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
    monkeypatch.setattr("blindsr.upscaling.upscaler.AUTO_PIXELS", 1)
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


def test_ncnn_runs_on_the_cpu_whatever_the_device(
    tmp_path: Path, lr: Pixels, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in_for_ncnn(monkeypatch)
    (tmp_path / "a.param").write_text(PARAM)
    (tmp_path / "a.bin").write_bytes(b"")
    restored = find_method(str(tmp_path / "a.bin"), "cuda").restorer.restore(lr, 4)
    assert np.array_equal(restored, lr.repeat(4, 0).repeat(4, 1))


def test_an_official_file_is_told_its_scale(tmp_path: Path, lr: Pixels) -> None:
    """Cria-CL's layout does not tell x4 from x1; CMDSR's does, and is compared."""
    torch.manual_seed(0)
    network = build_network({"cria": {"scale": 4, "channels": 4, "blocks": 1, "growth": 2, "projector": 0}})
    state = esrgan_state(network.state_dict())
    torch.save({"state_dict": {f"module.{key}": value for key, value in state.items()}}, tmp_path / "e.pth")
    assert find_method(str(tmp_path / "e.pth"), "cpu").restorer.scale == 4
    method = find_method(f"x1={tmp_path / 'e.pth'}@scale=1", "cpu")
    assert method.title == "x1"
    assert method.restorer.scale == 1 and method.restorer.restore(lr, 1).shape == lr.shape
    torch.save({"net": official_state(build_network(official_spec(2, 4, 1, 3)))}, tmp_path / "c.pth")
    assert load_model(tmp_path / "c.pth", scale=2).scale == 2
    with pytest.raises(ModelError, match="network for x2, not x1"):
        load_model(tmp_path / "c.pth", scale=1)
    torch.save({"net": official_state(build_network(official_spec(1, 4, 1, 3)))}, tmp_path / "same.pth")
    own = find_method(f"{tmp_path / 'same.pth'}@scale=1", "cpu").restorer
    assert own.scale == 1 and own.restore(lr, 1).shape == lr.shape
    with pytest.raises(InputError, match="cannot be set"):
        find_method(f"{tmp_path / 'c.pth'}@scale=one")


def esrgan_state(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Our trunk and tail under ESRGAN's names."""
    names = {
        "trunk.first": "conv_first", "trunk.last": "conv_body", "tail.up.0": "conv_up1",
        "tail.up.1": "conv_up2", "tail.hr": "conv_hr", "tail.last": "conv_last",
    }  # fmt: skip
    renamed = {}
    for key, value in state.items():
        layer, _, kind = key.rpartition(".")
        parts = layer.split(".")
        if layer not in names:  # trunk.blocks.N.dense.D.convs.C
            layer = f"body.{parts[2]}.rdb{int(parts[4]) + 1}.conv{int(parts[6]) + 1}"
        renamed[f"{names.get(layer, layer)}.{kind}"] = value
    return renamed
