"""A step as one function: no waiting for the device, no broken graphs, and losses that are summed there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from blindsr.training import load_config, train
from blindsr.training.checkpoint import Position
from blindsr.training.ema import WeightAverage
from blindsr.training.loop import RECIPES
from blindsr.training.meter import LossMeter
from blindsr.training.recipe import Recipe, Stage
from blindsr.training.step import TrainingStep

CPU = torch.device("cpu")
SETTINGS = {
    "cmdsr": ["loss.structural=50", "loss.regression=0.3", "data.degrade=batched"],
    "cria": ["pixel_steps=2", "contrast.regression=structure"],
    "unified": [],
}


def recipe_of(config_file: Path, *overrides: str) -> tuple[Recipe, Any]:
    config = load_config(config_file)
    config = load_config(config_file, [*SETTINGS[config.recipe], *overrides])
    torch.manual_seed(0)
    recipe = RECIPES[config.recipe](config)
    recipe.load_data(CPU)
    return recipe, config


class Waiting(TorchDispatchMode):
    """Counts what a graph cannot be recorded of: numbers brought to the host, and made of the host's."""

    def __init__(self) -> None:
        super().__init__()
        self.found: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func._schema.name.split("::")[1]
        if name in ("_local_scalar_dense", "nonzero", "is_nonzero", "item", "lift_fresh", "masked_select"):
            self.found[name] += 1
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("step", [0, 1, 2, 3])
def test_a_step_never_waits_for_the_device(any_config_file: Path, step: int) -> None:
    recipe, config = recipe_of(any_config_file)
    average = WeightAverage(recipe.network, 0.9)
    take = TrainingStep(recipe, recipe.network, average, config, CPU, bfloat16=False)
    at = Position(step, place=step)
    stage = recipe.stage(step, step)
    inputs = recipe.prepare(recipe.dataset(0, recipe.phase(step))[step])
    take(at, stage, [inputs])  # optimisers allocate in the first
    watch = Waiting()
    for (
        optimiser
    ) in take.optimisers.values():  # its own step on a CPU reads a number; a recorded one does not
        optimiser.step = lambda: None  # type: ignore[assignment, misc]
    with watch:
        take._run(step, stage, [inputs])
    assert not watch.found, watch.found


@pytest.mark.slow
@pytest.mark.parametrize("step", [0, 3])
def test_losses_compile_without_a_break(any_config_file: Path, step: int) -> None:
    recipe, _ = recipe_of(any_config_file, "log_every=100")
    stage = recipe.stage(step, step)
    inputs = recipe.prepare(recipe.dataset(0, recipe.phase(step))[step])
    torch._dynamo.reset()
    compiled = torch.compile(recipe.losses, fullgraph=True, backend="eager")
    expected = recipe.losses(recipe.network, inputs, stage).logged
    state = {name: module.state_dict() for name, module in recipe.auxiliary.items()}
    found = compiled(recipe.network, inputs, stage).logged
    assert found.keys() == expected.keys()
    if "discriminator" not in state:  # whose spectral norms move with every call
        for name, value in expected.items():
            torch.testing.assert_close(found[name], value)


def test_batched_tasks_are_the_same_as_one_by_one(config_file: Path) -> None:
    (batched, _), (each, _) = recipe_of(config_file), recipe_of(config_file, "data.degrade=each")
    different = total = 0
    for step in range(12):
        pairs = [
            recipe.halves(recipe.prepare(recipe.dataset(0)[step]))  # type: ignore[attr-defined]
            for recipe in (batched, each)
        ]
        torch.testing.assert_close(pairs[0][1], pairs[1][1])
        difference = (pairs[0][0] - pairs[1][0]).abs() * 255
        different, total = different + int((difference > 0.5).sum()), total + difference.numel()
    assert different < 2e-3 * total  # blocks of JPEG may fall to either side


def test_a_run_with_batched_tasks(config_file: Path, tmp_path: Path) -> None:
    reports: list[Any] = []
    settings = ["data.degrade=batched", "data.shrink=0.6", "data.workers=1"]
    train(load_config(config_file, settings), tmp_path / "run", report=reports.append)
    assert [p.step for p in reports] == list(range(1, 7))
    assert all(p.losses["pixel"] > 0 for p in reports)


def test_a_meter_has_means_and_the_first_step_that_was_not_finite() -> None:
    meter = LossMeter(CPU)
    for step, value in enumerate([1.0, 3.0, float("nan"), float("inf"), 2.0], 10):
        losses = {"total": torch.tensor(value), **({"other": torch.tensor(5.0)} if step < 12 else {})}
        meter.begin(step)
        meter.count(meter.add(losses))
        if step == 11:
            assert meter.read() == ({"total": 2.0, "other": 5.0}, None)
    means, bad = meter.read()
    assert bad == 12 and set(means) == {"total"}
    assert meter.read() == ({}, None)


class Recorder:
    """Stands in for what records graphs on a GPU: what is recorded is not run, and run again by a replay.

    A replay has what the recording had, the very same tensors: new inputs must be written into them.
    """

    def __init__(self, take: TrainingStep, monkeypatch: pytest.MonkeyPatch) -> None:
        self.run, self.recording = take._run, None
        self.eager: list[Any] = []
        self.replayed: list[Any] = []
        self.places: dict[Any, set[tuple[int, ...]]] = {}
        self.synchronised = 0
        recorder = self

        class Graph:
            def __init__(self) -> None:
                self.calls: list[Any] = []

            def replay(self) -> None:
                for call in self.calls:
                    recorder.replayed.append(call[1])
                    recorder.run(*call)

        class Event:
            def record(self) -> None:
                pass

            def synchronize(self) -> None:
                recorder.synchronised += 1

        class Stream:
            def __init__(self, *_: Any) -> None:
                pass

            def wait_stream(self, other: Any) -> None:
                pass

        @contextmanager
        def record(graph: Graph) -> Iterator[None]:
            recorder.recording = graph
            yield
            recorder.recording = None

        def run(place: float, stage: Stage, shards: list[dict[str, torch.Tensor]]) -> list[list[str]]:
            (inputs,) = shards
            where = tuple(tensor.data_ptr() for tensor in inputs.values())
            self.places.setdefault(stage, set()).add(where)
            if self.recording is not None:
                self.recording.calls.append((place, stage, shards))
                return [[]]
            self.eager.append(stage)
            return self.run(place, stage, shards)

        take._recording = True
        monkeypatch.setattr(take, "_run", run)
        for name, stand_in in {
            "CUDAGraph": Graph, "graph": record, "Event": Event, "Stream": Stream,
            "current_stream": Stream, "stream": lambda _: nullcontext(),
        }.items():  # fmt: skip
            monkeypatch.setattr(torch.cuda, name, stand_in)
        monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: tensor.clone())


@pytest.mark.slow
def test_recorded_steps_are_those_that_they_stand_for(
    any_config_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps, read = 14, []
    judged = "cria" in any_config_file.name or "unified" in any_config_file.name  # by criteria, in two stages
    of_stages = ["pixel_steps=6", "log_every=2", "texture_optimiser.after=0"]
    more = ["steps=14", *(of_stages if judged else ["optimiser.warmup=9"])]
    made = []
    for recorded in (False, True):
        recipe, config = recipe_of(any_config_file, *more)
        average = WeightAverage(recipe.network, 0.9)
        take = TrainingStep(recipe, recipe.network, average, config, CPU, bfloat16=False)
        for optimiser in take.optimisers.values():  # as a recorded step has them
            for group in optimiser.param_groups:
                group["lr"] = torch.tensor(group["lr"])
        if recorded:
            recorder = Recorder(take, monkeypatch)
        stages = []
        for step in range(steps):
            stage = recipe.stage(step, step)
            stages.append(stage)
            take(Position(step, place=step), stage, [recipe.prepare(recipe.dataset(0, "")[step])])
            if step == 8:
                read.append(take.meter.read())
        read.append(take.meter.read())
        modules = {"network": recipe.network, **recipe.auxiliary}
        made.append({f"{m}/{k}": v for m, module in modules.items() for k, v in module.state_dict().items()})
        made[-1] |= {f"average/{k}": v for k, v in average.state_dict().items()}
    for name, tensor in made[0].items():
        assert torch.equal(made[1][name], tensor), name
    assert read[:2] == read[2:] and read[0][1] is None
    kinds = Counter(stages)
    assert len(kinds) == (3 if judged else 2)
    assert sorted(map(str, recorder.eager + recorder.replayed)) == sorted(map(str, stages))
    for stage, count in kinds.items():
        alone = count if stage.measured else 3
        assert recorder.eager.count(stage) == alone and recorder.replayed.count(stage) == count - alone
        assert len(recorder.places[stage]) == 1  # all its steps read their inputs in one place
    assert any(stage.measured for stage in kinds) == judged
    assert recorder.synchronised == steps - 2  # the host is two steps ahead, no more


@pytest.mark.parametrize("step", [0, 3])
@pytest.mark.parametrize("pool", [0, 4])
def test_all_of_a_step_is_on_the_training_device(
    any_config_file: Path, monkeypatch: pytest.MonkeyPatch, step: int, pool: int
) -> None:
    """On the device "meta", which computes nothing, an operation on tensors of two devices is an error."""
    settings = ["data.shrink=0.7"]
    if "cria" in any_config_file.name:
        settings += [f"data.pool={pool}", "data.degradations=[real, camera]"]
        settings += ["data.degrade=batched" if pool else "data.degrade=each"]
    elif "unified" not in any_config_file.name:
        settings += ["data.degrade=batched"]
    recipe, _ = recipe_of(any_config_file, *settings)
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())  # it does not know the device
    monkeypatch.setattr(torch, "is_autocast_enabled", lambda *_: False)
    meta = torch.device("meta")
    item = recipe.dataset(0, recipe.phase(step))[step]
    recipe.load_data(meta)
    for module in (recipe.network, *recipe.auxiliary.values(), *recipe.fixed):
        module.to(meta)
    average = WeightAverage(recipe.network, 0.9)
    stage = recipe.stage(step, step)
    prepared = recipe.prepare(item)
    losses = recipe.losses(recipe.network, {k: v.to(meta) for k, v in prepared.items()}, stage)
    for loss, _ in losses.objectives:
        loss.backward()
    average.update(recipe.network)
    assert losses.logged and all(loss.device == meta for loss in losses.logged.values())
