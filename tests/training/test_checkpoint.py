"""Files of a run: when they are written, which one is the newest, and those of former formats."""

from __future__ import annotations

import itertools
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from blindsr.checkpoint.description import support_patch
from blindsr.checkpoint.reading import load_network, read_tensors
from blindsr.errors import ConfigError, ModelError
from blindsr.export.graphs import export_checkpoint
from blindsr.training import Progress, load_config, train
from blindsr.training import checkpoint as checkpoint_module
from blindsr.training.checkpoint import LATEST, WEIGHTS, Checkpoints, Position, newest_checkpoint
from blindsr.training.cmdsr import CMDSRRecipe
from blindsr.training.ema import WeightAverage
from blindsr.training.validation import Validation

from ..children import BLINDSR, started


class StoppedError(Exception):
    """What a test raises within a run."""


@pytest.fixture
def files(config_file: Path, tmp_path: Path) -> Checkpoints:
    config: Any = load_config(config_file, ["checkpoint_every=10", "checkpoint_seconds=25", "keep=2"])
    recipe = CMDSRRecipe(config)
    return Checkpoints(tmp_path / "run", config, recipe, {}, WeightAverage(recipe.network, 0.9))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.ckpt"))


def test_a_file_is_due_by_steps_or_by_time(files: Checkpoints, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.monotonic()
    monkeypatch.setattr(checkpoint_module.time, "monotonic", lambda: now)  # type: ignore[attr-defined]
    files.write(LATEST, Position(1), [])
    assert files.due(Position(9)) is None and files.due(Position(10)) == "step-00000010.ckpt"
    now += 24.9
    assert files.due(Position(9)) is None
    now += 0.2
    assert files.due(Position(9)) == LATEST and files.due(Position(20)) == "step-00000020.ckpt"
    files.write(LATEST, Position(9), [])
    assert files.due(Position(11)) is None  # counted from the last one


def test_the_latest_goes_when_a_later_one_is_there(files: Checkpoints) -> None:
    files.write("step-00000010.ckpt", Position(10), [])
    files.write(LATEST, Position(13), [])
    assert newest_checkpoint(files.folder).name == LATEST
    assert read_tensors(newest_checkpoint(files.folder))["step"] == 13
    files.write("step-00000020.ckpt", Position(20), [])
    assert names(files.folder) == ["step-00000010.ckpt", "step-00000020.ckpt"]
    assert newest_checkpoint(files.folder).name == "step-00000020.ckpt"
    files.write(LATEST, Position(23), [])
    assert names(files.folder) == [
        LATEST,
        "step-00000010.ckpt",
        "step-00000020.ckpt",
    ]  # two by steps are kept


def test_what_was_just_written_is_never_removed(files: Checkpoints) -> None:
    for step in (800, 900):  # of another run in the same folder
        files.write(files.name(Position(step)), Position(step), [])
    assert files.write(files.name(Position(10)), Position(10), []).exists()
    assert names(files.folder) == ["step-00000010.ckpt", "step-00000900.ckpt"]


def test_a_run_writes_the_latest_by_time(config_file: Path, tmp_path: Path) -> None:
    seen: dict[int, list[str]] = {}
    settings = load_config(config_file, ["checkpoint_seconds=1e-6", "checkpoint_every=4", "steps=5"])
    train(settings, tmp_path / "run", report=lambda p: seen.update({p.step: names(tmp_path / "run")}))
    by_steps = "step-00000004.ckpt"
    assert seen == {
        1: [LATEST], 2: [LATEST], 3: [LATEST], 4: [by_steps],
        5: [by_steps, "step-00000005.ckpt", WEIGHTS],
    }  # fmt: skip
    assert names(tmp_path / "run") == [by_steps, "step-00000005.ckpt", WEIGHTS]


@pytest.mark.parametrize(("every", "name"), [(3, "step-00000003.ckpt"), (100, LATEST)])
def test_a_checkpoint_comes_before_validation(
    config_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, every: int, name: str
) -> None:
    def fail(*_: Any) -> None:
        raise StoppedError

    monkeypatch.setattr(Validation, "run", fail)
    with pytest.raises(StoppedError):
        train(load_config(config_file, [f"checkpoint_every={every}"]), tmp_path / "run")
    assert names(tmp_path / "run") == [name]
    assert read_tensors(newest_checkpoint(tmp_path / "run"))["step"] == 3


def test_without_validation_nothing_is_written_for_it(config_file: Path, tmp_path: Path) -> None:
    seen = []

    def note(progress: Progress) -> None:
        seen.append((progress.step, names(tmp_path / "run")))

    settings = load_config(config_file, ["data.holdout=0", "validation.every=2", "log_every=3"])
    last = train(settings, tmp_path / "run", report=note)
    assert seen == [(3, []), (6, [last.name, WEIGHTS])]


def test_a_run_that_is_done_is_its_own_last_checkpoint(config_file: Path, tmp_path: Path) -> None:
    first = train(load_config(config_file), tmp_path / "run")
    reports: list[Progress] = []
    again = train(load_config(config_file), tmp_path / "run", resume=tmp_path / "run", report=reports.append)
    assert again == first and again.exists() and not reports


@pytest.mark.slow
def test_checkpoints_of_the_former_format_are_resumed(any_config_file: Path, tmp_path: Path) -> None:
    """They hold a step, and no place, phase, patches and runs."""
    step = 4
    whole: list[Progress] = []
    settings = load_config(any_config_file, [f"checkpoint_every={step}"])
    train(settings, tmp_path / "whole", report=whole.append)
    path = tmp_path / "whole" / f"step-{step:08d}.ckpt"
    content = read_tensors(path)
    former = {k: v for k, v in content.items() if k not in ("place", "phase", "patches", "runs")}
    assert len(former) == len(content) - 4
    torch.save(former, tmp_path / "former.ckpt")
    rest: list[Progress] = []
    last = train(settings, tmp_path / "rest", resume=tmp_path / "former.ckpt", report=rest.append)
    assert [p.losses for p in rest] == [p.losses for p in whole[step:]]
    found, wanted = read_tensors(last), read_tensors(tmp_path / "whole" / "step-00000006.ckpt")
    assert {k: found[k] for k in ("step", "place", "phase", "patches")} == {
        k: wanted[k] for k in ("step", "place", "phase", "patches")
    }


def test_what_is_no_checkpoint_of_a_run_is_refused(config_file: Path, tmp_path: Path) -> None:
    train(load_config(config_file), tmp_path / "run")
    with pytest.raises(ModelError, match="not a checkpoint of a training run"):
        train(load_config(config_file), tmp_path / "b", resume=tmp_path / "run" / WEIGHTS)
    with pytest.raises(ConfigError, match="other criteria"):
        train(load_config(config_file, ["loss.regression=1"]), tmp_path / "c", resume=tmp_path / "run")


def test_the_weights_alone_are_the_average_and_start_another_run(config_file: Path, tmp_path: Path) -> None:
    last = read_tensors(train(load_config(config_file), tmp_path / "run"))
    weights = tmp_path / "run" / WEIGHTS
    network, spec = load_network(weights)
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, last["ema"][name])
    assert spec == last["network"]
    assert weights.stat().st_size < (tmp_path / "run" / "step-00000006.ckpt").stat().st_size / 2
    gentle = "optimiser.lr=1e-9", "condition_optimiser.lr=1e-9", "steps=1", f"init={weights}"
    begun = read_tensors(train(load_config(config_file, list(gentle)), tmp_path / "second"))
    torch.testing.assert_close(begun["state"], last["ema"], atol=1e-6, rtol=0)


@pytest.mark.slow
def test_the_weights_alone_are_exported_as_the_checkpoint_is(config_file: Path, tmp_path: Path) -> None:
    from blindsr.models.catalogue import find_model

    train(load_config(config_file), tmp_path / "run")
    weights = tmp_path / "run" / WEIGHTS
    assert support_patch(read_tensors(weights)) == 12
    model = find_model(str(export_checkpoint(weights, tmp_path / "model")))
    assert model.support is not None and model.support.patch == 12
    assert model.provenance["steps"] == 6
    alone, of_run = (load_network(path) for path in (weights, tmp_path / "run" / "step-00000006.ckpt"))
    assert alone[1] == of_run[1]
    for name, tensor in of_run[0].state_dict().items():
        assert torch.equal(alone[0].state_dict()[name], tensor), name


@pytest.mark.slow
def test_a_run_that_is_killed_loses_no_more_than_it_should(config_file: Path, tmp_path: Path) -> None:
    """SIGKILL a real process some time after its latest checkpoint is there, and resume."""
    out, seconds = tmp_path / "run", 0.3
    settings = [
        "steps=100000", f"checkpoint_seconds={seconds}", "data.holdout=0", "checkpoint_every=1000000"
    ]  # fmt: skip
    command = [*BLINDSR, "train", config_file, "-o", out]
    command += [part for setting in settings for part in ("--set", setting)]
    told: list[tuple[float, int]] = []
    with started(
        *command, stderr=subprocess.STDOUT, text=True, env={"PYTHONUNBUFFERED": "1", "COLUMNS": "200"}
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            found = re.match(r"step (\d+) ", line)
            if found:
                told.append((time.monotonic(), int(found[1])))
            if told and told[-1][0] > told[0][0] + 4 * seconds:
                break
        process.send_signal(signal.SIGKILL)
        killed = time.monotonic()
    assert process.returncode == -signal.SIGKILL and told
    assert names(out) == [LATEST]
    step = read_tensors(out / LATEST)["step"]
    lost = [when for when, at in told if at > step]
    # A checkpoint, and a line, take their time, too, which other work on the machine makes long.
    longest = max(after - before for (before, _), (after, _) in itertools.pairwise(told))
    assert not lost or killed - lost[0] < seconds + 2 * longest + 0.2
    assert step > told[0][1]
    reports: list[Progress] = []
    settings[0] = f"steps={step + 2}"
    last = train(load_config(config_file, settings), out, resume=out, report=reports.append)
    assert [p.step for p in reports] == [step + 1, step + 2]
    assert last.name == f"step-{step + 2:08d}.ckpt"
