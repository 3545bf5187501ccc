"""One training step: CMDSR's modulation, how fast a recipe's whole step is, and how many launches it takes.

    python benchmarks/train_step.py formulations
    python benchmarks/train_step.py recipe configs/cmdsr_x4_long.yaml --photos my/photos
    python benchmarks/train_step.py launches configs/cmdsr_x4_long.yaml --photos my/photos

The first: forward and backward of the published network (SRResNet-10 x4) on 16 LR patches of 8 tasks, three
formulations in turn, so that a machine that drifts does not favour one. They compute the same function: the
greatest differences of output and gradients are printed with the times.

The second trains as `blindsr train` does, with cutting, degrading and optimising, in several settings in
turn, and prints restored patches a second and the arithmetic achieved as a fraction of what products of large
matrices achieve on the same device in the numbers that the setting computes in: forward, and twice that
backward, of the network alone. Then it tells where a step's time goes. A recipe whose batches come from a
pool is timed without one as well, and degrading is then what a step needs of it on average.

The third counts what a step launches, part by part, with patches degraded task by task and all at once: on a
GPU its kernels and copies, on a CPU the operators that do work (no views, no allocations, and nothing that
only calls others). Where a GPU replays recorded steps, all parts with a star are one launch.
"""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import torch
import typer
from arithmetic import macs, matrix_peak
from places import TRAINING_PHOTOS
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from blindsr.dataset.pool import PoolBatch
from blindsr.network import BaseNet, build_network
from blindsr.network.basenet import ModulatedConv2d
from blindsr.training import Progress, train
from blindsr.training.checkpoint import Position
from blindsr.training.config import TrainConfig, load_config
from blindsr.training.ema import WeightAverage
from blindsr.training.loop import RECIPES
from blindsr.training.precision import computes_in_bfloat16
from blindsr.training.recipe import Losses
from blindsr.training.step import TrainingStep
from blindsr.training.tasks import TaskRecipe

app = typer.Typer(add_completion=False, help=__doc__.splitlines()[0] if __doc__ else None)


class GroupedConv2d(ModulatedConv2d):
    """The paper's own words: every sample has its own weights, applied as one grouped convolution."""

    def forward(self, x: Tensor, scale: Tensor | None = None) -> Tensor:
        """As in the parent; `scale` is (N, C)."""
        assert scale is not None
        n, c, h, w = x.shape
        weight = (self.weight[None] * scale[:, None, :, None, None]).flatten(0, 1)
        y = nn.functional.conv2d(x.reshape(1, n * c, h, w), weight, padding=self.padding, groups=n)
        assert self.bias is not None
        return y.reshape(n, -1, h, w) + self.bias[:, None, None]


def build(grouped: bool, channels_last: bool, channels: int, blocks: int) -> BaseNet:
    torch.manual_seed(0)
    spec = {"name": "srresnet", "scale": 4, "channels": channels, "blocks": blocks}
    basenet = build_network({"basenet": spec}).basenet
    if grouped:
        for module in basenet.modules():
            if isinstance(module, ModulatedConv2d):
                module.__class__ = GroupedConv2d
    if channels_last:
        basenet.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return basenet


@app.command()
def formulations(
    batch: Annotated[int, typer.Option(help="LR patches in a step.")] = 16,
    tasks: Annotated[int, typer.Option(help="Tasks they belong to.")] = 8,
    patch: Annotated[int, typer.Option(help="Side of an LR patch.")] = 32,
    channels: Annotated[int, typer.Option(help="Width of the network.")] = 64,
    blocks: Annotated[int, typer.Option(help="Residual blocks.")] = 10,
    runs: Annotated[int, typer.Option(help="Counted rounds.")] = 7,
    threads: Annotated[int, typer.Option(help="CPU threads.")] = 2,
) -> None:
    """The modulation as grouped convolutions and as a scaling of inputs."""
    torch.set_num_threads(threads)
    networks = {
        "grouped convolution": build(True, False, channels, blocks),
        "input scaling": build(False, False, channels, blocks),
        "input scaling, channels_last": build(False, True, channels, blocks),
    }
    generator = torch.Generator().manual_seed(1)
    lr = torch.rand(batch, 3, patch, patch, generator=generator)
    hr = torch.rand(batch, 3, 4 * patch, 4 * patch, generator=generator)
    width = sum(networks["input scaling"].modulated)
    modulation = 1 + 0.3 * torch.randn(tasks, width, generator=generator)
    modulation = modulation.repeat_interleave(batch // tasks, 0)
    results = {name: step(network, lr, hr, modulation) for name, network in networks.items()}  # warm-up
    expected = results["grouped convolution"]
    times: dict[str, list[float]] = {name: [] for name in networks}
    for _ in range(runs):
        for name, network in networks.items():
            times[name].append(timed(lambda network=network: step(network, lr, hr, modulation)))
    base = times["grouped convolution"]
    print(f"{batch} LR patches {patch}x{patch}, {tasks} tasks, {threads} threads, median of {runs} rounds\n")
    print("| formulation | s / step | speed-up | output differs by | gradient differs by |")
    print("|---|---|---|---|---|")
    for name, seconds in times.items():
        ratio = median(b / s for b, s in zip(base, seconds, strict=True))
        differences = [
            float((got - want).abs().max() / want.abs().max())
            for got, want in zip(results[name], expected, strict=True)
        ]
        worst = max(differences[1:])
        print(f"| {name} | {median(seconds):.3f} | {ratio:.2f} | {differences[0]:.0e} | {worst:.0e} |")


PLAIN = ["precision=32-true", "data.degrade=each"]
NUMBERS = {
    "fp32, contiguous": [*PLAIN, "channels_last=false"],
    "fp32, channels_last": [*PLAIN, "channels_last=true"],
}
EACH, BATCHED, POOL_EACH, POOL_BATCHED = (
    "degraded task by task", "degraded all at once", "a pool, degraded task by task",
    "a pool, degraded all at once",
)  # fmt: skip
CUTTING, DEGRADING, TEACHING, NETWORK, REST = (
    "cutting", "degrading", "teaching", "network, forward and backward", "optimiser and average",
)  # fmt: skip

GROUPS = 6
"""Of a pool, which differ in kind: what a step needs of them is told by the mean of so many."""


@dataclass(frozen=True)
class Part:
    """A part of a step.

    Args:
        work: Does it.
        share: How often a step needs it.
    """

    work: Callable[[], object]
    share: float = 1.0


Parts = dict[str, Part]


def ways_of(config: Path, base: list[str]) -> dict[str, list[str]]:
    """The ways in which a recipe can degrade its patches, as overrides; those of pools have pools."""
    data = load_config(config, base).data  # type: ignore[attr-defined]
    if not hasattr(data, "pool"):
        return {EACH: ["data.degrade=each"], BATCHED: ["data.degrade=batched"]}
    if getattr(data, "pairs", None) is not None:
        return {EACH: []}
    batch = data.tasks if hasattr(data, "tasks") else data.batch
    group = data.group if data.pool else (8 if hasattr(data, "tasks") else 32)
    pool = max(data.pool, -(-4 * batch // group) * group)
    pooled = [f"data.pool={pool}", f"data.group={group}"]
    each = ["data.degrade=each", "data.pool=0", *([] if hasattr(data, "tasks") else ["data.group=1"])]
    return {
        EACH: each,
        POOL_EACH: ["data.degrade=each", *pooled],
        POOL_BATCHED: ["data.degrade=batched", *pooled],
    }


@app.command()
def recipe(
    config: Annotated[Path, typer.Argument(help="A configuration of `blindsr train`.")],
    photos: Annotated[Path, typer.Option(help="Folder of sharp photos.")] = TRAINING_PHOTOS,
    steps: Annotated[int, typer.Option(min=2, help="Steps of each setting in a round.")] = 20,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds.")] = 3,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = 1,
    numeric: Annotated[
        bool, typer.Option("--numbers/--no-numbers", help="In fp32 and other layouts of memory as well.")
    ] = True,
    more: Annotated[list[str] | None, typer.Option("--set", help="As of `blindsr train`.")] = None,
) -> None:
    """The whole step of a recipe, in several settings."""
    logging.disable(logging.WARNING)
    base = [*common_settings(photos, threads, more), f"steps={steps}", f"log_every={steps // 2}"]
    ways = ways_of(config, base)
    changed = {name: [*ways[EACH], *changes] for name, changes in NUMBERS.items()} if numeric else {}
    settings = {name: load_config(config, [*base, *c]) for name, c in (changed | ways).items()}
    times: dict[str, list[float]] = {name: [] for name in settings}
    for _ in range(rounds):
        for name, chosen in settings.items():
            reports: list[Progress] = []
            with tempfile.TemporaryDirectory() as folder:
                train(chosen, out=Path(folder), report=reports.append)
            times[name].append(reports[-1].seconds_per_step)  # of the second half: the first warms up
    device = training_device()
    kinds = {n: numbers(computes_in_bfloat16(chosen, device)) for n, chosen in settings.items()}
    peaks = {kind: matrix_peak(device, kind) for kind in dict.fromkeys(kinds.values())}
    any_setting = next(iter(settings.values()))
    made: Any = RECIPES[any_setting.recipe](any_setting)
    side, count = made.config.data.patch, made.patches(made.stage(0, any_setting.steps - 1))
    forward = macs(made.network, torch.zeros(1, 3, side, side)) * count
    reached = ", ".join(f"{peak / 1e9:.0f} GFLOP/s in {short(kind)}" for kind, peak in peaks.items())
    print(f"{config}: {count} restored patches of {side}x{side} LR pixels a step, {device.type},")
    print(f"{threads} threads; {rounds} rounds in turn; product of matrices {reached}\n")
    print(
        "| setting | numbers | s / step | patches / s | speed-up | of the peak |\n|---|---|---|---|---|---|"
    )
    first = times[next(iter(times))]
    for name, seconds in times.items():
        ratio = median(b / s for b, s in zip(first, seconds, strict=True))
        middle, kind = median(seconds), kinds[name]
        part = 3 * 2 * forward / middle / peaks[kind]
        row = f"{short(kind)} | {middle:.3f} | {count / middle:.1f} | {ratio:.2f} | {part:.2f}"
        print(f"| {name} | {row} |")
    spent = [timed_parts(parts_of(settings[name], device), device, max(3, steps // 2)) for name in ways]
    print(f"\n| seconds of a step's parts | {' | '.join(ways)} |\n|---|{'---|' * len(ways)}")
    for part_name in spent[0]:
        print(f"| {part_name} | {' | '.join(f'{way[part_name]:.3f}' for way in spent)} |")


@app.command()
def launches(
    config: Annotated[Path, typer.Argument(help="A configuration of `blindsr train`.")],
    photos: Annotated[Path, typer.Option(help="Folder of sharp photos.")] = TRAINING_PHOTOS,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = 1,
    more: Annotated[list[str] | None, typer.Option("--set", help="As of `blindsr train`.")] = None,
) -> None:
    """What a step of a recipe launches, part by part."""
    logging.disable(logging.WARNING)
    device = training_device()
    base = common_settings(photos, threads, more)
    ways = ways_of(config, base)
    settings = {name: load_config(config, [*base, *changes]) for name, changes in ways.items()}
    torch.set_num_threads(threads)
    counts = [
        degrading_alone(counted_parts(parts_of(chosen, device), device)) for chosen in settings.values()
    ]
    what = "kernels and copies" if device.type == "cuda" else "operators that do work"
    print(f"{config}: {what} of a step, {device.type}\n")
    print(f"| part | {' | '.join(settings)} |\n|---|{'---|' * len(settings)}")
    for name in counts[0]:
        # Patches that are degraded at once, without a pool, are cut and degraded within the step.
        recorded = [device.type == "cuda" and (name in (NETWORK, REST) or way == BATCHED) for way in settings]
        cells = [f"{way[name]:.0f}{'*' * star}" for way, star in zip(counts, recorded, strict=True)]
        print(f"| {name} | {' | '.join(cells)} |")
    print(f"| whole step | {' | '.join(f'{sum(way.values()):.0f}' for way in counts)} |")


def common_settings(photos: Path, threads: int, more: list[str] | None) -> list[str]:
    """What every command changes of a configuration: nothing is written but at the end."""
    return [
        f"data.photos={photos}", "data.cache=.cache/photos", "data.holdout=0", "init=null",
        f"threads={threads}", f"checkpoint_every={10**9}", f"checkpoint_seconds={10**9}", *(more or []),
    ]  # fmt: skip


def training_device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def numbers(bfloat16: bool) -> torch.dtype:
    return torch.bfloat16 if bfloat16 else torch.float32


def short(kind: torch.dtype) -> str:
    return {torch.bfloat16: "bf16", torch.float32: "fp32"}[kind]


def parts_of(config: TrainConfig, device: torch.device) -> Parts:
    """The parts of a step that updates most weights, on one batch; degrading cuts as well."""
    torch.manual_seed(0)
    made: Any = RECIPES[config.recipe](config)
    made.load_data(device)
    for module in (made.network, *made.auxiliary.values(), *made.fixed):
        module.to(device)
        if config.channels_last:
            module.to(memory_format=torch.channels_last)
    place = config.steps - 1  # where all weights have begun
    number = max(range(1000), key=lambda n: (len(made.stage(n, place).groups), -n))
    stage = replace(made.stage(number, place), measured=False)
    batch = made.dataset(0, made.phase(place))[number]
    average = WeightAverage(made.network, config.ema)
    take = TrainingStep(
        made, made.network, average, config.model_copy(update={"graphs": False}), device,
        computes_in_bfloat16(config, device),
    )  # fmt: skip

    def degraded() -> dict[str, Tensor]:
        inputs = {name: tensor.to(device) for name, tensor in made.prepare(batch).items()}
        if isinstance(made, TaskRecipe) and "lr" not in inputs:
            inputs |= dict(zip(("lr", "hr"), made._made(inputs), strict=True))
        return inputs

    ready = degraded()

    logged: dict[str, Tensor] = {}

    def judged() -> None:
        for optimiser in take.optimisers.values():
            optimiser.zero_grad()
        with take.autocast():
            losses = made.losses(made.network, ready, stage)
        for loss, groups in losses.objectives:
            torch.autograd.backward(loss, inputs=[p for name in groups for p in made.parameters[name]])
        logged.update({name: loss.detach() for name, loss in losses.logged.items()})

    judged()
    gradients = [(p, p.grad) for group in made.parameters.values() for p in group]
    take._losses = lambda *_: Losses([], logged)  # what is left of the step has its gradients already

    def rest() -> None:
        for parameter, gradient in gradients:
            parameter.grad = gradient
        take(Position(number, place), stage, [{}])

    parts: Parts = {}
    if isinstance(batch, PoolBatch):
        dataset = made._groups
        groups = [dataset.crops(i) for i in range(GROUPS)]
        share = dataset.batch / (dataset.reuse * dataset.group) / GROUPS

        def cut() -> list[Tensor]:
            return [made._cutter(torch.from_numpy(group.places)) for group in groups]

        def fill() -> None:
            for hr, group in zip(cut(), groups, strict=True):
                made._pool._degradation(hr, group)

        parts[CUTTING], parts[DEGRADING] = Part(cut, share), Part(fill, share)
        if made._teacher is not None:
            rows = slice(0, dataset.group)
            parts[TEACHING] = Part(lambda: [made._pool._teach(made._teacher, g, rows) for g in groups], share)
    elif hasattr(batch, "places"):
        places = torch.from_numpy(batch.places).reshape(-1, batch.places.shape[-1])
        parts[CUTTING] = Part(lambda: made._cutter(places))
        parts[DEGRADING] = Part(degraded)
    parts[NETWORK] = Part(judged)
    parts[REST] = Part(rest)
    return parts


def degrading_alone(values: dict[str, float]) -> dict[str, float]:
    """Parts, and of degrading what it does but cut."""
    return {name: value - values.get(CUTTING, 0) * (name == DEGRADING) for name, value in values.items()}


def timed_parts(parts: Parts, device: torch.device, rounds: int) -> dict[str, float]:
    """Median seconds of each part of a step."""
    spent: dict[str, list[float]] = {name: [] for name in parts}
    for _ in range(rounds):
        for name, part in parts.items():
            start = time.perf_counter()
            part.work()
            wait(device)
            spent[name].append((time.perf_counter() - start) * part.share)
    return degrading_alone({name: median(seconds[1:]) for name, seconds in spent.items()})


def counted_parts(parts: Parts, device: torch.device) -> dict[str, float]:
    """What each part of a step launches."""
    activities = [ProfilerActivity.CUDA if device.type == "cuda" else ProfilerActivity.CPU]
    found = {}
    for name, part in parts.items():
        for _ in range(3):  # the first times allocate, and make tables
            part.work()
        wait(device)
        with profile(activities=activities) as profiler:
            part.work()
            wait(device)
        events: Any = profiler.events()
        if device.type == "cuda":
            count = sum(e.device_type.name == "CUDA" and not e.is_user_annotation for e in events)
        else:
            count = sum(working(event) for event in events if event.cpu_parent is None)
        found[name] = count * part.share
    return found


def working(event: Any) -> int:  # noqa: ANN401
    """Operators in an event of the profiler that do work themselves."""
    within = sum(working(child) for child in event.cpu_children)
    return within or int(works(event.name))


@cache
def works(name: str) -> bool:
    """Whether an operator computes: it is none that allocates, or makes another view of what is there."""
    space, _, operator = name.partition("::")
    if space != "aten" or operator.startswith(("empty", "new_empty", "resize_", "set_")):
        return False
    packet = getattr(torch.ops.aten, operator, None)
    if packet is None:
        return True
    made = [result for o in packet.overloads() for result in getattr(packet, o)._schema.returns]
    return not any(result.alias_info is not None and not result.alias_info.is_write for result in made)


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def step(network: BaseNet, lr: Tensor, hr: Tensor, modulation: Tensor) -> list[Tensor]:
    """Forward and backward: the output and every gradient."""
    network.zero_grad()
    sr = network(lr, modulation)
    (sr - hr).abs().mean().backward()
    return [sr.detach(), *(p.grad for p in network.parameters() if p.grad is not None)]


def timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    app()
