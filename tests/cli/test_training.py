"""`blindsr train`: its options, what it says, and what it refuses."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import yaml

from blindsr.cli.screen import EXIT_USAGE

from ..conftest import Run


@pytest.fixture
def recipe(config_file: Path) -> Path:
    """Three steps that take a moment."""
    content = yaml.safe_load(config_file.read_text())
    config_file.write_text(yaml.safe_dump({**content, "steps": 3}))
    return config_file


def test_it_tells_how_it_goes_and_where_it_ended(run: Run, recipe: Path, tmp_path: Path) -> None:
    code, said, progress = run("train", recipe, "-o", tmp_path / "run")
    assert code == 0
    lines = progress.splitlines()
    told = [re.match(r"step (\d+) \((\d+)%\)  total [\d.e+]+  pixel", line) for line in lines]
    assert [(m[1], m[2]) for m in told if m] == [("1", "33"), ("2", "67"), ("3", "100")]
    assert any(line.startswith("mean") for line in lines)
    assert said == f"{tmp_path / 'run' / 'step-00000003.ckpt'}\n" and Path(said.strip()).exists()


def test_minutes(run: Run, recipe: Path, tmp_path: Path) -> None:
    arguments = "--minutes", "0.02", "--set", "reserve=0.2", "--set", "steps=1000000"
    more = "--set", "log_every=1000000"
    code, said, progress = run("train", recipe, "-o", tmp_path / "run", *arguments, *more)
    assert code == 0 and re.search(r"^step \d+ \(100%\)", progress, re.MULTILINE)
    assert Path(said.splitlines()[-1]).exists() and (tmp_path / "run" / "weights.ckpt").exists()


@pytest.mark.parametrize(
    ("minutes", "fault"),
    [
        ("0.4", "reserve: 25 seconds of 0.4 minutes leave none to train in"),
        ("0", "minutes: input should be greater than 0"),
        ("-1", "minutes: input should be greater than 0"),
        ("nan", "minutes: input should be"),
        ("inf", "minutes: input should be"),
    ],
)
def test_minutes_that_cannot_be(run: Run, recipe: Path, tmp_path: Path, minutes: str, fault: str) -> None:
    code, _, error = run("train", recipe, "-o", tmp_path / "run", "--minutes", minutes)
    assert code == EXIT_USAGE and fault in error and len(error.splitlines()) == 1
    assert not (tmp_path / "run").exists()


def test_a_state_goes_on_from_run_to_run(run: Run, recipe: Path, tmp_path: Path) -> None:
    state = tmp_path / "tiny.npz"
    for number in (1, 2):
        code, said, _ = run("train", recipe, "-o", tmp_path / f"run{number}", "--state", state)
        assert code == 0 and said.splitlines()[-1].endswith(f"step-{3 * number:08d}.ckpt")
        record = json.loads((tmp_path / "tiny.json").read_text())
        assert record["step"] == 3 * number and len(record["runs"]) == number


def test_two_places_to_go_on_from_are_refused(run: Run, recipe: Path, tmp_path: Path) -> None:
    state = tmp_path / "tiny.npz"
    first = tmp_path / "run"
    assert run("train", recipe, "-o", first, "--state", state)[0] == 0
    kept = state.read_bytes()
    more = "--resume", first, "--set", "steps=4"
    code, _, error = run("train", recipe, "-o", tmp_path / "b", "--state", state, *more)
    assert code == EXIT_USAGE and state.read_bytes() == kept
    assert error == "error: --resume and --state both say where to go on from; give one of them\n"
    other = tmp_path / "other.npz"  # one that is only to be written is no second place
    assert run("train", recipe, "-o", tmp_path / "b", "--state", other, *more)[0] == 0
    assert json.loads(other.with_suffix(".json").read_text())["step"] == 4


def test_a_place_for_no_state_is_refused_before_training(run: Run, recipe: Path, tmp_path: Path) -> None:
    code, _, error = run("train", recipe, "-o", tmp_path / "run", "--state", tmp_path / "a.ckpt")
    assert code == EXIT_USAGE and "a state is an .npz file" in error and len(error.splitlines()) == 1
    assert not (tmp_path / "run").exists()


def test_the_folder_of_a_state_is_made(run: Run, recipe: Path, tmp_path: Path) -> None:
    state = tmp_path / "states" / "x2" / "tiny.npz"
    assert run("train", recipe, "-o", tmp_path / "run", "--state", state)[0] == 0
    assert state.exists() and state.with_suffix(".json").exists()


def test_a_damaged_state_is_refused_and_stays(run: Run, recipe: Path, tmp_path: Path) -> None:
    state = tmp_path / "tiny.npz"
    np.savez(state, weights=np.zeros(3))
    before = state.read_bytes()
    code, _, error = run("train", recipe, "-o", tmp_path / "run", "--state", state)
    assert code == EXIT_USAGE and "tiny.json: cannot be read" in error and len(error.splitlines()) == 1
    assert state.read_bytes() == before
