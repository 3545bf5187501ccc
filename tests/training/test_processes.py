"""Runs on several processes: the same as on one, by torchrun, and going on after one of them has died."""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import torch

from blindsr.checkpoint.reading import read_tensors
from blindsr.errors import ConfigError
from blindsr.training import load_config, train
from blindsr.training.cmdsr import CMDSRRecipe
from blindsr.training.processes import Sharded, own_shards

from ..children import finished, started

SETTINGS = ("shards=4", "steps=6", "data.holdout=0", "log_every=1")


class Place:
    """What is asked of a Fabric here."""

    def __init__(self, rank: int, size: int) -> None:
        self.global_rank, self.world_size = rank, size


def test_every_shard_is_one_process_s(config_file: Path) -> None:
    config = load_config(config_file, ["shards=6"])
    for size in (1, 2, 3, 6):
        own: list[Any] = [own_shards(config, Place(rank, size)) for rank in range(size)]  # type: ignore[arg-type]
        assert [shard for shards in own for shard in shards] == list(range(6))
    alone = load_config(config_file)
    assert [list(own_shards(alone, Place(rank, 3))) for rank in range(3)] == [[0], [1], [2]]  # type: ignore[arg-type]
    assert Sharded([[1, 2], [3, 4]])[1] == [2, 4]  # type: ignore[list-item]


def test_a_step_of_two_batches_is_the_mean_of_both(config_file: Path, tmp_path: Path) -> None:
    """By plain gradient descent's stand-in: Adam's first moment is a tenth of the gradient."""
    moments = []
    for settings in (["shards=2"], ["shards=1"], ["shards=1", "seed=1"]):
        last = train(
            load_config(config_file, [*settings, "steps=1", "data.holdout=0"]), tmp_path / settings[-1]
        )
        state = read_tensors(last)["optimisers"]["basenet"]["state"]
        moments.append(state[0]["exp_avg"])
    both, first, other = moments
    assert not torch.allclose(first, other)
    assert not torch.allclose(both, first)  # the second batch counts
    recipe = CMDSRRecipe(load_config(config_file, ["data.holdout=0"]))
    recipe.load_data(torch.device("cpu"))
    torch.manual_seed(0)
    again = CMDSRRecipe(load_config(config_file, ["data.holdout=0"]))
    again.load_data(torch.device("cpu"))
    gradients = []
    for shard in (0, 1):
        inputs = again.prepare(again.dataset(shard)[0])
        (objective, _), *_ = again.losses(again.network, inputs, again.stage(0, 0)).objectives
        gradients.append(torch.autograd.grad(objective, again.parameters["basenet"][0])[0])
    torch.testing.assert_close(both, 0.1 * (gradients[0] + gradients[1]) / 2, rtol=1e-4, atol=1e-7)


def test_what_cannot_be_shared_out_is_told(config_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"shards: with loss\.regression"):
        CMDSRRecipe(load_config(config_file, ["loss.regression=1", "shards=2"]))
    for name, value in {"TORCHELASTIC_RUN_ID": "a", "WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match="one device trains"):
        CMDSRRecipe(load_config(config_file, ["loss.regression=1"]))


def torchrun(*arguments: Any) -> Any:
    """A run of two processes; each start has a store of its own, without the addresses of those that died."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    return finished(
        *command, *arguments, seconds=300, env={**os.environ, "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}
    )


@pytest.mark.slow
def test_the_same_on_one_process_and_on_two(config_file: Path, tmp_path: Path) -> None:
    """Under torchrun; and where one is killed, all begin again at the last checkpoint, to the same end."""
    alone: list[Any] = []
    last = train(load_config(config_file, [*SETTINGS]), tmp_path / "alone", report=alone.append)
    expected = read_tensors(last)

    program = tmp_path / "program.py"
    program.write_text(
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from blindsr.training import load_config, train\n"
        "from blindsr.training.checkpoint import has_checkpoint\n"
        "config, out, *settings = sys.argv[1:]\n"
        "out = Path(out)\n"
        "first = os.environ['TORCHELASTIC_RESTART_COUNT'] == '0'\n"
        "def note(now):\n"
        "    print('losses', now.step, now.losses['pixel'], flush=True)\n"
        "    if first and now.step == 4: os.kill(os.getpid(), signal.SIGKILL)\n"
        "resume = out if has_checkpoint(out) else None\n"
        "train(load_config(Path(config), settings), out, resume=resume, report=note)\n"
    )
    settings = [*SETTINGS, "checkpoint_every=2"]
    done = torchrun("--max-restarts", "1", program, config_file, tmp_path / "two", *settings)
    assert done.returncode == 0, done.stderr
    told = [line.split() for line in done.stdout.splitlines() if line.startswith("losses")]
    assert [int(step) for _, step, _ in told] == [1, 2, 3, 4, 3, 4, 5, 6] or [int(s) for _, s, _ in told] == [
        1, 2, 3, 4, 5, 6
    ]  # fmt: skip
    losses = {int(step): float(loss) for _, step, loss in told}
    for progress in alone:
        assert losses[progress.step] == pytest.approx(progress.losses["pixel"], rel=1e-5)
    found = read_tensors(tmp_path / "two" / last.name)
    assert found["patches"] == expected["patches"] == 6 * 4 * 4
    for name, weight in expected["state"].items():
        torch.testing.assert_close(found["state"][name], weight, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_the_command_under_torchrun(config_file: Path, tmp_path: Path) -> None:
    arguments = ["-m", "blindsr", "train", config_file, "-o", tmp_path / "run", "--resume", "auto", "--json"]
    for steps in (2, 4):
        done = torchrun(
            *arguments, "--set", f"steps={steps}", "--set", "data.holdout=0", "--set", "log_every=1"
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.count(f"step-{steps:08d}.ckpt") == 1  # one speaks for both
    assert '"step": 1' not in done.stdout and '"step": 3' in done.stdout


@pytest.mark.slow
def test_the_example_on_ray_is_the_same_and_survives_a_loss(config_file: Path, tmp_path: Path) -> None:
    """Two processes over gloo, one of which is killed as soon as it is there."""
    pytest.importorskip("ray")
    settings = [*SETTINGS, "shards=2"]
    expected = read_tensors(train(load_config(config_file, settings), tmp_path / "alone"))
    mark = f"BLINDSR_TEST_RUN={uuid4().hex}"
    name, _, value = mark.partition("=")
    script = Path(__file__).parents[2] / "examples" / "train_on_ray.py"
    environment = {name: value, "RAY_USAGE_STATS_ENABLED": "0", "PYTHONUNBUFFERED": "1"}
    command = (sys.executable, script, config_file, tmp_path / "two", "2", *settings)
    with started(*command, env=environment, text=True) as process:
        os.kill(_actor_of(mark), signal.SIGKILL)
        out, err = process.communicate()
    assert process.returncode == 0, err
    assert "all begin again" in out, out
    (last,) = [line for line in out.splitlines() if line.endswith(".ckpt")]
    found = read_tensors(Path(last))
    assert found["patches"] == expected["patches"]
    for key, weight in expected["state"].items():
        torch.testing.assert_close(found["state"][key], weight, rtol=1e-4, atol=1e-5)


def _actor_of(mark: str) -> int:
    """An actor at its training, of the cluster that has a mark in its environment."""
    end = time.monotonic() + 200
    while time.monotonic() < end:
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                own = mark.encode() in (folder / "environ").read_bytes().split(b"\0")
                if own and b"ray::Process.train" in (folder / "cmdline").read_bytes():
                    return int(folder.name)
        time.sleep(0.02)
    raise AssertionError("no actor trains")
