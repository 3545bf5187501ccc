"""How large a batch should be on the device at hand: tried out by a few real steps of every part of a run."""

from __future__ import annotations

import gc
import math
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import torch
from arithmetic import counted

from blindsr.training.checkpoint import Position
from blindsr.training.config import CriteriaConfig, CropSection, DistilledConfig, TrainConfig
from blindsr.training.ema import WeightAverage
from blindsr.training.loop import RECIPES
from blindsr.training.precision import computes_in_bfloat16
from blindsr.training.recipe import Recipe
from blindsr.training.step import TrainingStep

ENOUGH = 0.9
"""The smallest batch is taken that is so fast, compared with the fastest."""
WORKERS = 12
"""At most so many processes draw batches for a GPU."""
LEAST = 8
"""Tasks of the smallest batch that is tried."""
COMPILES = 60.0
"""Seconds that a trial with torch.compile may take."""


@dataclass(frozen=True)
class Trial:
    """What some steps with one size of batch took.

    Args:
        phase: The part of the run that they are of.
        batch: Tasks of networks that adapt, patches of others.
        seconds: Of a step, or of what draws its batch where that takes longer.
        patches: That are restored in one.
        gigabytes: Most that was taken of the device's memory; 0 on a CPU.
        compiled: Whether PyTorch compiled the networks.
    """

    phase: str
    batch: int
    seconds: float
    patches: int
    gigabytes: float
    compiled: bool = False

    def __str__(self) -> str:
        what = (
            f"{self.patches / self.seconds:9.1f} restored patches/s" if self.patches else "nothing restored"
        )
        memory = f", {self.gigabytes:.1f} GB" if self.gigabytes else ""
        compiled = ", compiled" if self.compiled else ""
        size = f"{self.phase or 'the run'}: batch {self.batch:4}"
        return f"{size}: {self.seconds:7.3f} s, {what}{memory}{compiled}"


def device_of(config: TrainConfig) -> torch.device:
    """Where a run trains, as far as this script is for."""
    cuda = torch.cuda.is_available() and config.accelerator in ("auto", "cuda", "gpu")
    return torch.device("cuda:0" if cuda else "cpu")


def decode(config: TrainConfig) -> None:
    """Decode the photos, which every run after it finds in its cache."""
    RECIPES[config.recipe](config).load_data(torch.device("cpu"))


def tune(config: TrainConfig, seconds: float, say: Callable[[str], None]) -> tuple[TrainConfig, list[Trial]]:
    """Choose the batch of every part of a run, and whether to compile, by trying.

    Learning rates stay as they are, so sizes are between a half and four times what the configuration has on
    a GPU; on a CPU, where a larger batch is no faster, from the smallest up to it.

    Args:
        config: Of the run; its photos are there.
        seconds: Time for it. One step of every part is taken in any case; none if 0.
        say: Is told of every trial.

    Returns:
        The configuration to train with, and the trials.
    """
    device, trials = device_of(config), list[Trial]()
    if device.type == "cuda" and not config.data.workers:  # type: ignore[attr-defined]
        config = _with_workers(config, max(0, min(WORKERS, (os.cpu_count() or 1) - 2)))
    if not seconds:
        return config, trials
    end, phases = time.monotonic() + seconds, parts(config)
    for number, (phase, place) in enumerate(phases):
        until = time.monotonic() + (end - time.monotonic()) / (len(phases) - number)
        room = 0.8 / len(phases)  # recorded steps of all parts stay in memory together
        chosen = _climb(config, phase, place, device, until, room, trials, say)
        if chosen is not None:
            config = with_batch(config, phase, chosen)
    left = end - time.monotonic()
    if device.type == "cuda" and trials and left > COMPILES * len(phases):
        plain = {t.phase: t for t in trials if t.batch == batch_of(config, t.phase)}
        faster = True
        for phase, place in phases:
            trial = _try(config.model_copy(update={"compile": True}), phase, place, device, end)
            say(str(trial))
            trials.append(trial)
            faster = faster and trial.seconds < plain[phase].seconds
        config = config.model_copy(update={"compile": faster})
    return config, trials


def parts(config: TrainConfig) -> list[tuple[str, float]]:
    """The parts of a run whose batches have sizes of their own, each with a place in the middle of it."""
    if not isinstance(config, DistilledConfig):
        return [("", 0.75 * config.steps)]
    begins = [0.0, *(phase.until for phase in config.phases)]
    middles = [(a + b) / 2 * config.steps for a, b in pairwise(begins)]
    return [(phase.name, place) for phase, place in zip(config.phases, middles, strict=True)]


def batch_of(config: TrainConfig, phase: str) -> int:
    """The size of a batch in a part of the run: patches, or the tasks of a network that adapts."""
    own = [p.tasks for p in getattr(config, "phases", ()) if p.name == phase]
    if own and own[0]:
        return int(own[0])
    return int(getattr(config.data, _sized_by(config)))  # type: ignore[attr-defined]


def with_batch(config: TrainConfig, phase: str, batch: int) -> TrainConfig:
    """The configuration with batches of another size in a part of the run."""
    if isinstance(config, DistilledConfig):
        phases = [p.model_copy(update={"tasks": batch}) if p.name == phase else p for p in config.phases]
        return config.model_copy(update={"phases": tuple(phases)})
    data = config.data.model_copy(update={_sized_by(config): batch})  # type: ignore[attr-defined]
    return config.model_copy(update={"data": data})


def _sized_by(config: TrainConfig) -> str:
    """The key of a configuration's data that says how large a batch is."""
    return "batch" if isinstance(config.data, CropSection) else "tasks"  # type: ignore[attr-defined]


def flops(config: TrainConfig) -> dict[str, float]:
    """What a step of every part of a run computes, in FLOP, by the name that the recipe has for the part.

    Convolutions and linear layers of all networks that run, forward, and twice that again where gradients go
    through them; by direct convolution, with two operations a multiply-accumulate. Degrading and optimising
    are not in it.
    """
    found: dict[str, float] = {}
    device, least = device_of(config), _least(config)
    stages = [("", 0.0)] if isinstance(config, CriteriaConfig) and config.pixel_steps else []
    for phase, place in [*parts(config), *stages]:
        recipe, step, named = _ready(with_batch(config, phase, least), place, device)
        inputs = {name: t.to(device) for name, t in recipe.prepare(recipe.dataset(0, named)[0]).items()}
        networks = [recipe.network, *recipe.auxiliary.values(), *recipe.fixed]
        work = partial(recipe.losses, recipe.network, inputs, recipe.stage(0, place))
        with step.autocast():
            forward, through = counted(networks, work)
        found[named] = 2.0 * (forward + 2 * through) * batch_of(config, phase) / least
    return found


def _climb(
    config: TrainConfig,
    phase: str,
    place: float,
    device: torch.device,
    until: float,
    room: float,
    trials: list[Trial],
    say: Callable[[str], None],
) -> int | None:
    """Try ever larger batches of a part; returns the smallest that is fast enough, None if none ran."""
    mine: list[Trial] = []
    for batch in _ladder(config, phase, device):
        began = time.monotonic()
        try:
            trial = _try(with_batch(config, phase, batch), phase, place, device, until)
        except torch.OutOfMemoryError:
            say(f"{phase or 'the run'}: batch {batch:4}: more memory than the device has")
            torch.cuda.empty_cache()
            continue
        say(str(trial))
        if device.type == "cuda" and trial.gigabytes * 1e9 > room * _memory(device) and mine:
            say(f"{phase or 'the run'}: batch {batch:4}: more than its share of the memory")
            break
        mine.append(trial)
        trials.append(trial)
        slower = len(mine) > 1 and batch / trial.seconds < 1.03 * mine[-2].batch / mine[-2].seconds
        took = time.monotonic() - began
        if slower or time.monotonic() + (took if device.type == "cuda" else 2 * took) > until:
            break
    if not mine:
        return None
    best = max(t.batch / t.seconds for t in mine)
    return next(t.batch for t in mine if t.batch / t.seconds >= ENOUGH * best)


def _ladder(config: TrainConfig, phase: str, device: torch.device) -> Iterator[int]:
    full, least = batch_of(config, phase), _least(config)
    pool = getattr(config.data, "pool", 0)  # type: ignore[attr-defined]
    if device.type == "cuda":
        sizes = [full // 2, full, 2 * full, 4 * full]
        sizes = [size for size in sizes if not pool or size <= pool]
    else:
        sizes = [least * 2**i for i in range(max(1, math.ceil(math.log2(max(1, full / least))) + 1))]
        sizes = [min(size, full) for size in sizes]
    yield from dict.fromkeys(max(least, size // least * least) for size in sizes)


def _least(config: TrainConfig) -> int:
    """The smallest batch to be tried; the criteria for conditions compare the tasks of a batch."""
    data = config.data  # type: ignore[attr-defined]
    if isinstance(data, CropSection):
        return data.group
    sizes = [batch_of(config, phase) for phase, _ in parts(config)]
    return min([LEAST, *sizes])


def _try(config: TrainConfig, phase: str, place: float, device: torch.device, until: float) -> Trial:
    """Take some steps as a run takes them: at least one, and no more once it is `until`."""
    cuda = device.type == "cuda"
    warm, most = (8, 10) if cuda else (1, 2)
    if cuda:
        torch.cuda.reset_peak_memory_stats(device)
    recipe, take_step, named = _ready(config, place, device)
    dataset = recipe.dataset(0, named)
    drawing = time.perf_counter()
    # As they come in a run, so that what a pool needs for them is made while the steps are timed.
    batches = [dataset[number] for number in range(1, warm + most + 1)]
    drawing = (time.perf_counter() - drawing) / len(batches)
    patches, taken, started = 0, 0, time.perf_counter()
    for number in range(warm + most):
        if number == warm:
            _wait(device)
            taken, started = 0, time.perf_counter()
        at = Position(step=number + 1, place=place)
        stage = recipe.stage(at.step, at.place)
        take_step(at, stage, [recipe.prepare(batches[number])])
        patches, taken = recipe.patches(stage), taken + 1
        if time.monotonic() > until:
            break
    _wait(device)
    seconds = (time.perf_counter() - started) / taken
    workers = recipe.workers
    seconds = max(seconds, drawing / workers) if workers else seconds + drawing
    gigabytes = torch.cuda.max_memory_reserved(device) / 1e9 if cuda else 0.0
    trial = Trial(phase, batch_of(config, phase), seconds, patches, gigabytes, config.compile)
    del recipe, take_step, dataset
    gc.collect()
    if cuda:
        torch.cuda.empty_cache()
    return trial


def _ready(config: TrainConfig, place: float, device: torch.device) -> tuple[Recipe, TrainingStep, str]:
    """A recipe on the device, what takes its steps, and its name for the part of the run at a place."""
    torch.manual_seed(config.seed)
    recipe = RECIPES[config.recipe](config)
    recipe.load_data(device)
    for module in (recipe.network, *recipe.auxiliary.values(), *recipe.fixed):
        module.to(device)
        if config.channels_last:
            module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    phase = recipe.phase(place)
    recipe.enter(phase)
    average = WeightAverage(recipe.network, config.ema)
    bfloat16 = computes_in_bfloat16(config, device)
    return recipe, TrainingStep(recipe, recipe.network, average, config, device, bfloat16), phase


def _with_workers(config: TrainConfig, workers: int) -> TrainConfig:
    data = config.data.model_copy(update={"workers": workers})  # type: ignore[attr-defined]
    return config.model_copy(update={"data": data})


def _memory(device: torch.device) -> int:
    return torch.cuda.get_device_properties(device).total_memory


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
