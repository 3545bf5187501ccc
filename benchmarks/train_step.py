"""One training step: the formulations of CMDSR's modulation, and how fast a recipe's whole step is.

    python benchmarks/train_step.py formulations
    python benchmarks/train_step.py recipe configs/cmdsr_x4_long.yaml --photos my/photos

The first: forward and backward of the published network (SRResNet-10 x4) on 16 LR patches of 8 tasks, three
formulations in turn, so that a machine that drifts does not favour one. They compute the same function: the
greatest differences of output and gradients are printed with the times.

The second trains as `blindsr train` does, with cutting, degrading and optimising, in several settings in
turn, and prints restored patches a second and the arithmetic achieved as a fraction of what products of large
matrices achieve in fp32 on the same device: forward, and twice that backward, of the network alone. Then it
tells where a step's time goes.
"""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Annotated

import torch
import typer
from arithmetic import macs, matrix_peak
from lightning.fabric import Fabric
from places import TRAINING_PHOTOS
from torch import Tensor, nn

from blindsr.network import BaseNet, build_network
from blindsr.network.basenet import ModulatedConv2d
from blindsr.training import train
from blindsr.training.cmdsr import CMDSRRecipe
from blindsr.training.config import CMDSRConfig, load_config
from blindsr.training.loop import RECIPES, Progress
from blindsr.training.recipe import Recipe

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


SETTINGS: dict[str, list[str]] = {
    "fp32, contiguous": ["precision=32-true", "channels_last=false", "keep_memory=false"],
    "fp32, channels_last": ["precision=32-true", "channels_last=true", "keep_memory=false"],
    "bf16, channels_last": ["precision=bf16-mixed", "channels_last=true", "keep_memory=false"],
    "bf16, channels_last, memory kept": ["precision=bf16-mixed", "channels_last=true", "keep_memory=true"],
}


@app.command()
def recipe(
    config: Annotated[Path, typer.Argument(help="A configuration of `blindsr train`.")],
    photos: Annotated[Path, typer.Option(help="Folder of sharp photos.")] = TRAINING_PHOTOS,
    steps: Annotated[int, typer.Option(help="Steps of each setting in a round.")] = 20,
    rounds: Annotated[int, typer.Option(help="Rounds.")] = 3,
    threads: Annotated[int, typer.Option(help="CPU threads.")] = 1,
    more: Annotated[list[str] | None, typer.Option("--set", help="As of `blindsr train`.")] = None,
) -> None:
    """The whole step of a recipe, in several settings."""
    logging.disable(logging.WARNING)
    base = [
        f"data.photos={photos}", "data.cache=.cache/photos", "init=null", f"threads={threads}",
        f"steps={steps}", f"log_every={steps // 2}", f"checkpoint_every={steps}", f"validation.every={10**9}",
        "data.holdout=0", *(more or []),
    ]  # fmt: skip
    times: dict[str, list[float]] = {name: [] for name in SETTINGS}
    for _ in range(rounds):
        for name, settings in SETTINGS.items():
            told: list[Progress] = []
            with tempfile.TemporaryDirectory() as folder:
                train(load_config(config, [*base, *settings]), out=Path(folder), report=told.append)
            times[name].append(told[-1].seconds_per_step)  # of the second half: the first warms up
    settings = load_config(config, base)
    made = RECIPES[settings.recipe](settings)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.set_num_threads(threads)
    data = settings.data
    count = data.tasks * 2 * data.restored if isinstance(settings, CMDSRConfig) else data.batch
    forward = macs(made.network, torch.zeros(1, 3, data.patch, data.patch)) * count
    peak = matrix_peak(device, torch.float32)
    print(f"{config}: {count} restored patches of {data.patch}x{data.patch} LR pixels a step, {device.type},")
    print(
        f"{threads} threads; {rounds} rounds in turn; product of matrices {peak / 1e9:.0f} GFLOP/s in fp32\n"
    )
    print("| setting | s / step | patches / s | speed-up | of the fp32 peak |\n|---|---|---|---|---|")
    first = times[next(iter(times))]
    for name, seconds in times.items():
        ratio = median(b / s for b, s in zip(first, seconds, strict=True))
        middle = median(seconds)
        part = 3 * 2 * forward / middle / peak
        print(f"| {name} | {middle:.3f} | {count / middle:.1f} | {ratio:.2f} | {part:.2f} |")
    print("\n| part of a step, fp32 | s |\n|---|---|")
    for name, spent in parts_of(made, device, steps).items():
        print(f"| {name} | {spent:.3f} |")


def parts_of(made: Recipe, device: torch.device, steps: int) -> dict[str, float]:
    """Median seconds of cutting patches, degrading them, and all that the network takes."""
    made.load_data()
    dataset = made.dataset(0)
    fabric = Fabric(accelerator=device.type, devices=1)
    network = made.network.to(device)
    for other in [*made.companions.values(), *made.fixed]:
        other.to(device)
    degrading = made.degraded if isinstance(made, CMDSRRecipe) else made.images  # type: ignore[attr-defined]
    spent: dict[str, list[float]] = {"cutting": [], "degrading": [], "network, forward and backward": []}
    for number in range(max(3, steps // 2)):
        marks = [time.perf_counter()]
        batch = dataset[number]
        marks.append(time.perf_counter())
        degrading(batch, device)
        _wait(device)
        marks.append(time.perf_counter())
        made.losses(network, batch, fabric)["total"].backward()
        _wait(device)
        marks.append(time.perf_counter())
        for values, (start, end) in zip(spent.values(), pairwise(marks), strict=True):
            values.append(end - start)
    found = {name: median(values[1:]) for name, values in spent.items()}
    found["network, forward and backward"] -= found["degrading"]  # `losses` degrades as well
    return found


def _wait(device: torch.device) -> None:
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
