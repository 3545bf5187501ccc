"""An identity tells apart what makes other bytes, and nothing else."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from blindsr import engine as engine_module
from blindsr.engine import choose_engine, identity, identity_of_choice
from blindsr.engine.identity import openvino_identity, torch_identity
from blindsr.engine.instructions import INSTRUCTION_SETS
from blindsr.engine.openvino import OpenVINOEngine
from blindsr.models.card import Model
from blindsr.models.catalogue import find_model

from ..conftest import MakeModel, add_inspector


@pytest.fixture
def model(make_model: MakeModel) -> Model:
    found = find_model(add_inspector(make_model()))
    files = dict.fromkeys(("int8", "int8_weights", "weights"), found.file("base"))
    digests = {role: f"{number:064x}" for number, role in enumerate([*found.files, *files])}
    return replace(found, files={**found.files, **files}, digests=digests)


def changed(model: Model, role: str) -> Model:
    return replace(model, digests={**model.digests, role: "f" * 64})


def test_it_is_json(model: Model) -> None:
    for one in (openvino_identity(model, "int8"), torch_identity(model, "cpu")):
        assert json.loads(json.dumps(one)) == one


@pytest.mark.parametrize("change", [{"precision": "int8"}, {"fold": True}])
def test_options_that_count(model: Model, change: dict[str, Any]) -> None:
    assert openvino_identity(model, **{"precision": "fp32", **change}) != openvino_identity(model, "fp32")


@pytest.mark.parametrize(
    ("precision", "counts"),
    [
        ("fp32", {"base", "condition"}),
        ("int8", {"int8", "int8_weights", "condition"}),
        ("torch", {"weights"}),
    ],
)
def test_the_files_that_are_run_count(model: Model, precision: str, counts: set[str]) -> None:
    def of(model: Model) -> dict[str, Any]:
        return torch_identity(model, "cpu") if precision == "torch" else openvino_identity(model, precision)

    assert {role for role in model.files if of(changed(model, role)) != of(model)} == counts


def test_a_model_without_digests_has_those_of_its_files(model: Model) -> None:
    bare = replace(model, digests={})
    before = openvino_identity(bare, "fp32")
    assert before["files"].keys() == {"base", "condition"}
    bare.file("base").write_bytes(b"another")
    assert openvino_identity(bare, "fp32") != before


@pytest.mark.parametrize(
    "change",
    [{"scale": 2}, {"pixel_range": 255.0}, {"multiple": 2}, {"texture": 0.5}, {"halo": 9}, {"support": None}],
)
def test_what_the_card_says_of_the_graphs_counts(model: Model, change: dict[str, Any]) -> None:
    assert openvino_identity(replace(model, **change), "fp32") != openvino_identity(model, "fp32")


@pytest.mark.parametrize(
    "change",
    [
        {"name": "another"},
        {"description": "another"},
        {"licence": "another"},
        {"provenance": {"a": 1}},
        {"metrics": {"a": 1}},
        {"tile_memory": 5},
    ],
)
def test_what_does_not_count(model: Model, change: dict[str, Any]) -> None:
    assert openvino_identity(replace(model, **change), "fp32") == openvino_identity(model, "fp32")


def test_the_network_counts_where_it_is_built(model: Model) -> None:
    other = replace(model, network={"a": 1})
    assert torch_identity(other, "cpu") != torch_identity(model, "cpu")
    assert openvino_identity(other, "fp32") == openvino_identity(model, "fp32")


def test_libraries_and_devices_count(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    before = openvino_identity(model, "fp32"), torch_identity(model, "cpu")
    assert before[0] != before[1] != torch_identity(model, "mps")
    monkeypatch.setattr(identity, "package_version", lambda package: "0")
    assert openvino_identity(model, "fp32") != before[0] and torch_identity(model, "cpu") != before[1]
    monkeypatch.undo()
    monkeypatch.setattr(identity, "instruction_set", lambda: INSTRUCTION_SETS[0])
    assert openvino_identity(model, "fp32") != before[0] and torch_identity(model, "cpu") != before[1]


def test_engines_carry_it(make_model: MakeModel) -> None:
    model = find_model(make_model())
    one, many = (OpenVINOEngine(model, threads) for threads in (1, 2))
    assert one.identity == many.identity == openvino_identity(model, "fp32")
    assert OpenVINOEngine(model, fold=True).identity != one.identity
    lr, modulation = np.full((1, 3, 9, 9), 0.5, np.float32), np.ones((1, 12), np.float32)
    assert (one.upscale(lr, modulation) == many.upscale(lr, modulation)).all()


def test_the_choice_is_known_before_it_is_made(
    make_model: MakeModel, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = find_model(make_model("plain"))
    assert identity_of_choice(plain) == choose_engine(plain, "cpu").identity
    for faster, precision in ((True, "int8"), (False, "fp32")):
        monkeypatch.setattr(engine_module, "int8_is_faster", lambda faster=faster: faster)
        assert identity_of_choice(model, "cpu") == openvino_identity(model, precision)
        assert identity_of_choice(model, "cpu", "fp32") == openvino_identity(model, "fp32")
    assert identity_of_choice(model, "cuda") == torch_identity(model, "cuda")


def test_a_torch_engine_carries_it(make_model: MakeModel, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from blindsr.engine.torch import TorchEngine

    from .test_torch import NETWORK, with_weights

    model = find_model(with_weights(make_model(scale=2), NETWORK))
    assert TorchEngine(model).identity == torch_identity(model, "cpu")
