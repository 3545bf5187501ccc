"""What a network computes, and what a device can: the two halves of a fraction of the peak."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

SIDE = 2048  # of the matrices that the peak is measured with


def macs(network: nn.Module, *inputs: Tensor) -> int:
    """Multiply-accumulates of the convolutions and linear layers of a forward pass, by direct convolution."""
    with torch.inference_mode():
        return counted([network], lambda: network(*inputs))[0]


def counted(networks: Iterable[nn.Module], work: Callable[[], object]) -> tuple[int, int]:
    """Multiply-accumulates of the convolutions and linear layers that run in some work, likewise.

    Returns:
        All of them, and those of layers that gradients go through, which backward takes twice more.
    """
    found = [0, 0]

    def count(layer: nn.Module, _: object, output: Tensor) -> None:
        if isinstance(layer, nn.Conv2d):
            amount = layer.weight.numel() * output.shape[0] * output.shape[2] * output.shape[3]
        elif isinstance(layer, nn.Linear):
            amount = layer.weight.numel() * output.numel() // output.shape[-1]
        else:
            return
        found[0] += amount
        found[1] += amount * output.requires_grad

    layers = {module for network in networks for module in network.modules()}
    hooks = [layer.register_forward_hook(count) for layer in layers]
    try:
        work()
    finally:
        for hook in hooks:
            hook.remove()
    return found[0], found[1]


def matrix_peak(device: torch.device, dtype: torch.dtype, rounds: int = 5, side: int = SIDE) -> float:
    """FLOP/s of the fastest of some products of two large matrices."""
    a, b = (torch.rand(side, side, device=device, dtype=dtype) for _ in range(2))
    best = float("inf")
    for _ in range(rounds):
        _wait(device)
        start = time.perf_counter()
        product = a @ b
        _wait(device)
        best = min(best, time.perf_counter() - start)
    del product
    return 2 * side**3 / best


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
