"""What SRMD must be told of a blur: found by trying, because the components are not with its weights.

    python benchmarks/srmd.py $BLINDSR_BENCHMARKS/peers/srmd_x4.bin --photos $BLINDSR_BENCHMARKS/data/train

SRMD (Zhang et al. 2018, arXiv 1712.06116) is given the kernel as its place among 15 principal components of
its training's kernels, which its authors keep in a file of their own. So for each width of the blur the 15
numbers are sought that restore blurred training photos best, by gradient descent through the network (its
convolutions read from the ncnn file). That is at least what knowing the true kernel would give it. They are
written down as `peers.SRMD_TOLD`.
"""

from __future__ import annotations

import struct
from itertools import pairwise
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from torch import Tensor, nn

from blindsr.dataset.layouts import training_photos
from blindsr.degradation import Degradation, degrade
from blindsr.picture import read

CHANNELS, LAYERS, COMPONENTS, SCALE = 128, 12, 15, 4
HALF = 0x01306B47  # how ncnn marks weights in half precision
WIDTHS = (0.2, 1.3, 2.6)


def read_network(weights: Path, planes: int) -> nn.Sequential:
    """The convolutions of an ncnn file, each: a mark, weights in half precision, biases."""
    content, at = weights.read_bytes(), 0
    widths = [planes, *[CHANNELS] * (LAYERS - 1), 3 * SCALE**2]
    layers: list[nn.Module] = []
    for c_in, c_out in pairwise(widths):
        (mark,) = struct.unpack_from("<I", content, at)
        if mark != HALF:
            raise ValueError(f"{weights}: weights marked {mark:#x}, not in half precision")
        count = c_in * c_out * 9
        convolution = nn.Conv2d(c_in, c_out, 3, padding=1)
        numbers = np.frombuffer(content, "<f2", count, at + 4).astype(np.float32)
        at += 4 + (2 * count + 3) // 4 * 4
        biases = np.frombuffer(content, "<f4", c_out, at).copy()
        at += 4 * c_out
        with torch.no_grad():
            convolution.weight.copy_(torch.from_numpy(numbers).view_as(convolution.weight))
            assert convolution.bias is not None
            convolution.bias.copy_(torch.from_numpy(biases))
        layers += [convolution, nn.ReLU()]
    if at != len(content):
        raise ValueError(f"{weights}: {len(content) - at} bytes too many for SRMD x{SCALE}")
    return nn.Sequential(*layers[:-1], nn.PixelShuffle(SCALE)).requires_grad_(False)


def restore(network: nn.Module, lr: Tensor, told: Tensor) -> Tensor:
    """(N, 3, h, w) and what is told, (P,) -> (N, 3, sh, sw)."""
    planes = told.view(1, -1, 1, 1).expand(len(lr), -1, *lr.shape[2:])
    restored: Tensor = network(torch.cat([lr, planes], 1))
    return restored


def main(
    weights: Annotated[Path, typer.Argument(help="srmd_x4.bin.")],
    photos: Annotated[Path, typer.Option(help="Folder of sharp photos.")],
    steps: Annotated[int, typer.Option(help="Of gradient descent.")] = 250,
    crops: Annotated[int, typer.Option(help="Photos, one crop of each.")] = 8,
    side: Annotated[int, typer.Option(help="Of a crop, LR pixels.")] = 32,
    threads: Annotated[int, typer.Option(help="CPU threads.")] = 1,
) -> None:
    """Print the numbers for each width, and the PSNR that they give on the photos."""
    torch.set_num_threads(threads)
    network = read_network(weights, 3 + COMPONENTS + 1).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    files = training_photos(photos)
    chosen = [files[i * len(files) // crops] for i in range(crops)]
    from peers import SRMD_KERNEL

    for width in WIDTHS:
        lrs, hrs = [], []
        for number, file in enumerate(chosen):
            pixels, size = read(file).pixels, side * SCALE
            top, left = ((length - size) // 2 for length in pixels.shape[:2])
            hr = np.ascontiguousarray(pixels[top : top + size, left : left + size].transpose(2, 0, 1)[None])
            lrs.append(degrade(hr, Degradation.parse(f"blur={width}", scale=SCALE), number))
            hrs.append(hr)
        lr, hr = (torch.from_numpy(np.concatenate(images)) for images in (lrs, hrs))
        told = torch.tensor(SRMD_KERNEL, requires_grad=True)
        optimiser = torch.optim.Adam([told], lr=0.02)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
        first, best, numbers = 0.0, -1.0, list(SRMD_KERNEL)
        for step in range(steps):
            error = restore(network, lr, torch.cat([told, torch.zeros(1)])) - hr
            loss = error.square().mean()
            psnr = float(-10 * loss.detach().log10())
            first = first if step else psnr
            if psnr > best:
                best, numbers = psnr, told.tolist()
            optimiser.zero_grad()
            (1000 * loss).backward()
            optimiser.step()
            schedule.step()
        written = ", ".join(f"{value:.3f}" for value in numbers)
        print(f"    {width}: ({written}),  # {first:.2f} -> {best:.2f} dB", flush=True)


if __name__ == "__main__":
    typer.run(main)
