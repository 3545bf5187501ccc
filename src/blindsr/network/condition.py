"""ConditionNets: what reads a task's degradation from its support set (arXiv 2104.03926, section III-B)."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from blindsr.network.basenet import conv3x3


class ConditionNet(nn.Module, ABC):
    """Maps the support sets of T tasks to T conditions.

    Attributes:
        size: Length C of the condition.
        support: Number of patches it needs, or None if any number will do.
        least: Smallest side of a patch, LR pixels.
    """

    size: int
    support: int | None
    least: int = 2

    @abstractmethod
    def start_for(self, pixel_range: float) -> None:
        """Make the random start fit photos in [0, pixel_range], before any weights are loaded."""

    @abstractmethod
    def forward(self, support: Tensor) -> Tensor:
        """Read the degradation.

        Args:
            support: T support sets of n LR patches, (T, n, 3, h, w), RGB in the network's pixel range.

        Returns:
            Conditions, (T, C).
        """


class StackedConditionNet(ConditionNet):
    """The published ConditionNet: the n patches of a support set are stacked on the channel axis.

    It starts as the official code has it, with a tenth of the weights that would keep activations their size:
    of pixels in [0, 255], which it is published for, conditions near 0, so modulations near 1.

    Args:
        support: Number n of patches in a support set; fixed for the life of the network.
        size: Length of the condition.
        width: Channels of the first two convolutions.
    """

    def __init__(self, support: int = 20, size: int = 128, width: int = 64) -> None:
        super().__init__()
        self.size, self.support = size, support
        self.condition = nn.Sequential(
            conv3x3(3 * support, width),
            nn.ReLU(inplace=True),
            conv3x3(width, width),
            nn.ReLU(inplace=True),
            nn.AvgPool2d(2),
            conv3x3(width, size),
            nn.ReLU(inplace=True),
            conv3x3(size, size),
            nn.ReLU(inplace=True),
        )
        _keep_activations(self, gain=0.1)

    def start_for(self, pixel_range: float) -> None:
        """See `ConditionNet.start_for`: else conditions of pixels in [0, 1] would hardly differ."""
        _scale_first(self.condition, 255 / pixel_range)

    def forward(self, support: Tensor) -> Tensor:
        """See `ConditionNet.forward`; n must be the number that the network was built for."""
        features: Tensor = self.condition(support.flatten(1, 2))  # (T, 3n, h, w) -> (T, C, h/2, w/2)
        return features.mean((2, 3))


class PatchConditionNet(ConditionNet):
    """One encoder for every patch, averaged over the patches: any number of them, in any order.

    Args:
        size: Length of the condition.
        width: Channels of the first two convolutions; the next two have twice as many.
    """

    def __init__(self, size: int = 128, width: int = 32) -> None:
        super().__init__()
        self.size, self.support = size, None
        self.encoder = nn.Sequential(
            conv3x3(3, width),
            nn.ReLU(inplace=True),
            conv3x3(width, width),
            nn.ReLU(inplace=True),
            nn.AvgPool2d(2),
            conv3x3(width, 2 * width),
            nn.ReLU(inplace=True),
            conv3x3(2 * width, 2 * width),
            nn.ReLU(inplace=True),
        )
        self.head = nn.Sequential(nn.Linear(2 * width, size), nn.ReLU(inplace=True), nn.Linear(size, size))
        _keep_activations(self)

    def start_for(self, pixel_range: float) -> None:
        """See `ConditionNet.start_for`: else modulations start as far from 1 as the range is wide."""
        _scale_first(self.encoder, 1 / pixel_range)

    def forward(self, support: Tensor) -> Tensor:
        """See `ConditionNet.forward`; n may differ from call to call."""
        tasks, patches = support.shape[:2]
        features: Tensor = self.encoder(support.flatten(0, 1))  # (T n, 3, h, w) -> (T n, 2 width, h/2, w/2)
        features = features.mean((2, 3)).unflatten(0, (tasks, patches)).mean(1)  # (T, 2 width)
        condition: Tensor = self.head(features)
        return condition


class AttentiveConditionNet(ConditionNet):
    """One encoder for every patch, and attentive statistics pooling over all places of all patches.

    Edges tell a blur and flat places the noise, so each channel learns where to look: its weighted mean and
    its weighted standard deviation, of weights that are a softmax over the places (Okabe et al. 2018, arXiv
    1803.10963, section 3.2). The encoder looks at 23 pixels each way, enough for a blur and for the
    blocks of a JPEG; its convolutions have no padding, which no degradation makes. It takes any number of
    patches, in any order.

    Args:
        size: Length of the condition.
        width: Channels of the first two convolutions; the others have twice and thrice as many.
    """

    least = 23

    def __init__(self, size: int = 128, width: int = 32) -> None:
        super().__init__()
        self.size, self.support = size, None
        plan = [(3, 1, 1), (1, 1, 1), (1, 2, 2), (2, 2, 1), (2, 3, 2), (3, 3, 1)]
        layers: list[nn.Module] = []
        for source, target, stride in plan:
            channels = (3 if not layers else source * width), target * width
            layers += [nn.Conv2d(*channels, 3, stride), nn.ReLU(inplace=True)]
        self.encoder = nn.Sequential(*layers)
        self.score = nn.Conv2d(3 * width, 3 * width, 1)
        self.head = nn.Sequential(nn.Linear(6 * width, size), nn.ReLU(inplace=True), nn.Linear(size, size))
        _keep_activations(self)
        nn.init.zeros_(self.score.weight)  # every place counts the same at the start

    def start_for(self, pixel_range: float) -> None:
        """See `ConditionNet.start_for`: else modulations start as far from 1 as the range is wide."""
        _scale_first(self.encoder, 1 / pixel_range)

    def forward(self, support: Tensor) -> Tensor:
        """See `ConditionNet.forward`; n may differ from call to call."""
        tasks, patches = support.shape[:2]
        features = self.encoder(support.flatten(0, 1))  # (T n, 3, h, w) -> (T n, 3 width, h', w')
        scores = self.score(features)
        # All places of a task side by side, (T, 3 width, n h' w'); the sums over them need single precision.
        features, scores = (
            maps.float().unflatten(0, (tasks, patches)).transpose(1, 2).flatten(2)
            for maps in (features, scores)
        )
        weights = scores.softmax(2)
        mean = (weights * features).sum(2)
        variance = (weights * (features - mean[..., None]).square()).sum(2)
        condition: Tensor = self.head(torch.cat([mean, (variance + 1e-6).sqrt()], 1))
        return condition


def _scale_first(layers: nn.Sequential, gain: float) -> None:
    """Let the first convolution see its input times `gain`."""
    first = layers[0]
    assert isinstance(first, nn.Conv2d)
    with torch.no_grad():
        first.weight.mul_(gain)


def _keep_activations(net: nn.Module, gain: float = 1.0) -> None:
    """Initialise so that activations keep their size through the layers, or each layer's times `gain`.

    The contrastive loss has no gradient where all conditions coincide, which is where the smaller default
    weights would start.
    """
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            assert module.bias is not None
            nn.init.zeros_(module.bias)
            with torch.no_grad():
                module.weight.mul_(gain)
