"""What a network computes, and what a device can: the two halves of a fraction of the peak."""

from __future__ import annotations

import time

import torch
from torch import Tensor, nn

SIDE = 2048  # of the matrices that the peak is measured with


def macs(network: nn.Module, *inputs: Tensor) -> int:
    """Multiply-accumulates of the convolutions and linear layers of a forward pass, by direct convolution."""
    found = [0]

    def count(layer: nn.Module, _: object, output: Tensor) -> None:
        if isinstance(layer, nn.Conv2d):
            found[0] += layer.weight.numel() * output.shape[0] * output.shape[2] * output.shape[3]
        elif isinstance(layer, nn.Linear):
            found[0] += layer.weight.numel() * output.numel() // output.shape[-1]

    hooks = [module.register_forward_hook(count) for module in network.modules()]
    try:
        with torch.inference_mode():
            network(*inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return found[0]


def matrix_peak(device: torch.device, dtype: torch.dtype, rounds: int = 5) -> float:
    """FLOP/s of the fastest of some products of two large matrices."""
    a, b = (torch.rand(SIDE, SIDE, device=device, dtype=dtype) for _ in range(2))
    best = float("inf")
    for _ in range(rounds):
        start = time.perf_counter()
        product = a @ b
        if device.type == "cuda":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - start)
    del product
    return 2 * SIDE**3 / best
