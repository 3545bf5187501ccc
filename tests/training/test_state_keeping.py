"""The compact state of a run: when it is written, and that what a killed run leaves is one whole state."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from blindsr.errors import ModelError
from blindsr.training import load_config, train
from blindsr.training import state as module
from blindsr.training.initial import read_initial
from blindsr.training.state import StateKeeper, read_average


def run(config_file: Path, out: Path, state: Path, *overrides: str) -> None:
    train(load_config(config_file, list(overrides)), out=out, state=state)


def test_it_is_written_now_and_then_and_last_before_the_rate_falls() -> None:
    written: list[str] = []
    for seconds in (None, 1e-9):
        keeper = StateKeeper(lambda: written.append("state"), seconds)
        assert keeper.due(falling=False) is (seconds is not None)
        assert keeper.due(falling=True)
        keeper.keep()
        assert not keeper.due(falling=True)
        keeper.end()
        assert len(written) == 1
        written.clear()
    StateKeeper(lambda: written.append("state"), None).end()
    assert written == ["state"]


def test_a_run_writes_it_as_it_goes(
    config_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[int] = []
    write = module.write_state
    monkeypatch.setattr(
        "blindsr.training.loop.write_state",
        lambda *rest: (steps.append(rest[-1]["step"]), write(*rest)),
    )
    run(config_file, tmp_path / "a", tmp_path / "a.npz", "state_seconds=1e-9")
    assert steps == [1, 2, 3, 4, 5, 6, 6]
    steps.clear()
    stable = "optimiser={schedule: stable, decay: 0.5}"
    run(config_file, tmp_path / "b", tmp_path / "b.npz", "state_seconds=1e-9", stable)
    assert steps == [1, 2, 3, 4]  # the rate falls from the fourth place on
    assert json.loads((tmp_path / "b.json").read_text())["step"] == 4


def test_a_write_that_is_cut_short_leaves_one_whole_state(
    config_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = tmp_path / "run.npz"
    run(config_file, tmp_path / "run", state)
    whole, content, place = module.atomic_path, state.read_bytes(), [0]  # type: ignore[attr-defined]

    class Killed(BaseException):
        pass

    for killed_at in range(3):  # the JSON of both, the state, its own JSON
        place[0] = 0

        def some(path: Path, last: int = killed_at):  # type: ignore[no-untyped-def]  # noqa: ANN202
            place[0] += 1
            if place[0] > last:
                raise Killed
            return whole(path)

        with monkeypatch.context() as patch, pytest.raises(Killed):
            patch.setattr(module, "atomic_path", some)
            run(config_file, tmp_path / "again", state, "steps=2")
        read_average(state)  # whole
        assert (state.read_bytes() == content) is (killed_at < 2)
    run(config_file, tmp_path / "last", state, "steps=1")  # goes on from what there is
    record = json.loads(state.with_suffix(".json").read_text())
    assert "before" not in record
    assert record["step"] == 6 + 2 + 1


def test_a_run_starts_from_its_average(config_file: Path, tmp_path: Path) -> None:
    state = tmp_path / "run.npz"
    run(config_file, tmp_path / "run", state)
    weights, spec = read_initial(str(state))
    config = load_config(config_file)
    assert spec == config.network
    saved = torch.load(tmp_path / "run" / "weights.ckpt", weights_only=True)["state"]
    for name, tensor in saved.items():
        torch.testing.assert_close(weights[name], tensor, rtol=0, atol=1e-4)
    train(load_config(config_file, [f"init={state}", "steps=1"]), out=tmp_path / "next")
    state.write_bytes(state.read_bytes()[:-1])
    with pytest.raises(ModelError, match="another SHA-256"):
        read_initial(str(state))
