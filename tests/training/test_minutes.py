"""Runs by the clock: they end in time, at the end of their schedule, whatever is resumed or interrupted."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from blindsr.checkpoint.reading import read_tensors
from blindsr.errors import ConfigError
from blindsr.training import Progress, load_config, train
from blindsr.training import loop as loop_module
from blindsr.training.checkpoint import WEIGHTS
from blindsr.training.loop import RECIPES
from blindsr.training.schedule import Clock
from blindsr.training.step import TrainingStep

BRIEF = ["minutes=0.03", "reserve=0.3", "steps=1000000", "data.holdout=0", "log_every=1000000"]
"""1.5 seconds."""
STABLE = [f"{name}.{setting}" for name in ("optimiser", "condition_optimiser")
          for setting in ("schedule=stable", "decay=0.25", "floor=0.1", "lr=1e-3")]  # fmt: skip


@pytest.fixture
def rates(monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, float]]:
    """Place and learning rate of every step of the runs to come."""
    told: list[tuple[float, float]] = []
    call = TrainingStep.__call__

    def note(self: TrainingStep, at: Any, stage: Any, inputs: Any) -> None:
        call(self, at, stage, inputs)
        told.append((at.place, self.optimisers[stage.groups[0]].param_groups[0]["lr"]))

    monkeypatch.setattr(TrainingStep, "__call__", note)
    return told


class Ticking(Clock):
    """A clock on which every step takes a second."""

    def __init__(self, steps: int, minutes: float | None, reserve: float, begun: float) -> None:
        self.ticks = 0.0
        super().__init__(steps, minutes, reserve, begun, lambda: self.ticks)

    def place(self, taken: int) -> float:
        self.ticks = float(taken)
        return super().place(taken)


@pytest.fixture
def ticking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop_module, "Clock", Ticking)
    monkeypatch.setattr(loop_module, "time", SimpleNamespace(monotonic=float))  # loading takes none


TICKS = ["minutes=1", "reserve=40", "steps=1000", "data.holdout=0"]
"""20 steps of a ticking clock."""


@pytest.mark.slow
def test_it_ends_in_time_with_all_its_files(
    config_file: Path, tmp_path: Path, rates: list[tuple[float, float]], own_time: None
) -> None:
    state, reports = tmp_path / "state.npz", []
    begun = time.monotonic()
    last = train(
        load_config(config_file, [*BRIEF, *STABLE, "checkpoint_every=1000000"]),
        tmp_path / "run",
        report=reports.append,
        state=state,
    )
    assert 1.2 < time.monotonic() - begun < 1.8 + 3.0  # a step more and the files
    taken = len(rates)
    assert taken > 10 and last.name == f"step-{taken:08d}.ckpt"
    assert sorted(path.name for path in (tmp_path / "run").glob("*.ckpt")) == [last.name, WEIGHTS]
    assert reports[-1].step == taken and reports[-1].share == 1
    places = [place for place, _ in rates]
    assert places[0] == 0 and places == sorted(places) and places[-1] < 1_000_000
    assert rates[0][1] == 1e-3 and rates[-1][1] < 3e-4  # all but at the floor
    assert read_tensors(last)["place"] == 1_000_000
    record = json.loads(state.with_suffix(".json").read_text())
    assert 0 < record["step"] < taken and 0 < record["runs"][0]["seconds"] < 5


def test_the_rate_ends_at_its_floor(
    config_file: Path, tmp_path: Path, rates: list[tuple[float, float]], ticking: None
) -> None:
    train(load_config(config_file, [*TICKS, *STABLE]), tmp_path / "run")
    assert [place for place, _ in rates] == [50.0 * i for i in range(20)]
    found = [rate for _, rate in rates]
    assert found[:16] == [1e-3] * 16
    assert found[16:] == pytest.approx([8.2e-4, 6.4e-4, 4.6e-4, 2.8e-4])  # and 1e-4 after the last step


def test_the_state_of_a_stable_run_is_that_before_the_fall(
    config_file: Path, tmp_path: Path, ticking: None
) -> None:
    state = tmp_path / "state.npz"
    settings = load_config(config_file, [*TICKS, *STABLE, "checkpoint_every=1", "keep=99"])
    last = train(settings, tmp_path / "run", state=state)
    step = json.loads(state.with_suffix(".json").read_text())["step"]
    assert step == 16 and last.name == "step-00000020.ckpt"  # the 17th is the first with a lower rate
    trunk = read_tensors(tmp_path / "run" / "step-00000016.ckpt")
    settings = load_config(config_file, ["optimiser.lr=1e-12", "condition_optimiser.lr=1e-12", "steps=1"])
    begun = read_tensors(train(settings, tmp_path / "second", state=state))
    torch.testing.assert_close(begun["state"], trunk["state"], atol=1e-7, rtol=0)
    weights, end = read_tensors(tmp_path / "run" / WEIGHTS), read_tensors(last)
    for name, tensor in weights["state"].items():
        assert torch.equal(tensor, end["ema"][name])
    name = "basenet.input_conv.weight"
    assert not torch.allclose(weights["state"][name], trunk["ema"][name], atol=1e-5)


@pytest.mark.parametrize("schedule", ["cosine", "multistep"])
def test_the_state_of_other_runs_is_that_of_their_end(
    config_file: Path, tmp_path: Path, ticking: None, schedule: str
) -> None:
    state = tmp_path / "state.npz"
    train(load_config(config_file, [*TICKS, f"optimiser.schedule={schedule}"]), tmp_path / "run", state=state)
    assert json.loads(state.with_suffix(".json").read_text())["step"] == 20


@pytest.mark.parametrize(("interrupted", "kept"), [(8, 9), (18, 16)])
def test_ctrl_c_before_and_in_the_fall(
    config_file: Path, tmp_path: Path, ticking: None, interrupted: int, kept: int
) -> None:
    def interrupt(progress: Progress) -> None:
        if progress.step == interrupted:
            signal.raise_signal(signal.SIGINT)

    state = tmp_path / "state.npz"
    settings = load_config(config_file, [*TICKS, *STABLE])
    last = train(settings, tmp_path / "run", report=interrupt, state=state)
    assert last.name == f"step-{interrupted + 1:08d}.ckpt"
    assert json.loads(state.with_suffix(".json").read_text())["step"] == kept


def test_a_resumed_run_has_its_minutes_for_the_rest(
    config_file: Path, tmp_path: Path, rates: list[tuple[float, float]], ticking: None
) -> None:
    settings = load_config(config_file, [*TICKS, *STABLE, "checkpoint_every=5", "keep=9"])
    train(settings, tmp_path / "run")
    rates.clear()
    reports: list[Progress] = []
    resume = tmp_path / "run" / "step-00000010.ckpt"
    last = train(settings, tmp_path / "rest", resume=resume, report=reports.append)
    assert [place for place, _ in rates] == [500 + 25.0 * i for i in range(20)]
    assert last.name == "step-00000030.ckpt" and reports[-1].share == 1


@pytest.mark.slow
def test_a_run_by_minutes_goes_on_by_steps_and_the_other_way_round(
    config_file: Path, tmp_path: Path, rates: list[tuple[float, float]], ticking: None
) -> None:
    by_minutes = load_config(config_file, ["minutes=1", "reserve=40", "steps=30", "checkpoint_every=5"])
    by_steps = load_config(config_file, ["steps=30", "checkpoint_every=5"])
    train(by_minutes, tmp_path / "a")
    rates.clear()
    last = train(by_steps, tmp_path / "b", resume=tmp_path / "a" / "step-00000015.ckpt")
    assert [place for place, _ in rates] == [22.5 + i for i in range(8)]
    assert last.name == "step-00000023.ckpt"
    rates.clear()
    last = train(by_minutes, tmp_path / "c", resume=tmp_path / "b" / "step-00000020.ckpt")
    assert [place for place, _ in rates] == pytest.approx([27.5 + i / 8 for i in range(20)])
    assert last.name == "step-00000040.ckpt"


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_both_stages_of_cria_have_their_share(
    cria_config_file: Path, tmp_path: Path, ticking: None, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batches stay in order where a phase ends, though workers have drawn some ahead."""
    recipe, drawn = RECIPES["cria"], []
    prepare = recipe.prepare  # type: ignore[attr-defined]

    def note(self: Any, batch: Any) -> Any:
        drawn.append(batch.step)
        return prepare(self, batch)

    monkeypatch.setattr(recipe, "prepare", note)
    reports: list[Progress] = []
    settings = load_config(cria_config_file, [*TICKS, "pixel_steps=600", f"data.workers={workers}"])
    train(settings, tmp_path / "run", report=reports.append)
    assert drawn == list(range(20))
    assert ["discriminator" in p.losses for p in reports] == [False] * 12 + [True] * 8


def test_loading_is_part_of_the_minutes(
    config_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reserves: list[float] = []

    class Noted(Clock):
        def __init__(self, steps: int, minutes: float | None, reserve: float, begun: float) -> None:
            reserves.append(reserve)
            super().__init__(1, None, reserve, begun)

    monkeypatch.setattr(loop_module, "Clock", Noted)
    load = RECIPES["cmdsr"].load_data  # type: ignore[attr-defined]

    def slow(self: Any, device: Any) -> None:
        time.sleep(0.3)
        load(self, device)

    monkeypatch.setattr(RECIPES["cmdsr"], "load_data", slow)
    begun = time.monotonic()
    train(load_config(config_file, BRIEF), tmp_path / "run")
    assert 0.3 + 0.3 <= reserves[0] <= 0.3 + time.monotonic() - begun


def test_minutes_that_are_all_in_reserve_are_refused(config_file: Path) -> None:
    with pytest.raises(ConfigError, match=r"reserve: 25 seconds of 0\.4 minutes leave none to train in"):
        load_config(config_file, ["minutes=0.4"])
    assert load_config(config_file, ["minutes=0.5"]).minutes == 0.5
    assert load_config(config_file, ["minutes=0.4", "reserve=5"]).reserve == 5
