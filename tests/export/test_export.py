"""Export: the folder is a model, its graphs give what the network gives, a wrong graph is caught."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from blindsr.checkpoint.reading import FORMAT
from blindsr.engine.openvino import OpenVINOEngine
from blindsr.engine.torch import TorchEngine
from blindsr.errors import InputError, ModelError
from blindsr.export import graphs as export
from blindsr.export.graphs import export_checkpoint, read_entries
from blindsr.models.catalogue import find_model
from blindsr.network import build_network
from blindsr.upscaling.upscaler import Upscaler

DIRECT = {"name": "srresnet", "scale": 4, "channels": 8, "blocks": 2, "tail": "direct", "skip": True}
PATCHES = {"name": "patches", "size": 16, "width": 4}
ATTENTIVE = PATCHES | {"name": "attentive"}


CRIA = {"channels": 8, "blocks": 1, "growth": 4, "projector": 6, "projector_blocks": 1}
GROUPED = CRIA | {"tail": "direct", "skip": True, "mask": "views", "carry": 2}


def save(
    path: Path, basenet: dict[str, Any], condition: dict[str, Any] | None, pixel_range: float = 1.0
) -> Any:
    return save_spec(path, {"basenet": basenet, "condition": condition, "pixel_range": pixel_range})


def save_spec(path: Path, spec: dict[str, Any]) -> Any:
    torch.manual_seed(0)
    network = build_network(spec)
    torch.save({"format": FORMAT, "network": spec, "state": network.state_dict()}, path)
    return network.eval()


def check(network: Any, folder: Path) -> None:
    """A photo restored through the folder is the photo restored by the network, in PyTorch."""
    for texture in (None, 0.0, 0.7) if network.texture else (None,):
        check_at(network, folder, texture)


def check_at(network: Any, folder: Path, texture: float | None) -> None:
    pixels = np.random.default_rng(0).random((37, 50, 3)).astype(np.float32)
    upscaler = Upscaler(folder, device="cpu", tile=24, texture=texture)
    knobs = {}
    if upscaler.model.adaptive:
        knobs["modulation"] = torch.from_numpy(upscaler.adapt([pixels]).modulation)
    if texture is not None:
        knobs["texture"] = torch.tensor([texture])
    lr = torch.from_numpy(pixels.transpose(2, 0, 1)[None].copy())
    with torch.no_grad():
        sr = network.restore(lr, **knobs)
    expected = sr[0].clamp(0, 1).permute(1, 2, 0).numpy()
    np.testing.assert_allclose(upscaler.upscale(pixels), expected, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    "condition", [pytest.param(PATCHES, id="patches"), pytest.param(ATTENTIVE, id="attentive")]
)
def test_an_adaptive_network_becomes_a_model(tmp_path: Path, condition: dict[str, Any]) -> None:
    network = save(tmp_path / "a.ckpt", DIRECT, condition)
    folder = export_checkpoint(tmp_path / "a.ckpt", tmp_path / "small", card={"description": "small"})
    model = find_model(folder)
    assert (model.name, model.description, model.scale, model.halo) == ("small", "small", 4, 6)
    assert model.support is not None
    assert not model.support.fixed_count
    assert model.licence == "unknown", "nobody has given one"
    assert (model.modulation_size, model.condition_size) == (32, 16)
    assert sorted(p.name for p in folder.iterdir()) == [
        "base.onnx", "card.json", "condition.onnx", "weights.safetensors"
    ]  # fmt: skip
    assert len({file.stat().st_mode for file in folder.iterdir()}) == 1
    for file in folder.iterdir():
        assert str(Path(export.__file__).parent).encode() not in file.read_bytes()  # nothing of this machine
    check(network, folder)
    engine, sizes = Upscaler(folder, device="cpu").engine, []
    for patches in (1, 7):  # any number of them, of any size
        found, _ = engine.condition(np.zeros((patches, 3, 24 + patches, 26), np.float32))
        sizes.append(found.shape)
    assert sizes == [(1, 16), (1, 16)]


@pytest.mark.slow
def test_a_network_with_a_texture_view_becomes_a_model(tmp_path: Path) -> None:
    """Scale 1, on pixels in groups: as many photos have as many sides that are no multiples of them."""
    network = save_spec(tmp_path / "a.ckpt", {"cria": GROUPED | {"scale": 1, "unshuffle": 4}})
    folder = export_checkpoint(tmp_path / "a.ckpt", tmp_path / "same-size")
    model = find_model(folder)
    assert (model.scale, model.multiple, model.texture, model.adaptive) == (1, 4, 1.0, False)
    assert (model.halo, model.pixel_range, model.support) == (network.halo, 1.0, None)
    assert sorted(model.files) == ["base", "weights"]
    card = json.loads((folder / "card.json").read_text())
    assert card["tile_memory"] >= 200  # measured, though nobody gave it a texture
    check(network, folder)
    lr = np.random.default_rng(1).random((1, 3, 20, 16)).astype(np.float32)
    engines = OpenVINOEngine(model), TorchEngine(model)
    for texture in (None, 0.0, 0.5, 1.0):
        results = [engine.upscale(lr, None, texture) for engine in engines]
        np.testing.assert_allclose(results[0], results[1], atol=1e-4)


@pytest.mark.slow
def test_a_network_that_adapts_and_has_a_texture_view_becomes_a_model(tmp_path: Path) -> None:
    spec = {
        "basenet": {"name": "rrdb", "scale": 2, "channels": 6, "blocks": 1, "growth": 3, "carry": 2},
        "condition": ATTENTIVE,
        "unified": {"projector": 4, "projector_blocks": 1, "lattice_filter": 5},
    }
    network = save_spec(tmp_path / "a.ckpt", spec)
    folder = export_checkpoint(tmp_path / "a.ckpt", tmp_path / "both")
    model = find_model(folder)
    assert model.adaptive and model.support is not None
    assert (model.scale, model.halo, model.texture) == (2, network.halo, 1.0)
    check(network, folder)


@pytest.mark.slow
@pytest.mark.parametrize(
    "network",
    [
        CRIA | {"scale": 4},
        CRIA | {"scale": 1},
        CRIA | {"scale": 2, "unshuffle": 2},
        GROUPED | {"scale": 4},
        GROUPED | {"scale": 2, "projector": 0, "carry": 0, "lattice_filter": 3},
    ],
)
def test_every_form_of_cria_exports(tmp_path: Path, network: dict[str, Any]) -> None:
    built = save_spec(tmp_path / "a.ckpt", {"cria": network})
    check(built, export_checkpoint(tmp_path / "a.ckpt", tmp_path / "model"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("basenet", "condition", "pixel_range"),
    [
        (DIRECT | {"scale": 3}, None, 1.0),
        (
            {"name": "srresnet", "scale": 4, "channels": 8, "blocks": 1},
            {"name": "stacked", "support": 3},
            255.0,
        ),
        ({"name": "srresnet", "scale": 2, "channels": 8, "blocks": 1}, PATCHES, 1.0),
        ({"name": "vdsr", "scale": 2, "channels": 8, "depth": 4}, PATCHES, 1.0),
        ({"name": "idn", "scale": 3, "channels": 16, "distilled": 4, "blocks": 1}, PATCHES, 1.0),
    ],
    ids=lambda v: v.get("name", "") if isinstance(v, dict) else str(v),
)
def test_every_kind_of_network_exports(
    tmp_path: Path, basenet: dict[str, Any], condition: dict[str, Any] | None, pixel_range: float
) -> None:
    network = save(tmp_path / "a.ckpt", basenet, condition, pixel_range)
    check(network, export_checkpoint(tmp_path / "a.ckpt", tmp_path / "model"))


@pytest.mark.slow
def test_a_graph_that_is_not_the_network_is_no_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path / "a.ckpt", DIRECT, None)
    monkeypatch.setattr(export, "TOLERANCE", -1.0)  # any difference is now too much
    with pytest.raises(ModelError, match="differ from the network"):
        export_checkpoint(tmp_path / "a.ckpt", tmp_path / "model")
    assert not (tmp_path / "model" / "card.json").exists()


def test_entries_written_by_hand(tmp_path: Path) -> None:
    path = tmp_path / "card.json"
    path.write_text('{"description": "é", "metrics": {"psnr": 1}}', encoding="utf-8")
    assert read_entries(path) == {"description": "é", "metrics": {"psnr": 1}}
    for text, message in (
        ("[1]", "not a JSON object"),
        ("{", "not JSON"),
        ('{"halo": 3}', "'halo' is set by the exporter"),
    ):
        path.write_text(text)
        with pytest.raises(InputError, match=message):
            read_entries(path)


def test_what_is_no_checkpoint_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.ckpt").write_text("no")
    with pytest.raises(ModelError, match=r"a\.ckpt"):
        export_checkpoint(tmp_path / "a.ckpt", tmp_path / "model")
    assert not (tmp_path / "model").exists()
