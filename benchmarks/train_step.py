"""One training step of CMDSR: scaling inputs against per-sample weights and grouped convolutions.

    python benchmarks/train_step.py

Forward and backward of the published network (SRResNet-10 x4) on 16 LR patches of 8 tasks, the three
formulations in turn, so that a machine that drifts does not favour one. They compute the same function: the
greatest differences of output and gradients are printed with the times.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import Annotated

import torch
import typer
from torch import Tensor, nn

from blindsr.network import BaseNet, build_network
from blindsr.network.basenet import ModulatedConv2d


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


def main(
    batch: Annotated[int, typer.Option(help="LR patches in a step.")] = 16,
    tasks: Annotated[int, typer.Option(help="Tasks they belong to.")] = 8,
    patch: Annotated[int, typer.Option(help="Side of an LR patch.")] = 32,
    channels: Annotated[int, typer.Option(help="Width of the network.")] = 64,
    blocks: Annotated[int, typer.Option(help="Residual blocks.")] = 10,
    runs: Annotated[int, typer.Option(help="Counted rounds.")] = 7,
    threads: Annotated[int, typer.Option(help="CPU threads.")] = 2,
) -> None:
    """Print a table of times and ratios."""
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
    typer.run(main)
