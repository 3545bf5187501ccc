"""Frozen networks whose inner activations tell how a picture looks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from blindsr.errors import ConfigError

_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_LPIPS_SHIFT, _LPIPS_SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)  # of pixels in [-1, 1]

_VGG_BLOCKS = ((64, 2), (128, 2), (256, 4), (512, 4), (512, 4))
"""Channels and number of convolutions of each block; a pooling stands between two blocks."""
_SQUEEZENET_FIRES = (
    (),
    ("pool", 3, 4),
    ("pool", 6, 7),
    ("pool", 9),
    (10,),
    (11,),
    (12,),
)
"""What each stage adds to the one before: a pooling, or a fire module by its number in torchvision's file."""
SQUEEZENET_CHANNELS = (64, 128, 256, 384, 384, 512, 512)
"""Channels of each stage of `SqueezeNetFeatures`."""
VGG19_LAYERS = tuple(f"relu{b}_{i}" for b, (_, n) in enumerate(_VGG_BLOCKS, 1) for i in range(1, n + 1))
"""Names of the layers of `VGG19Features`, as the literature has them."""
SQUEEZENET_LAYERS = tuple(f"relu{i}" for i in range(1, 8))
"""Names of the layers of `SqueezeNetFeatures`."""


class FeatureNetwork(nn.Module, ABC):
    """A frozen network of which some inner layers are looked at.

    Its weights take no gradient, and the picture does. Under channels_last it keeps that format.

    Args:
        layers: Names of the layers to be looked at; in whatever order, they come by depth.
        known: Names of all layers it could have, by depth.

    Attributes:
        layers: The layers looked at, by depth.

    Raises:
        ConfigError: A layer is unknown, or there is none.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, layers: Sequence[str], known: Sequence[str]) -> None:
        super().__init__()
        unknown = [name for name in layers if name not in known]
        if unknown or not layers:
            raise ConfigError(
                f"features.layers: {', '.join(unknown) or 'none'}; the network has {', '.join(known)}"
            )
        self.layers = tuple(name for name in known if name in layers)

    def _normalise(self, mean: Sequence[float], deviation: Sequence[float]) -> None:
        """Say what to subtract from pixels, and then to divide them by; no part of the state."""
        for name, values in (("mean", mean), ("deviation", deviation)):
            self.register_buffer(name, torch.tensor(values).view(1, 3, 1, 1), persistent=False)

    @abstractmethod
    def stages(self, x: Tensor) -> Iterator[Tensor]:
        """The chosen layers' activations one after another, so that none need be kept.

        Args:
            x: (N, 3, H, W), RGB in [0, 1].

        Yields:
            (N, c, h, w), >= 0, ever smaller h and w.
        """

    def forward(self, x: Tensor) -> list[Tensor]:
        """All of `stages`."""
        return list(self.stages(x))


class VGG19Features(FeatureNetwork):
    """VGG-19 (Simonyan and Zisserman 2014, arXiv 1409.1556, table 1, column E) after its ReLUs.

    Args:
        layers: Of `VGG19_LAYERS`; nothing deeper than the deepest of them is built.
        normalised: Whose weights it has. False: torchvision's ("features.0.weight", ...): pictures are
            normalised by ImageNet's mean and deviation, and edges padded with zeros. True: those scaled so
            that every channel's mean activation over ImageNet is 1 (Gatys et al. 2016, doi
            10.1109/CVPR.2016.265, section 2), in the layout that style transfer networks share ("0.weight",
            ...): a 1x1 convolution of their own takes the pictures, and edges are reflected. State names are
            those of the files, with "features." before.

    Raises:
        ConfigError: A layer is unknown, or there is none.
    """

    def __init__(
        self, layers: Sequence[str] = ("relu1_2", "relu2_2", "relu3_1"), normalised: bool = False
    ) -> None:
        super().__init__(layers, VGG19_LAYERS)
        self.normalised = normalised
        self.features = nn.ModuleDict()
        self.steps: list[tuple[str, str]] = []  # "pool" or a convolution's number, and the name of its ReLU
        if normalised:
            self.features["0"] = nn.Conv2d(3, 3, 1)
        else:
            self._normalise(_IMAGENET_MEAN, _IMAGENET_STD)
        number, into = 2 if normalised else 0, 3
        names = iter(VGG19_LAYERS)
        for channels, convolutions in _VGG_BLOCKS:
            for _ in range(convolutions):
                name = next(names)
                self.features[str(number)] = nn.Conv2d(
                    into, channels, 3, padding=1, padding_mode="reflect" if normalised else "zeros"
                )
                self.steps.append((str(number), name))
                if name == self.layers[-1]:
                    self.requires_grad_(False)
                    return
                number, into = number + (3 if normalised else 2), channels  # padding too is a layer there
            self.steps.append(("pool", ""))
            number += 1

    def stages(self, x: Tensor) -> Iterator[Tensor]:
        """See `FeatureNetwork.stages`."""
        x = self.features["0"](x) if self.normalised else (x - self.mean) / self.deviation
        for step, name in self.steps:
            if step == "pool":
                x = F.max_pool2d(x, 2, ceil_mode=self.normalised)
            else:
                x = F.relu(self.features[step](x), inplace=True)
            if name in self.layers:
                yield x


class _Fire(nn.Module):
    """A fire module: few channels, then many of two kinds (arXiv 1602.07360, section 3.2)."""

    def __init__(self, into: int, channels: int) -> None:
        super().__init__()
        squeezed, half = channels // 8, channels // 2
        self.squeeze = nn.Conv2d(into, squeezed, 1)
        self.expand1x1 = nn.Conv2d(squeezed, half, 1)
        self.expand3x3 = nn.Conv2d(squeezed, half, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, into, h, w) -> (N, channels, h, w)."""
        x = F.relu(self.squeeze(x), inplace=True)
        return F.relu(torch.cat([self.expand1x1(x), self.expand3x3(x)], dim=1), inplace=True)


class SqueezeNetFeatures(FeatureNetwork):
    """SqueezeNet 1.1 (Iandola et al. 2016, arXiv 1602.07360) at the seven stages that LPIPS measures.

    State names are torchvision's ("features.0.weight", ...).

    Args:
        layers: Of `SQUEEZENET_LAYERS`.

    Raises:
        ConfigError: A layer is unknown, or there is none.
    """

    def __init__(self, layers: Sequence[str] = SQUEEZENET_LAYERS) -> None:
        super().__init__(layers, SQUEEZENET_LAYERS)
        self._normalise([(s + 1) / 2 for s in _LPIPS_SHIFT], [s / 2 for s in _LPIPS_SCALE])
        self.features = nn.ModuleDict({"0": nn.Conv2d(3, 64, 3, stride=2)})
        into = 64
        for fires, channels in zip(_SQUEEZENET_FIRES, SQUEEZENET_CHANNELS, strict=True):
            for number in fires:
                if number != "pool":
                    self.features[str(number)] = _Fire(into, channels)
                    into = channels
        self.requires_grad_(False)

    def stages(self, x: Tensor) -> Iterator[Tensor]:
        """See `FeatureNetwork.stages`; at least 17 pixels each way."""
        x = F.relu(self.features["0"]((x - self.mean) / self.deviation), inplace=True)
        for name, fires in zip(SQUEEZENET_LAYERS, _SQUEEZENET_FIRES, strict=True):
            for number in fires:
                if number == "pool":
                    x = F.max_pool2d(x, 3, stride=2, ceil_mode=True)
                else:
                    x = self.features[str(number)](x)
            if name in self.layers:
                yield x
            if name == self.layers[-1]:
                return
