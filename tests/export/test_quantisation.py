"""8-bit models: made beside the float ones, close to them, taken where the CPU is made for them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from blindsr import engine
from blindsr.checkpoint.reading import FORMAT
from blindsr.engine import choose_engine
from blindsr.engine.openvino import OpenVINOEngine
from blindsr.errors import InputError, MissingExtraError, ModelError
from blindsr.export import quantisation
from blindsr.export.graphs import export_checkpoint
from blindsr.export.quantisation import ROWS
from blindsr.models.card import drop_from_card
from blindsr.models.catalogue import find_model
from blindsr.network import build_network
from blindsr.upscaling.upscaler import Upscaler

from ..conftest import MakeModel, Run, made_photo, save_photos

CMDSR = {
    "basenet": {"name": "srresnet", "scale": 2, "channels": 8, "blocks": 2, "tail": "direct", "skip": True},
    "condition": {"name": "patches", "size": 8, "width": 4},
    "pixel_range": 1.0,
}
CRIA = {
    "cria": {
        "scale": 2, "channels": 8, "blocks": 1, "growth": 4, "projector": 4, "projector_blocks": 1,
        "mask": "views", "tail": "direct", "carry": 2, "skip": True,
    }
}  # fmt: skip


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four photos, of which one is held out."""
    return save_photos(tmp_path_factory.mktemp("photos"), 4, 72, 96)


_exported: dict[str, dict[str, bytes]] = {}


def made(spec: dict[str, Any], folder: Path) -> Path:
    """A model of random weights; to export one takes seconds, and each is exported once."""
    key, model = json.dumps(spec), folder / "model"
    if key not in _exported:
        torch.manual_seed(0)
        network = build_network(spec)
        torch.save({"format": FORMAT, "network": spec, "state": network.state_dict()}, folder / "a.ckpt")
        export_checkpoint(folder / "a.ckpt", model)
        _exported[key] = {file.name: file.read_bytes() for file in model.iterdir()}
    model.mkdir(exist_ok=True)
    for name, content in _exported[key].items():
        (model / name).write_bytes(content)
    return model


@pytest.fixture(autouse=True)
def few_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every degradation is a pass over the photos, and NNCF makes many."""
    monkeypatch.setattr(quantisation, "ROWS", ROWS[::6])


def quantise(run: Run, model: Path, photos: Path, *more: str) -> tuple[int, str, str]:
    options = ("--holdout", "1", "--crops", "4", "--side", "32", "--photos", photos)
    return run("quantise", model, *options, *more)


@pytest.mark.slow
@pytest.mark.parametrize("spec", [pytest.param(CMDSR, id="cmdsr"), pytest.param(CRIA, id="cria")])
def test_a_model_gets_a_second_graph(
    spec: dict[str, Any], tmp_path: Path, photos: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = made(spec, tmp_path)
    before = find_model(folder)
    code, out, error = quantise(run, folder, photos, "--drop", "0.3")
    assert code == 0, error
    header, *rows = out.strip().splitlines()
    assert header.split() == ["fp32", "int8", "cost"] and len(rows) == 3
    assert all(float(row.split()[-1]) >= -0.3 for row in rows)
    model = find_model(folder)
    assert set(model.files) - set(before.files) == {"int8", "int8_weights"}
    assert {role: model.digests[role] for role in before.files} == dict(before.digests)
    assert str(tmp_path).encode() not in model.file("int8").read_bytes()  # nothing of this machine

    told = json.loads((folder / "card.json").read_text(encoding="utf-8"))["metrics"]["int8"]
    count, _, total, *_ = told["convolutions"].split()
    assert 0 < int(count) <= int(total) - 2 and len(told["rows"]) == 3  # two see the photo's pixels

    photo = made_photo(41, 30, 9)
    exact = Upscaler(folder, precision="fp32").upscale(photo).astype(int)
    rough = Upscaler(folder, precision="int8").upscale(photo).astype(int)
    assert 0 < np.abs(exact - rough).max() < 24 and np.abs(exact - rough).mean() < 3
    drop_from_card(folder, ("int8", "int8_weights"))  # as where replacing them was cut off
    (folder / "int8.bin").write_bytes(b"half")
    assert (Upscaler(folder).upscale(photo) == exact).all()
    code, out, _ = quantise(run, folder, photos, "--drop", "0.3", "--json")
    assert (
        code == 0
        and [
            {
                key: round(value, 3) if key != "degradation" else value
                for key, value in json.loads(line).items()
            }
            for line in out.splitlines()
        ]
        == told["rows"]
    )
    for there, expected in ((True, rough), (False, exact)):
        monkeypatch.setattr(engine, "int8_is_faster", lambda there=there: there)
        np.testing.assert_array_equal(Upscaler(folder).upscale(photo), expected)


@pytest.mark.slow
def test_the_library_makes_nothing_worse_than_asked(tmp_path: Path, photos: Path, run: Run) -> None:
    folder = made(CMDSR, tmp_path)
    code, out, _ = quantise(run, folder, photos, "--drop", "0")
    costs = [float(line.split()[-1]) for line in out.strip().splitlines()[1:]]
    assert code == 0 and min(costs) >= 0
    assert int(_told(folder)["convolutions"].split()[0]) <= 5  # those of two blocks, and the last
    quantise(run, folder, photos, "--drop", "9")
    assert int(_told(folder)["convolutions"].split()[0]) == 5


def _told(folder: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads((folder / "card.json").read_text(encoding="utf-8"))["metrics"]["int8"]
    return told


@pytest.mark.slow
def test_faults_are_one_line(tmp_path: Path, make_model: MakeModel, photos: Path, run: Run) -> None:
    code, _, error = quantise(run, make_model(), photos)
    assert code == 2 and "weights" in error  # nothing to make a graph of
    folder = made(CMDSR, tmp_path)
    code, _, error = run("quantise", folder, "--photos", photos, "--holdout", "1")
    assert code == 2 and "smaller than 192 pixels" in error
    code, _, error = quantise(run, folder, photos, "--degradations", "realistic")
    assert code == 2 and "real" in error


def test_without_nncf(tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nncf", None)
    with pytest.raises(MissingExtraError, match="int8"):
        quantisation.quantise(tmp_path, photos)


def test_precisions_that_cannot_be(make_model: MakeModel) -> None:
    model = find_model(make_model())
    with pytest.raises(InputError, match="'int4' is not one of auto, fp32, int8"):
        choose_engine(model, precision="int4")
    with pytest.raises(InputError, match="does not come in int8"):
        choose_engine(model, precision="int8")
    assert isinstance(choose_engine(model, precision="fp32"), OpenVINOEngine)


def test_a_card_names_both_files_or_none(make_model: MakeModel) -> None:
    folder = make_model()
    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    card["files"]["int8"] = card["files"]["base"]
    (folder / "card.json").write_text(json.dumps(card), encoding="utf-8")
    with pytest.raises(ModelError, match=r"int8 is NAME\.xml and int8_weights NAME\.bin"):
        find_model(folder)
