"""Steps of the published Cria-CL network by the criteria that docs/cria-cl.md states, written out once more.

The network is that of the official test code, the criteria and their contrast are ours: its training was
never published. Adam by its formulas, the discriminator before the network, both from the same batch.
"""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from blindsr.training import load_config, train
from blindsr.training.checkpoint import Position
from blindsr.training.config import CriaConfig
from blindsr.training.cria import CriaRecipe
from blindsr.training.ema import WeightAverage
from blindsr.training.step import TrainingStep

PAPER = Path(__file__).parents[2] / "configs" / "cria_x1_paper.yaml"
WEIGHTS = {"held": 1.0, "structure": 0.7, "perceptual": 0.05, "adversarial": 0.1, "contrastive": 0.3}
RATES = {"network": (1e-3, 0.9, 0.99), "discriminator": (2e-3, 0.5, 0.99)}
VGG = {0: (3, 64), 2: (64, 64), 5: (64, 128)}  # up to relu2_1
MARGIN = 0.1
Weights = dict[str, Tensor]


@pytest.fixture
def settings(tmp_path: Path) -> list[str]:
    """The published layout, tiny, and VGG-19 of random weights."""
    torch.manual_seed(1)
    features = {
        f"features.{i}.weight": torch.randn(b, a, 3, 3) * (9 * a) ** -0.5 for i, (a, b) in VGG.items()
    }
    features |= {f"features.{i}.bias": torch.randn(b) * 0.1 for i, (_, b) in VGG.items()}
    torch.save(features, tmp_path / "vgg.pth")
    adam = "{lr: %g, betas: [%g, %g], milestones: []}"
    return [
        "network={cria: {scale: 2, channels: 4, blocks: 1, growth: 2, projector: 4, projector_blocks: 2}}",
        f"features={{network: vgg19, weights: {tmp_path / 'vgg.pth'}, layers: [relu1_2, relu2_1]}}",
        "criteria=[{name: pixel, as: held, weight: 1.0},"
        "{name: pixel, as: structure, view: structure, weight: 0.7}, {name: perceptual, weight: 0.05},"
        "{name: adversarial, weight: 0.1}, {name: contrastive, margin: 0.1, weight: 0.3}]",
        "contrast.regression=structure", "pixel_steps=0", "steps=100", "ema=0",
        f"texture_optimiser={adam % RATES['network']}",
        f"discriminator_optimiser={adam % RATES['discriminator']}",
    ]  # fmt: skip


def convolve(x: Tensor, weights: Weights, name: str) -> Tensor:
    weight = weights[f"{name}.weight"]
    return F.conv2d(x, weight, weights[f"{name}.bias"], padding=weight.shape[-1] // 2)


def leaky(x: Tensor) -> Tensor:
    return torch.where(x > 0, x, 0.2 * x)


def branch(mid: Tensor, weights: Weights, name: str) -> Tensor:
    for i in range(2):
        block = f"projector.{name}.{i}"
        inner = leaky(convolve(leaky(convolve(mid, weights, f"{block}.conv1")), weights, f"{block}.conv2"))
        mid = inner + convolve(mid, weights, f"{block}.skip")
    return mid


def restore(lr: Tensor, weights: Weights) -> tuple[Tensor, Tensor, Tensor]:
    """(N, 3, h, w) -> both views, (N, 3, 2h, 2w), and the texture view's share of each place."""
    first = x = convolve(lr, weights, "trunk.first")
    within = x
    for i in range(3):
        block = f"trunk.blocks.0.dense.{i}.convs"
        seen = within
        for j in range(4):
            seen = torch.cat([seen, leaky(convolve(seen, weights, f"{block}.{j}"))], 1)
        within = within + 0.2 * convolve(seen, weights, f"{block}.4")
    x = first + convolve(x + 0.2 * within, weights, "trunk.last")
    x = leaky(convolve(x.repeat_interleave(2, 2).repeat_interleave(2, 3), weights, "tail.up.0"))
    x = leaky(convolve(x, weights, "tail.up.1"))
    mid = convolve(leaky(convolve(x, weights, "tail.hr")), weights, "tail.last")
    m = branch(mid, weights, "mask").exp()
    m = m / m.sum(1, keepdim=True)
    b1, b2 = (branch(mid, weights, name) for name in ("structure", "texture"))
    s = (m * b1.abs()).sum(1)
    t = ((1 - m) / 3 * b2.abs()).sum(1)
    views = (convolve(m * b1, weights, "projector.structure_out"),
             convolve((1 - m) * b2, weights, "projector.texture_out"))  # fmt: skip
    return *views, (t / (s + t)).detach()


def phi(image: Tensor, vgg: Weights) -> list[Tensor]:
    mean, deviation = (
        torch.tensor(v).view(1, 3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    )
    x = convolve((image - mean) / deviation, vgg, "features.0").relu()
    x = convolve(x, vgg, "features.2").relu()
    return [x, convolve(F.max_pool2d(x, 2), vgg, "features.5").relu()]


def apart(a: list[Tensor], b: list[Tensor]) -> Tensor:
    """Squared distance of features of a length of (nearly) one, on the coarser grid, (N, h, w)."""
    total = torch.zeros(())
    for x, y in zip(a, b, strict=True):
        xx, yy = x.square().sum(1, keepdim=True), y.square().sum(1, keepdim=True)
        floor = 0.01 * (xx + yy).detach().mean((2, 3), keepdim=True) / 2
        place = (x / (xx + floor).sqrt() - y / (yy + floor).sqrt()).square().sum(1)
        total = total + (place if len(place[0]) == 16 else F.avg_pool2d(place, 2))
    return total / len(a)


def average_gan(high: Tensor, low: Tensor) -> Tensor:
    """Relativistic: `high` is to be judged higher than `low` is on average, and the other way round."""
    first = torch.log(1 + torch.exp(low.mean() - high)).mean()
    return first + torch.log(1 + torch.exp(low - high.mean())).mean()


def criteria(
    lr: Tensor, hr: Tensor, weights: Weights, vgg: Weights, judge: nn.Module
) -> tuple[Tensor, Tensor]:
    """What a batch costs the network and the discriminator."""
    structure, texture, share = restore(lr, weights)
    output = structure + texture
    real = judge(hr)
    own = average_gan(real, judge(output.detach()))
    found = {"held": (output - hr).abs().mean(), "structure": (structure - hr).abs().mean()}
    anchor, positive, negative = (phi(image, vgg) for image in (output, hr, structure.detach()))
    found["perceptual"] = torch.stack(
        [(a - b).abs().mean() for a, b in zip(anchor, positive, strict=True)]
    ).sum()
    found["adversarial"] = average_gan(judge(output), real.detach())
    hinge = (apart(anchor, positive) - apart(anchor, negative) + MARGIN).clamp_min(0)
    weight = F.avg_pool2d(share, 2)
    found["contrastive"] = (hinge * weight).sum() / weight.sum()
    total = torch.zeros(())
    for name, value in found.items():
        total = total + WEIGHTS[name] * value
    return total, own


class Adam:
    """arXiv 1412.6980, on tensors in place."""

    def __init__(self, tensors: list[Tensor], rate: float, first: float, second: float) -> None:
        self.tensors, self.rate, self.betas, self.taken = tensors, rate, (first, second), 0
        self.moments = [(torch.zeros_like(x), torch.zeros_like(x)) for x in tensors]

    @torch.no_grad()
    def step(self, gradients: Any) -> None:
        self.taken += 1
        a, b = self.betas
        for x, (first, second), gradient in zip(self.tensors, self.moments, gradients, strict=True):
            first.mul_(a).add_((1 - a) * gradient)
            second.mul_(b).add_((1 - b) * gradient**2)
            x -= self.rate * first / (1 - a**self.taken) / ((second / (1 - b**self.taken)).sqrt() + 1e-8)


def test_steps_are_those_of_the_page(cria_config_file: Path, settings: list[str], tmp_path: Path) -> None:
    config: Any = load_config(cria_config_file, settings)
    torch.manual_seed(0)
    ours = CriaRecipe(config)
    ours.load_data(torch.device("cpu"))
    network = ours.network.double().train()
    for module in (*ours.auxiliary.values(), *ours.fixed):
        module.double()
    kept = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        weights = {name: w.clone().requires_grad_() for name, w in network.state_dict().items()}
        vgg = {name: w.double() for name, w in torch.load(tmp_path / "vgg.pth", weights_only=True).items()}
        judge = deepcopy(ours.auxiliary["discriminator"])
        by_hand = {
            "network": Adam(list(weights.values()), *RATES["network"]),
            "discriminator": Adam(list(judge.parameters()), *RATES["discriminator"]),
        }
        take = TrainingStep(ours, network, WeightAverage(network, 0), config, torch.device("cpu"), False)
        batches = ours.dataset(0)
        for step in range(3):
            inputs = {name: x.double() for name, x in ours.prepare(batches[step]).items()}
            take(Position(step, place=step), ours.stage(step, step), [inputs])
            total, own = criteria(inputs["lr"], inputs["hr"], weights, vgg, judge)
            gradients = torch.autograd.grad(total, by_hand["network"].tensors, retain_graph=True)
            by_hand["discriminator"].step(torch.autograd.grad(own, by_hand["discriminator"].tensors))
            by_hand["network"].step(gradients)
            for name, weight in network.state_dict().items():
                torch.testing.assert_close(weight, weights[name].detach(), rtol=1e-7, atol=1e-9, msg=name)
            theirs = dict(judge.named_parameters())
            for name, weight in ours.auxiliary["discriminator"].named_parameters():
                torch.testing.assert_close(weight, theirs[name], rtol=1e-7, atol=1e-9, msg=name)
    finally:
        torch.set_default_dtype(kept)


@pytest.mark.slow
def test_the_published_configuration_trains(tmp_path: Path) -> None:
    """Its own network of 17 million weights, for a step of either stage, on made pairs."""
    rng = np.random.default_rng(0)
    for i in range(3):
        for side in ("HR", "LR"):
            (tmp_path / "pairs" / side).mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)).save(
                tmp_path / "pairs" / side / f"{i}.png"
            )
    config = load_config(
        PAPER,
        [
            f"data.pairs={tmp_path / 'pairs'}", f"data.cache={tmp_path / 'cache'}", "data.holdout=1",
            "data.batch=2", "data.patch=16", "data.workers=0", "steps=4", "pixel_steps=1",
            "texture_optimiser.after=1", "log_every=1", "validation.every=4", "validation.crop=32",
            "checkpoint_every=4", "features={network: discriminator}", "threads=1",
        ],
    )  # fmt: skip
    assert isinstance(config, CriaConfig)
    seen: list[Any] = []
    assert train(config, tmp_path / "run", report=seen.append).name == "step-00000004.ckpt"
    assert [set(progress.losses) >= {"contrastive", "adversarial"} for progress in seen] == [
        False, False, True, True,
    ]  # fmt: skip
    assert all(np.isfinite(value) for progress in seen for value in progress.losses.values())


def test_at_x4_it_is_the_same_but_for_what_is_said() -> None:
    changes = PAPER.read_text().partition("RealSR: ")[2].partition("\n")[0].replace("--set ", "").split()
    config = load_config(PAPER, changes)
    assert isinstance(config, CriaConfig) and config.data.scale == 4
    assert config.network == {"cria": {"scale": 4}} and config.data.pairs == "RealSR-Canon"
    assert config.criteria == load_config(PAPER).criteria  # type: ignore[attr-defined]
