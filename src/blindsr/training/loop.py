"""The training loop, the same for every recipe: step, average, log, validate, checkpoint, resume exactly."""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import torch
from lightning.fabric import Fabric
from lightning.fabric.strategies import DDPStrategy
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from blindsr.errors import BlindSRError, ConfigError, ModelError
from blindsr.files import atomic_path
from blindsr.network.checkpoint import FORMAT, read_tensors
from blindsr.training.allocator import keep_freed_memory
from blindsr.training.cmdsr import CMDSRRecipe
from blindsr.training.config import TrainConfig
from blindsr.training.cria import CriaRecipe
from blindsr.training.ema import WeightAverage
from blindsr.training.recipe import Recipe
from blindsr.training.schedule import learning_rate

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

log = logging.getLogger(__name__)


class TrainingError(BlindSRError):
    """A run that cannot go on, for instance because a loss is not finite."""


RECIPES: dict[str, Callable[[Any], Recipe]] = {"cmdsr": CMDSRRecipe, "cria": CriaRecipe}


@dataclass(frozen=True)
class Progress:
    """What a run reports at every logged step."""

    step: int
    steps: int
    losses: dict[str, float]
    seconds_per_step: float
    table: str | None = None
    """The validation table, where one was just made."""


def train(
    config: TrainConfig,
    out: Path | None = None,
    resume: Path | None = None,
    report: Callable[[Progress], None] | None = None,
) -> Path:
    """Train a network.

    A run is a function of its configuration: batches depend on the seed and the step alone, learning rates
    on the step alone, and a checkpoint holds everything else. So an interrupted run that is resumed gives the
    same losses as one that was not (to the last bit on a CPU with a fixed number of threads).

    Args:
        config: See `load_config`.
        out: Folder for checkpoints, logs and pictures; default runs/<name>.
        resume: Checkpoint to go on from; a folder means its newest one.
        report: Called with the state of the run at every logged step.

    Returns:
        The last checkpoint. Ctrl-C and SIGTERM end the run after the step in hand, with a checkpoint.

    Raises:
        ConfigError: The configuration does not fit together, or not with the checkpoint.
        InputError: No training photos.
        TrainingError: A loss is not finite; the message names the step's degradations.
    """
    out = out or Path("runs") / config.name
    if config.threads:
        torch.set_num_threads(config.threads)
    devices = config.devices
    fabric = Fabric(
        accelerator=config.accelerator,
        devices=devices,
        precision=config.precision,
        # Steps that leave the ConditionNet alone have parameters without a gradient.
        strategy=DDPStrategy(find_unused_parameters=True) if devices not in (1, "1") else "auto",
    )
    fabric.launch()
    if fabric.device.type == "cpu":
        keep_freed_memory(config.keep_memory)
    torch.manual_seed(config.seed)
    recipe = RECIPES[config.recipe](config)
    with fabric.rank_zero_first():
        recipe.load_data()
    validation = recipe.validation()

    if config.init is not None and resume is None:
        recipe.initialise(config.init)
    bare = recipe.network.to(fabric.device)
    others = [*recipe.companions.values(), *recipe.fixed]
    modules = [bare, *(other.to(fabric.device) for other in others)]
    if config.channels_last:
        for module in modules:
            module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    fused = fabric.device.type in ("cpu", "cuda")
    optimisers = {}
    for name, parameters in recipe.parameters.items():
        section, _, _ = recipe.section(name, 0)
        optimisers[name] = torch.optim.Adam(parameters, lr=section.lr, betas=section.betas, fused=fused)
    network, *wrapped = fabric.setup(bare, *optimisers.values())
    for method in recipe.methods:
        network.mark_forward_method(method)
    wrapped_optimisers = dict(zip(optimisers, wrapped, strict=True))
    average = WeightAverage(bare, config.ema)
    start = 0
    if resume is not None:
        start = _restore(newest_checkpoint(resume), recipe, optimisers, average)
        log.info("resumed at step %d", start)

    dataset = recipe.dataset(fabric.global_rank)
    loader: Any = DataLoader(
        dataset,
        batch_size=None,
        sampler=range(start, config.steps),
        num_workers=recipe.workers,
        persistent_workers=recipe.workers > 0,
        prefetch_factor=4 if recipe.workers else None,
        # Else making the loader draws from the global generator, whose state a resumed run has just restored.
        generator=torch.Generator(),
    )
    writer = _summary_writer(out) if fabric.is_global_zero else None
    pending: list[tuple[int, dict[str, Tensor]]] = []
    clock, last, step = time.perf_counter(), out / "none", start
    with _stop_requested() as stop:
        for step, batch in enumerate(loader, start):
            groups = recipe.updated(step)
            # Fabric itself casts in `forward` alone, and recipes call other methods.
            with fabric.autocast():
                losses = recipe.losses(network, batch, fabric)
            fabric.backward(losses["total"])
            for name in groups:
                optimiser = wrapped_optimisers[name]
                section, place, places = recipe.section(name, step)
                for group in optimiser.param_groups:
                    group["lr"], group["betas"] = learning_rate(section, place, places), section.betas
                if section.clip:
                    # Parameters by group: a clip of the whole network would mix the two optimisations.
                    torch.nn.utils.clip_grad_norm_(recipe.parameters[name], section.clip)
                optimiser.step()
            for optimiser in wrapped_optimisers.values():
                optimiser.zero_grad()
            average.update(bare)
            pending.append((step, {name: value.detach() for name, value in losses.items()}))

            done = step + 1
            stopping = stop() or done == config.steps
            # Reading a loss waits for the device, so it is done for many steps at once.
            if done % config.log_every == 0 or done % config.checkpoint_every == 0 or stopping:
                means = _check(pending, dataset)
                seconds = (time.perf_counter() - clock) / len(pending)
                table = None
                if validation is not None and (done % config.validation.every == 0 or done == config.steps):
                    with average.applied_to(bare):
                        bare.eval()
                        table = validation.run(recipe.restore(), done, writer, out)
                        bare.train()
                if writer is not None:
                    for name, value in means.items():
                        writer.add_scalar(name if "/" in name else f"loss/{name}", value, done)
                    for name in groups:
                        writer.add_scalar(f"learning_rate/{name}", recipe.rate(name, step), done)
                    writer.add_scalar("seconds_per_step", seconds, done)
                if report is not None and fabric.is_global_zero:
                    told = {name: value for name, value in means.items() if "/" not in name}
                    report(Progress(done, config.steps, told, seconds, table))
                pending, clock = [], time.perf_counter()
            if done % config.checkpoint_every == 0 or stopping:
                last = out / f"step-{done:08d}.ckpt"
                if fabric.is_global_zero:
                    _save(last, config, recipe, optimisers, average, done)
                    for old in sorted(out.glob("step-*.ckpt"))[: -config.keep]:
                        old.unlink()
                fabric.barrier()
            if stopping:
                break
    if writer is not None:
        writer.close()
    return last


def newest_checkpoint(path: Path) -> Path:
    """`path` itself, or the newest checkpoint in it if it is a folder.

    Raises:
        ModelError: There is none.
    """
    if not path.is_dir():
        return path
    checkpoints = sorted(path.glob("step-*.ckpt"))
    if not checkpoints:
        raise ModelError(f"{path}: no checkpoint (step-*.ckpt) to resume from")
    return checkpoints[-1]


def _check(pending: list[tuple[int, dict[str, Tensor]]], dataset: Dataset[Any]) -> dict[str, float]:
    """Means of the losses since the last check, each over the steps that have it."""
    values: dict[str, list[float]] = {}
    for step, losses in pending:
        for name, tensor in losses.items():
            value = float(tensor)
            if not torch.isfinite(tensor):
                raise TrainingError(
                    f"the {name} loss is {value} at {dataset[step]}; resume from the last checkpoint with a "
                    "lower learning rate, or with gradient clipping (optimiser.clip)"
                )
            values.setdefault(name, []).append(value)
    return {name: sum(v) / len(v) for name, v in values.items()}


def _save(
    path: Path,
    config: TrainConfig,
    recipe: Recipe,
    optimisers: dict[str, torch.optim.Adam],
    average: WeightAverage,
    step: int,
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "format": FORMAT,
        "network": config.network,
        "state": recipe.network.state_dict(),
        "companions": {name: companion.state_dict() for name, companion in recipe.companions.items()},
        "ema": average.state_dict(),
        "ema_updates": average.updates,
        "optimisers": {name: optimiser.state_dict() for name, optimiser in optimisers.items()},
        "step": step,
        "config": config.model_dump(mode="json"),
        "rng": torch.get_rng_state(),
        "rng_cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }
    with atomic_path(path) as temporary:
        torch.save(content, temporary)


def _restore(
    path: Path, recipe: Recipe, optimisers: dict[str, torch.optim.Adam], average: WeightAverage
) -> int:
    content = read_tensors(path)
    if content.get("format") != FORMAT or "optimisers" not in content:
        raise ModelError(f"{path}: not a checkpoint of a training run")
    if content["network"] != recipe.spec:
        raise ConfigError(
            f"{path}: it was trained as {content['network']}, the configuration says {recipe.spec}"
        )
    companions = content.get("companions", {})
    if companions.keys() != recipe.companions.keys() or content["optimisers"].keys() != optimisers.keys():
        raise ConfigError(f"{path}: it was trained with other criteria than the configuration says")
    recipe.network.load_state_dict(content["state"])
    for name, companion in recipe.companions.items():
        try:
            companion.load_state_dict(companions[name])
        except RuntimeError:
            raise ConfigError(f"{path}: its {name} is not the one that the configuration says") from None
    average.load_state_dict(content["ema"], content["ema_updates"])
    for name, optimiser in optimisers.items():
        optimiser.load_state_dict(content["optimisers"][name])
    torch.set_rng_state(content["rng"])
    if content["rng_cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(content["rng_cuda"])
    return int(content["step"])


def _summary_writer(out: Path) -> SummaryWriter:
    from torch.utils.tensorboard import SummaryWriter

    # Silence a notice about a feature of TensorBoard that needs another framework.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    return SummaryWriter(str(out / "tensorboard"))


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
