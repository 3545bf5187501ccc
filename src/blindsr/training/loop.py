"""The training loop, the same for every recipe: step, log, checkpoint, validate, resume exactly."""

from __future__ import annotations

import logging
import math
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from lightning.fabric import Fabric
from torch.utils.data import DataLoader

from blindsr.errors import BlindSRError
from blindsr.system.files import refuse_overwriting
from blindsr.training.allocator import keep_freed_memory
from blindsr.training.checkpoint import (
    LATEST,
    WEIGHTS,
    Checkpoints,
    Position,
    newest_checkpoint,
    restore_checkpoint,
)
from blindsr.training.cmdsr import CMDSRRecipe
from blindsr.training.config import TrainConfig
from blindsr.training.cria import CriaRecipe
from blindsr.training.distilled import DistilledRecipe
from blindsr.training.ema import WeightAverage
from blindsr.training.initial import teachers_of
from blindsr.training.journal import Progress, RunJournal
from blindsr.training.meter import LossMeter
from blindsr.training.precision import computes_in_bfloat16
from blindsr.training.processes import Sharded, agreed, all_shards, apart, averaged, launch, own_shards
from blindsr.training.recipe import Recipe
from blindsr.training.schedule import Clock
from blindsr.training.state import StateKeeper, read_state, write_state, written_with
from blindsr.training.step import TrainingStep
from blindsr.training.unified import UnifiedRecipe

log = logging.getLogger(__name__)


class TrainingError(BlindSRError):
    """A run that cannot go on, for instance because a loss is not finite."""


RECIPES: dict[str, Callable[[Any], Recipe]] = {
    "cmdsr": CMDSRRecipe,
    "cria": CriaRecipe,
    "distilled": DistilledRecipe,
    "unified": UnifiedRecipe,
}


def train(
    config: TrainConfig,
    out: Path | None = None,
    resume: Path | None = None,
    report: Callable[[Progress], None] | None = None,
    state: Path | None = None,
) -> Path:
    """Train a network.

    A run by steps is a function of its configuration: batches depend on the seed and the step alone, learning
    rates on the step alone, and a checkpoint holds everything else. So an interrupted run that is resumed
    gives the same losses as one that was not (to the last bit on a CPU with a fixed number of threads). In a
    run by minutes, learning rates depend on the clock.

    Args:
        config: See `load_config`.
        out: Folder for checkpoints, logs and pictures; default runs/<name>.
        resume: Checkpoint to go on from; a folder means its newest one.
        report: Called with the state of the run at every logged step.
        state: A compact state (.npz, see `blindsr.training.state`). Where it is there, the run goes on from
            it, with a schedule of its own; and the run writes it: at its end, or with a "stable" schedule
            before the rate falls; and every `config.state_seconds` until then.

    Returns:
        The last checkpoint. Ctrl-C and SIGTERM end the run after the step in hand, with a checkpoint; of a
        run that is killed all but the last `config.checkpoint_seconds` is there (latest.ckpt). weights.ckpt
        beside it are the averaged weights alone.

    Raises:
        ConfigError: The configuration does not fit together, or not with the checkpoint.
        InputError: No training photos; or a file that the configuration names would be overwritten.
        TrainingError: A loss is not finite; the message names the step's degradations.
    """
    started = time.monotonic()
    out = out or Path("runs") / config.name
    going_on = resume is not None or (state is not None and state.exists())
    kept = out.glob("step-*.ckpt")  # of which later ones take the place, or which make room for them
    writes = [out / WEIGHTS, out / LATEST, *kept, *([] if state is None else written_with(state))]
    read = _texts_in(config.model_dump(exclude={"init"} if going_on else None))  # which is not read then
    refuse_overwriting(writes, map(Path, read), "give another -o, or another --state")
    if config.threads:
        torch.set_num_threads(config.threads)
    fabric = launch(config)
    if fabric.device.type == "cpu":
        keep_freed_memory(config.keep_memory)
    own = own_shards(config, fabric)
    torch.manual_seed(config.seed)
    recipe = RECIPES[config.recipe](config)
    with fabric.rank_zero_first():
        recipe.load_data(fabric.device)
    origins = recipe.origins()
    if config.init is not None and not going_on:
        recipe.initialise(config.init)
        named = [config.init, getattr(config, "init_condition", None)]
        before = [one for init in named if init is not None for one in teachers_of(init)]
        origins |= {"init_teachers": before} if before else {}
    network = _set_up(recipe, config, fabric)
    average = WeightAverage(recipe.network, config.ema)
    bfloat16 = computes_in_bfloat16(config, fabric.device)
    take_step = TrainingStep(
        recipe, network, average, config, fabric.device, bfloat16, partial(apart, fabric, network)
    )

    at, last = Position(), out / "none"
    if resume is not None:
        at = restore_checkpoint(resume, recipe, take_step.optimisers, average)
        last = newest_checkpoint(resume)
        log.info("resumed at step %d", at.step)
    elif state is not None and going_on:
        earlier = read_state(state, recipe, take_step.optimisers, average)
        at = Position(earlier["step"], patches=earlier["patches"], runs=earlier["runs"])
        log.info("goes on from %s, after %d steps", state, at.step)
    validation = recipe.validation()
    files = Checkpoints(out, config, recipe, take_step.optimisers, average)
    journal = RunJournal(out, report, fabric.is_global_zero, at, origins)

    def keep_state() -> None:
        if state is not None and fabric.is_global_zero:
            write_state(state, config, recipe, take_step.optimisers, average, journal.record(at))

    keeper, first = StateKeeper(keep_state, config.state_seconds), at.step
    loading = time.monotonic() - started  # the minutes are those of all the run
    clock = Clock(config.steps, config.minutes, config.reserve + loading, at.place)
    journal.begin(at)
    with _stop_requested() as stop:
        for batch in _batches(recipe, at, clock, own):
            stage = recipe.stage(at.step, at.place)
            take_step(at, stage, [recipe.prepare(shard) for shard in batch])

            rates = take_step.rates(stage, at.place)
            at.step += 1
            at.patches += recipe.patches(stage) * all_shards(config, fabric)
            decided = clock.place(at.step - first), stop(), files.due(at)
            at.place, stopping, file = agreed(decided, fabric)
            over = clock.over(at.place)
            ending = over or stopping
            validating = validation is not None and (over or at.step % config.validation.every == 0)
            file = files.name(at) if ending else file
            keeping = keeper.due(recipe.decays(at.place, clock.steps))
            leaving = recipe.phase(at.place) != at.phase  # a report is of one phase
            # Reading losses waits for the device, so it is done for many steps at once.
            if file or keeping or validating or leaving or at.step % config.log_every == 0:
                losses = averaged(_read(take_step.meter, recipe, at, own), fabric)
                journal.measure(at)
                if keeping:  # what is not finite was found out above
                    keeper.keep()
                if fabric.is_global_zero and (file or validating):  # before validation, which takes long
                    last = files.write(file or LATEST, at, journal.runs(at))
                    if ending:
                        files.write_weights(at, journal.runs(at))
                scores = None
                if validation is not None and validating:
                    with average.applied_to(recipe.network):
                        recipe.network.eval()
                        scores = validation.run(recipe.restore(), at.step, journal.writer, out, fabric.device)
                        recipe.network.train()
                journal.tell(at, at.place / clock.steps, losses, rates, scores)
            if ending:
                break
    keeper.end()
    journal.close()
    fabric.barrier()
    return last


def _texts_in(settings: Any) -> Iterator[str]:  # noqa: ANN401
    """All texts and paths of a configuration, whichever of them name files."""
    if isinstance(settings, dict):
        settings = list(settings.values())
    if isinstance(settings, list | tuple):
        for value in settings:
            yield from _texts_in(value)
    elif isinstance(settings, str | Path):
        yield str(settings)


def _set_up(recipe: Recipe, config: TrainConfig, fabric: Fabric) -> Any:  # noqa: ANN401
    """Bring all networks to the device; returns what is trained, wrapped where several devices train."""
    for module in (recipe.network, *recipe.auxiliary.values(), *recipe.fixed):
        module.to(fabric.device)
        if config.channels_last:
            module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if fabric.world_size == 1:
        return recipe.network
    network = fabric.setup_module(recipe.network)
    for method in recipe.methods:
        network.mark_forward_method(method)
    return network


def _batches(recipe: Recipe, at: Position, clock: Clock, own: range) -> Iterator[list[Any]]:
    """The batches of this process, step by step, from where the run is to the end of its schedule."""
    while not clock.over(at.place):
        phase = recipe.phase(at.place)
        if phase != at.phase:
            recipe.enter(phase)
            at.phase = phase
        left = math.ceil(clock.steps - at.place)
        end = at.step + left if clock.seconds is None else sys.maxsize
        loader: Any = DataLoader(
            Sharded([recipe.dataset(shard, phase) for shard in own]),
            batch_size=None,
            sampler=range(at.step, end),
            num_workers=recipe.workers,
            prefetch_factor=4 if recipe.workers else None,
            # Else making the loader draws from the global generator, whose state a resumed run has restored.
            generator=torch.Generator(),
        )
        for batch in loader:
            yield batch
            if clock.over(at.place) or recipe.phase(at.place) != phase:
                break


def _read(meter: LossMeter, recipe: Recipe, at: Position, own: range) -> dict[str, float]:
    """Means of the losses since the last reading.

    Raises:
        TrainingError: One of them was not finite.
    """
    losses, bad = meter.read()
    if bad is not None:
        name = next(name for name, value in losses.items() if not math.isfinite(value))
        batches = "; ".join(str(recipe.dataset(shard, at.phase or "")[bad]) for shard in own)
        raise TrainingError(
            f"the {name} loss is {losses[name]} at {batches}; resume from the last checkpoint with a "
            "lower learning rate, or with gradient clipping (optimiser.clip)"
        )
    return losses


@contextmanager
def _stop_requested() -> Iterator[Callable[[], bool]]:
    """Turn Ctrl-C and SIGTERM into a question the loop asks after each step; a second Ctrl-C ends at once."""
    asked = False

    def ask(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        asked = True

    try:
        previous = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not the main thread: signals are somebody else's business
        previous = {}
    try:
        yield lambda: asked
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
