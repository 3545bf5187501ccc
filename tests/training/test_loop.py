"""The loop: exact resumption, Ctrl-C, non-finite losses, and what each step updates."""

from __future__ import annotations

import itertools
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from blindsr.checkpoint.reading import load_network, read_tensors
from blindsr.errors import ConfigError, InputError, ModelError
from blindsr.training import Progress, load_config, train
from blindsr.training.cmdsr import CMDSRRecipe
from blindsr.training.loop import TrainingError
from blindsr.training.recipe import Recipe

from ..children import finished


def run(
    config_file: Path, out: Path, *overrides: str, **arguments: Any
) -> tuple[list[Progress], dict[str, Any]]:
    reports: list[Progress] = []
    last = train(load_config(config_file, list(overrides)), out, report=reports.append, **arguments)
    return reports, read_tensors(last)


def first_losses(recipe: Recipe) -> dict[str, torch.Tensor]:
    """What the first step of a recipe logs."""
    recipe.load_data(torch.device("cpu"))
    inputs = recipe.prepare(recipe.dataset(0, recipe.phase(0))[0])
    return recipe.losses(recipe.network, inputs, recipe.stage(0, 0)).logged


def assert_same(one: Any, other: Any) -> None:
    """To the last bit, through nested dictionaries and lists."""
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other)
    elif isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_same(one[key], other[key])
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(other)
        for a, b in zip(one, other, strict=True):
            assert_same(a, b)
    else:
        assert one == other


def assert_same_training(rest: dict[str, Any], whole: dict[str, Any]) -> None:
    """All but what tells of the runs: a resumed one is two."""
    runs = [state.pop("runs") for state in (rest, whole)]
    assert [sum(run["steps"] for run in told) for told in runs] == [whole["step"]] * 2
    assert [sum(run["patches"] for run in told) for told in runs] == [whole["patches"]] * 2
    assert [len(told) for told in runs] == [2, 1]
    assert_same(rest, whole)


def test_resumed_equals_uninterrupted_to_the_last_bit(any_config_file: Path, tmp_path: Path) -> None:
    config_file = any_config_file
    whole, whole_state = run(config_file, tmp_path / "whole", "checkpoint_every=3")
    assert (tmp_path / "whole" / "step-00000003.ckpt").exists()
    torch.manual_seed(99)  # whatever the process did before
    rest, rest_state = run(config_file, tmp_path / "rest", resume=tmp_path / "whole" / "step-00000003.ckpt")
    assert [p.step for p in rest] == [4, 5, 6]
    assert [p.losses for p in rest] == [p.losses for p in whole[3:]]
    assert rest[-1].scores == whole[-1].scores and whole[-1].scores is not None
    del whole_state["config"], rest_state["config"]  # checkpoint_every differs
    assert_same_training(rest_state, whole_state)


def test_ctrl_c_leaves_a_checkpoint_to_go_on_from(any_config_file: Path, tmp_path: Path) -> None:
    config_file = any_config_file
    whole, whole_state = run(config_file, tmp_path / "whole")

    def interrupt(progress: Progress) -> None:
        if progress.step == 2:
            signal.raise_signal(signal.SIGINT)

    handler = signal.getsignal(signal.SIGINT)
    last = train(load_config(config_file), tmp_path / "cut", report=interrupt)
    assert last.name == "step-00000003.ckpt"  # the step in hand was finished
    assert signal.getsignal(signal.SIGINT) is handler
    rest, rest_state = run(config_file, tmp_path / "cut", resume=tmp_path / "cut")
    assert [p.losses for p in rest] == [p.losses for p in whole[3:]]
    assert_same_training(rest_state, whole_state)


def test_a_step_updates_what_it_should(config_file: Path, tmp_path: Path) -> None:
    states = []
    for steps in (1, 2, 3):
        _, state = run(config_file, tmp_path / str(steps), f"steps={steps}", "ema=0")
        states.append(state["state"])
    for before, after, condition_moves in ((states[0], states[1], False), (states[1], states[2], True)):
        for key in before:
            moved = not torch.equal(before[key], after[key])
            if key.startswith("condition_net") and not condition_moves:
                assert not moved, key
            elif key.startswith(("basenet.input_conv", "modulations")):
                assert moved, key
        moved = any(not torch.equal(before[k], after[k]) for k in before if k.startswith("condition_net"))
        assert moved == condition_moves


def test_a_group_can_wait(config_file: Path, tmp_path: Path) -> None:
    states = []
    for steps in (1, 2, 3):
        settings = f"steps={steps}", "ema=0", "optimiser.after=2", "loss.condition_every=1"
        _, state = run(config_file, tmp_path / str(steps), *settings)
        states.append(state["state"])
    for (before, after), waits in zip(itertools.pairwise(states), (True, False), strict=True):
        moved = {key for key in before if not torch.equal(before[key], after[key])}
        assert any(key.startswith("condition_net") for key in moved)
        assert not waits or all(key.startswith("condition_net") for key in moved), moved
        assert waits or "basenet.input_conv.weight" in moved


def test_what_is_read_of_a_task_teaches_the_condition_net(config_file: Path, tmp_path: Path) -> None:
    alone = "loss.contrastive=0", "loss.condition_pixel=0"
    gradients = []
    for weight in (1.0, 3.0):
        torch.manual_seed(0)
        recipe = CMDSRRecipe(load_config(config_file, [*alone, f"loss.regression={weight}"]))
        first_losses(recipe)["total"].backward()
        gradients.append([p.grad.clone() for p in recipe.parameters["condition"] if p.grad is not None])
    for one, three in zip(*gradients, strict=True):
        torch.testing.assert_close(3 * one, three)
    assert all(float(g.abs().max()) > 0 for g in gradients[0])
    _, state = run(config_file, tmp_path / "run", "loss.regression=1", "steps=1")
    assert set(state["companions"]) == {"reader"}  # a resumed run goes on with it
    with pytest.raises(ConfigError, match="one device"):
        CMDSRRecipe(load_config(config_file, ["loss.regression=1", "devices=2"]))


def test_the_pixel_loss_reaches_the_condition_net_with_its_weight(config_file: Path) -> None:

    gradients = []
    for weight in (0.1, 1.0, 0.0):
        config = load_config(config_file, [f"loss.condition_pixel={weight}", "loss.contrastive=0"])
        torch.manual_seed(0)
        recipe = CMDSRRecipe(config)
        first_losses(recipe)["total"].backward()
        gradients.append(
            {
                name: [p.grad.clone() for p in group if p.grad is not None]
                for name, group in recipe.parameters.items()
            }
        )
    tenth, whole, none = gradients
    for a, b in zip(tenth["condition"], whole["condition"], strict=True):
        torch.testing.assert_close(10 * a, b)
    assert any(float(g.abs().max()) > 0 for g in whole["condition"])
    assert all(float(g.abs().max()) == 0 for g in none["condition"])
    assert_same(tenth["basenet"], none["basenet"])


def test_training_learns(config_file: Path, tmp_path: Path) -> None:
    reports, state = run(config_file, tmp_path / "run", "steps=60", "log_every=20", "optimiser.lr=3e-3")
    assert reports[-1].losses["pixel"] < reports[0].losses["pixel"]
    assert state["step"] == 60


def test_what_a_run_leaves(config_file: Path, tmp_path: Path) -> None:
    reports, state = run(config_file, tmp_path / "run", "checkpoint_every=1", "keep=2")
    out = tmp_path / "run"
    assert sorted(p.name for p in out.glob("*.ckpt")) == [
        "step-00000005.ckpt",
        "step-00000006.ckpt",
        "weights.ckpt",
    ]
    assert sorted(p.name for p in out.glob("*.png")) == ["validation-00000003.png", "validation-00000006.png"]
    assert list((out / "tensorboard").iterdir())
    tables = {p.step: str(p.scores) for p in reports if p.scores}
    assert set(tables) == {3, 6}
    assert "blur=1.3,noise=15" in tables[6]
    network, _ = load_network(out / "step-00000006.ckpt")
    assert_same(dict(network.state_dict()), state["ema"])


def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_batch(
    config_file: Path, tmp_path: Path
) -> None:
    with pytest.raises(TrainingError) as caught:
        run(config_file, tmp_path / "run", "optimiser.lr=1e30", "log_every=3", "checkpoint_every=3")
    assert "step 1:" in str(caught.value) or "step 2:" in str(caught.value)
    assert "scale=2" in str(caught.value)  # a degradation, as it is written
    assert not list((tmp_path / "run").glob("*.ckpt"))


def test_a_run_can_start_from_the_weights_of_another(config_file: Path, tmp_path: Path) -> None:
    _, first = run(config_file, tmp_path / "first")
    checkpoint = tmp_path / "first" / "step-00000006.ckpt"
    _, second = run(
        config_file, tmp_path / "second", "steps=1", f"init={checkpoint}", "optimiser.warmup=10000",
        "optimiser.lr=1e-9", "condition_optimiser.lr=1e-9",
    )  # fmt: skip
    for name, weight in second["state"].items():
        torch.testing.assert_close(weight, first["ema"][name], atol=1e-6, rtol=0)
    _, larger = run(
        config_file, tmp_path / "larger", "steps=1", f"init={checkpoint}", "optimiser.lr=1e-9",
        "condition_optimiser.lr=1e-9", "network.basenet.scale=4", "data.scale=4",
    )  # fmt: skip
    others = set()
    for name, weight in larger["state"].items():
        if weight.shape == first["ema"][name].shape:
            torch.testing.assert_close(weight, first["ema"][name], atol=1e-6, rtol=0)
        else:
            others.add(name.rpartition(".")[0])
    assert others and all("upsampler" in name or "output_conv" in name for name in others)
    other_net = "network.condition={name: attentive, size: 8, width: 4}"
    _, third = run(
        config_file, tmp_path / "other", "steps=1", f"init={checkpoint}", "optimiser.lr=1e-9",
        "condition_optimiser.lr=1e-9", "data.patch=24", "data.margin=0", other_net,
    )  # fmt: skip
    for name, weight in first["ema"].items():
        if not name.startswith("condition_net"):
            torch.testing.assert_close(third["state"][name], weight, atol=1e-6, rtol=0)
    for change in ("network.basenet.channels=8", "network.condition=null", "network.condition.size=9"):
        with pytest.raises(ConfigError, match="its network is"):
            run(config_file, tmp_path / "third", f"init={checkpoint}", change)
    with pytest.raises(ConfigError, match="its network is"):  # a shipped model's name
        run(config_file, tmp_path / "third", "init=cmdsr-x4")
    with pytest.raises(ModelError):
        run(config_file, tmp_path / "third", "init=nothing-of-that-name")


def test_without_a_condition_net(config_file: Path, tmp_path: Path) -> None:
    reports, _ = run(config_file, tmp_path / "run", "network.condition=null")
    assert set(reports[0].losses) == {"total", "pixel"}


def test_faults_are_named(config_file: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"data\.patch 12: the ConditionNet needs 23 or more"):
        run(config_file, tmp_path, "network.condition={name: attentive, size: 8, width: 4}")
    with pytest.raises(ConfigError, match=r"data\.scale is 4"):
        run(config_file, tmp_path, "data.scale=4")
    with pytest.raises(ModelError, match="no checkpoint"):
        run(config_file, tmp_path / "a", resume=tmp_path)
    _, _ = run(config_file, tmp_path / "run", "steps=1")
    with pytest.raises(ConfigError, match="it was trained as"):
        run(config_file, tmp_path / "b", "network.basenet.channels=8", resume=tmp_path / "run")


def test_test_pictures_are_not_trained_on(config_file: Path, photo_folder: Path) -> None:
    photo_folder.rename(photo_folder.with_name("Set5"))
    config = load_config(config_file, [f"data.photos={photo_folder.with_name('Set5')}"])
    with pytest.raises(InputError, match=r"0\.png: a test picture of Set5 \(and 4 more files\)"):
        train(config)


@pytest.mark.slow
def test_two_processes_train_and_end_together(config_file: Path, tmp_path: Path) -> None:
    """DDP on two CPU processes, in bf16 as well: both agree, and end together.

    By the clock of one of them, whatever the other's says, and when one of them is asked to.
    """
    script = (
        "import os, signal, sys; from pathlib import Path; from blindsr.training import load_config, train\n"
        "def note(p):\n    print('loss', p.losses['pixel'])\n"
        "    if p.step == 5 and sys.argv[3] == 'signal': signal.raise_signal(signal.SIGTERM)\n"
        "more = {'clock': ['minutes=0.03', 'reserve=0.5'],"
        " 'signal': ['steps=100000', 'precision=bf16-mixed']}[sys.argv[3]]\n"
        "settings = ['devices=2', 'data.holdout=0', 'checkpoint_seconds=0.1', *more]\n"
        "config = load_config(Path(sys.argv[1]), settings)\n"
        "print('last', train(config, Path(sys.argv[2]), report=note).name)\n"
    )
    program = tmp_path / "program.py"  # a file, because each process starts the others by running it again
    program.write_text(script)
    for how in ("clock", "signal"):
        done = finished(sys.executable, program, config_file, tmp_path / how, how)
        assert done.returncode == 0, done.stderr
        kept = sorted(path.name for path in (tmp_path / how).glob("*.ckpt"))
        assert len(kept) == 2 and kept[1] == "weights.ckpt"
        assert how == "clock" or kept[0] == "step-00000006.ckpt"
        assert done.stdout.count(kept[0]) == 1  # one process reports
    assert done.stdout.count("loss") == 6 and "nan" not in done.stdout
    state = read_tensors(tmp_path / "signal" / kept[0])
    assert state["step"] == 6 and state["patches"] == 2 * 6 * 4  # of both
    assert [run["patches"] for run in state["runs"]] == [48]
