"""Which engine runs, and what is said when it cannot."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest

from blindsr.engine import choose_engine
from blindsr.engine.openvino import OpenVINOEngine
from blindsr.errors import InputError, MissingExtraError
from blindsr.models.catalogue import find_model

from ..conftest import MakeModel


@pytest.mark.parametrize("device", ["auto", "cpu"])
def test_cpu_is_openvino(make_model: MakeModel, device: str) -> None:
    assert isinstance(choose_engine(find_model(make_model()), device), OpenVINOEngine)


def test_unknown_device(make_model: MakeModel) -> None:
    with pytest.raises(InputError, match="device 'gpu' is not one of auto, cpu, cuda, mps"):
        choose_engine(find_model(make_model()), "gpu")


def test_cuda_without_pytorch(make_model: MakeModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("blindsr.engine.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r'pip install "blindsr\[torch\]"'):
        choose_engine(find_model(make_model()), "cuda")


@pytest.mark.parametrize(("installed", "driver"), [(False, True), (True, False)])
def test_auto_does_not_import_pytorch_in_vain(
    make_model: MakeModel, monkeypatch: pytest.MonkeyPatch, installed: bool, driver: bool
) -> None:
    monkeypatch.setattr("blindsr.engine._torch_installed", lambda: installed)
    monkeypatch.setattr("blindsr.engine._driver_installed", lambda: driver)
    monkeypatch.setitem(sys.modules, "torch", None)  # an import of it would fail
    model = find_model(make_model())
    with_weights = replace(model, files={**model.files, "weights": model.file("base")})
    assert isinstance(choose_engine(with_weights, "auto"), OpenVINOEngine)
