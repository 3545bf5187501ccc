"""Discriminators: networks that tell restored photos from real ones, place by place."""

from __future__ import annotations

from abc import ABC, abstractmethod
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from blindsr.network.basenet import conv3x3

SLOPE = 0.2  # of the leaky ReLU


class Discriminator(nn.Module, ABC):
    """Tells real photos from restored ones.

    In training mode every pass also moves the estimates of the spectral norms (Miyato et al. 2018, arXiv
    1802.05957, algorithm 1), which are part of the state.

    Attributes:
        head: The last convolution, from features to logits.
    """

    head: nn.Module

    @abstractmethod
    def features(self, x: Tensor) -> list[Tensor]:
        """The inner activations.

        Args:
            x: (N, 3, H, W), RGB in [0, 1].

        Returns:
            (N, c, h, w) each, in the order in which they are made; from the last one come the logits.
        """

    def forward(self, x: Tensor) -> Tensor:
        """Judge a batch.

        Args:
            x: (N, 3, H, W), RGB in [0, 1].

        Returns:
            Logits, (N, 1, h, w): above 0 where the photo looks real.
        """
        logits: Tensor = self.head(self.features(x)[-1])
        return logits


class PatchDiscriminator(Discriminator):
    """Judges patches: strided convolutions, so that a logit sees a window of the photo.

    After Isola et al. 2017 (arXiv 1611.07004, section 3.2.2), with spectral normalisation in place of batch
    normalisation. At the usual depth a window is 54 pixels wide.

    Args:
        channels: Width after the first convolution; it doubles with each, up to eight times.
        depth: Number of convolutions that halve the size.
    """

    def __init__(self, channels: int = 64, depth: int = 3) -> None:
        super().__init__()
        widths = [channels * 2 ** min(i, 3) for i in range(depth + 1)]
        self.down = nn.ModuleList([_halve(3, widths[0], normed=False)])
        self.down.extend(_halve(a, b) for a, b in pairwise(widths[:-1]))
        self.last = spectral_norm(conv3x3(widths[-2], widths[-1]))
        self.head = conv3x3(widths[-1], 1)

    def features(self, x: Tensor) -> list[Tensor]:
        """See `Discriminator.features`; the last two have the logits' size, H / 2^depth."""
        found = []
        for convolution in (*self.down, self.last):
            x = _leaky(convolution(x))
            found.append(x)
        return found


class UNetDiscriminator(Discriminator):
    """Judges every pixel, with what is around it in mind: a U-Net.

    The idea is that of Schönfeld et al. 2020 (arXiv 2002.12655); this form of it, with spectral normalisation
    and skips that are added, is that of Wang et al. 2021 (arXiv 2107.10833, section 3.3).

    Args:
        channels: Width at full size; it doubles at each of three halvings.
    """

    def __init__(self, channels: int = 64) -> None:
        super().__init__()
        widths = [channels * 2**i for i in range(4)]
        self.first = conv3x3(3, channels)
        self.down = nn.ModuleList(_halve(a, b) for a, b in pairwise(widths))
        self.up = nn.ModuleList(
            spectral_norm(nn.Conv2d(a, b, 3, padding=1, bias=False)) for a, b in pairwise(widths[::-1])
        )
        self.last = nn.ModuleList(
            spectral_norm(nn.Conv2d(channels, channels, 3, padding=1, bias=False)) for _ in range(2)
        )
        self.head = conv3x3(channels, 1)

    def features(self, x: Tensor) -> list[Tensor]:
        """See `Discriminator.features`; the last one, as the logits, has the photo's size."""
        found = [_leaky(self.first(x))]  # (N, C, H, W)
        for convolution in self.down:
            found.append(_leaky(convolution(found[-1])))  # (N, 2^i C, H / 2^i, W / 2^i)
        x = found[-1]
        for convolution, skip in zip(self.up, found[-2::-1], strict=True):
            x = F.interpolate(x, size=skip.shape[2:], mode="bilinear", align_corners=False)
            x = _leaky(convolution(x)) + skip
            found.append(x)
        for convolution in self.last:
            x = _leaky(convolution(x))
            found.append(x)
        return found


def _halve(into: int, channels: int, normed: bool = True) -> nn.Module:
    """A convolution to half the size; where it is spectrally normed it has no bias."""
    convolution = nn.Conv2d(into, channels, 4, stride=2, padding=1, bias=not normed)
    return spectral_norm(convolution) if normed else convolution


def _leaky(x: Tensor) -> Tensor:
    return F.leaky_relu(x, SLOPE, inplace=True)
