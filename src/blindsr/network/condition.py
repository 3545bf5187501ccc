"""ConditionNets: what reads a task's degradation from its support set (arXiv 2104.03926, section III-B)."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn

from blindsr.network.basenet import conv3x3


class ConditionNet(nn.Module, ABC):
    """Maps the support sets of T tasks to T conditions.

    Attributes:
        size: Length C of the condition.
        support: Number of patches it needs, or None if any number will do.
    """

    size: int
    support: int | None

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
        # Activations must keep their size through the layers: the contrastive loss has no gradient where all
        # conditions coincide, which is where the smaller default weights would start.
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                assert module.bias is not None
                nn.init.zeros_(module.bias)

    def forward(self, support: Tensor) -> Tensor:
        """See `ConditionNet.forward`; n may differ from call to call."""
        tasks, patches = support.shape[:2]
        features: Tensor = self.encoder(support.flatten(0, 1))  # (T n, 3, h, w) -> (T n, 2 width, h/2, w/2)
        features = features.mean((2, 3)).unflatten(0, (tasks, patches)).mean(1)  # (T, 2 width)
        condition: Tensor = self.head(features)
        return condition
