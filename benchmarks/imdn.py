"""IMDN, a peer whose weights are a PyTorch file that no library here reads, written as an ONNX graph."""

from __future__ import annotations

import contextlib
import io
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, pixel_shuffle

from blindsr.system.files import atomic_path

_SLOPE = 0.05  # of every leaky ReLU


class _Attention(nn.Module):
    """Contrast-aware channel attention: a gate from each channel's mean and standard deviation."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        narrow = channels // 16
        self.conv_du = nn.Sequential(
            nn.Conv2d(channels, narrow, 1), nn.ReLU(), nn.Conv2d(narrow, channels, 1), nn.Sigmoid()
        )

    def forward(self, x: Tensor) -> Tensor:
        mean = x.mean((2, 3), keepdim=True)
        deviation = (x - mean).square().mean((2, 3), keepdim=True).sqrt()
        return x * self.conv_du(mean + deviation)


class _Distillation(nn.Module):
    """Information multi-distillation block: a quarter of the channels is kept after each convolution."""

    def __init__(self, channels: int, kept: int) -> None:
        super().__init__()
        rest = channels - kept
        self.split = [kept, rest]
        self.c1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.c2 = nn.Conv2d(rest, channels, 3, padding=1)
        self.c3 = nn.Conv2d(rest, channels, 3, padding=1)
        self.c4 = nn.Conv2d(rest, kept, 3, padding=1)
        self.cca = _Attention(channels)
        self.c5 = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        features, distilled = x, []
        for convolution in (self.c1, self.c2, self.c3):
            kept, features = leaky_relu(convolution(features), _SLOPE).split(self.split, 1)
            distilled.append(kept)
        distilled.append(self.c4(features))
        return x + self.c5(self.cca(torch.cat(distilled, 1)))


class IMDN(nn.Module):
    """Hui, Gao, Yang, Wang 2019, arXiv 1909.11856, with the names of its published weights.

    RGB in [0, 1], (N, 3, H, W) -> (N, 3, scale * H, scale * W).
    """

    def __init__(self, scale: int = 4, channels: int = 64, kept: int = 16) -> None:
        super().__init__()
        self.scale = scale
        self.fea_conv = nn.Conv2d(3, channels, 3, padding=1)
        self.IMDB1, self.IMDB2, self.IMDB3, self.IMDB4, self.IMDB5, self.IMDB6 = (
            _Distillation(channels, kept) for _ in range(6)
        )
        self.c = nn.Sequential(nn.Conv2d(6 * channels, channels, 1), nn.LeakyReLU(_SLOPE))
        self.LR_conv = nn.Conv2d(channels, channels, 3, padding=1)
        self.upsampler = nn.Sequential(nn.Conv2d(channels, 3 * scale**2, 3, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        first = features = self.fea_conv(x)
        found = []
        for block in (self.IMDB1, self.IMDB2, self.IMDB3, self.IMDB4, self.IMDB5, self.IMDB6):
            features = block(features)
            found.append(features)
        features = self.LR_conv(self.c(torch.cat(found, 1))) + first
        return pixel_shuffle(self.upsampler(features), self.scale)


def write_imdn(weights: Path, graph: Path) -> None:
    """Write published weights as an ONNX graph for pictures of any size.

    Raises:
        RuntimeError: The file does not hold this network.
    """
    network = IMDN().eval()
    tensors = torch.load(weights, map_location="cpu", weights_only=True)
    network.load_state_dict({name.removeprefix("module."): value for name, value in tensors.items()})
    sides = {2: torch.export.Dim("height", min=8), 3: torch.export.Dim("width", min=8)}
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")  # the exporter prints its progress and warns of its own future
        program = torch.onnx.export(
            network, (torch.rand(1, 3, 24, 40),), dynamo=True, input_names=["lr"], output_names=["sr"],
            dynamic_shapes=[sides], opset_version=18, verbose=False,
        )  # fmt: skip
    assert program is not None
    graph.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(graph) as temporary:
        temporary.write_bytes(program.model_proto.SerializeToString())
