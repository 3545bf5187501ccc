"""bfloat16 where the hardware multiplies it, and nowhere else unless asked for."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from blindsr.training import load_config, train
from blindsr.training import precision as precision_module
from blindsr.training.precision import computes_in_bfloat16


@pytest.mark.parametrize("native", [True, False])
def test_auto_asks_the_processor(config_file: Path, monkeypatch: pytest.MonkeyPatch, native: bool) -> None:
    monkeypatch.setattr(precision_module, "has_bf16_instructions", lambda: native)
    cpu = torch.device("cpu")
    assert computes_in_bfloat16(load_config(config_file), cpu) is native
    assert computes_in_bfloat16(load_config(config_file, ["precision=bf16-mixed"]), cpu)
    assert not computes_in_bfloat16(load_config(config_file, ["precision=32-true"]), cpu)
    assert not computes_in_bfloat16(load_config(config_file), torch.device("mps"))


@pytest.mark.parametrize(("capability", "native"), [((7, 5), False), ((8, 0), True), ((9, 0), True)])
def test_auto_asks_the_card(
    config_file: Path, monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], native: bool
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert computes_in_bfloat16(load_config(config_file), torch.device("cuda")) is native


def test_a_run_in_bfloat16_keeps_its_weights_in_single_precision(config_file: Path, tmp_path: Path) -> None:
    reports = []
    last = train(
        load_config(config_file, ["precision=bf16-mixed", "steps=2"]), tmp_path, report=reports.append
    )
    state = torch.load(last, weights_only=True)
    assert all(tensor.dtype == torch.float32 for tensor in state["state"].values())
    exact = []
    train(load_config(config_file, ["precision=32-true", "steps=2"]), tmp_path / "b", report=exact.append)
    assert reports[0].losses["pixel"] != exact[0].losses["pixel"]
    assert reports[0].losses["pixel"] == pytest.approx(exact[0].losses["pixel"], rel=0.05)
