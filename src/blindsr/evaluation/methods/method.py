"""What a method is, and how a network that is known only from outside is run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from blindsr.engine.inputs import all_finite
from blindsr.errors import ModelError
from blindsr.picture import Picture
from blindsr.picture.colours import Colours
from blindsr.picture.rim import MARGIN
from blindsr.upscaling.tiling import plan_tiles

Pixels = NDArray[np.float32]
Network = Callable[[Pixels], Pixels]
"""From an LR picture (3, H, W) to the restored one (3, scale * H, scale * W), both in the network's range."""

UNKNOWN_HALO = 32
"""LR pixels around a tile where nothing tells how far a network sees."""

_WHOLE = (1024 + 2 * MARGIN) ** 2
"""LR pixels, margins included, up to which a picture is restored in one piece: about a megapixel."""

_PROBE = 64  # side of the probe, LR pixels
_LIKE = 0.1  # mean difference up to which a restored probe, shrunk again, is taken for the probe


class Restorer(Protocol):
    """A loaded method.

    Attributes:
        scale: What it enlarges by; None where it takes any scale.
    """

    @property
    def scale(self) -> int | None: ...

    def restore(self, lr: Pixels, scale: int) -> Pixels:
        """Restore one picture.

        Args:
            lr: RGB in [0, 1], (H, W, 3).
            scale: What is wanted; its own, if it has one.

        Returns:
            RGB in [0, 1], (scale * H, scale * W, 3).
        """
        ...


@dataclass
class Method:
    """A column of the tables. It is loaded when first needed: kept results need neither it nor its time.

    Args:
        title: How tables call it.
        identity: What its results depend on besides the LR picture and this package's code, the files'
            content and the runtime's version among them; threads too, because they decide its times.
        load: Makes it ready.
    """

    title: str
    identity: str
    load: Callable[[], Restorer] = field(repr=False)

    @cached_property
    def restorer(self) -> Restorer:
        """The loaded method, warmed up: what a first call prepares is in no picture's time.

        Raises:
            ModelError: A file is missing, damaged, or no network that can be run.
            MissingExtraError: It needs what is not installed.
        """
        restorer = self.load()
        restorer.restore(probe().transpose(1, 2, 0), restorer.scale or 2)
        return restorer


@dataclass(frozen=True)
class NetworkRestorer:
    """A network known from outside. As with `Upscaler`, pictures go on beyond their rims.

    Args:
        title: For messages.
        network: Runs it.
        scale: What it enlarges by.
        pixel_range: Pixels of the network are in [0, pixel_range].
        halo: LR pixels that a tile carries around it; only pictures of more than about a megapixel are tiled.
        multiple: Tiles begin at multiples of it, LR pixels.
    """

    title: str
    network: Network
    scale: int
    pixel_range: float
    halo: int = UNKNOWN_HALO
    multiple: int = 1

    def restore(self, lr: Pixels, scale: int) -> Pixels:
        """See `Restorer.restore`."""
        height, width = lr.shape[:2]
        restored = np.empty((height * scale, width * scale, 3), np.float32)
        colours = Colours(Picture(lr))
        for tile in plan_tiles(height, width, "auto", self.halo, _WHOLE, multiple=self.multiple):
            window = colours.window(*tile.window.slices).transpose(2, 0, 1) * np.float32(self.pixel_range)
            part = np.ascontiguousarray(window)
            sr = self.network(part)
            expected = (3, *(scale * side for side in part.shape[1:]))
            if sr.shape != expected:
                raise ModelError(f"{self.title}: gave {sr.shape} where {expected} was expected")
            if not all_finite(sr):
                raise ModelError(f"{self.title}: gave values that are infinite or no numbers (NaN)")
            core = sr[(slice(None), *tile.kept(scale).slices)]
            restored[tile.core.scaled(scale).slices] = core.transpose(1, 2, 0)
        restored /= np.float32(self.pixel_range)
        return restored.clip(0, 1)


def probe() -> Pixels:
    """A smooth colour picture, each channel of its own, (3, 64, 64) in [0.1, 0.9]."""
    y, x = np.mgrid[0:_PROBE, 0:_PROBE] / (_PROBE - 1)
    planes = np.stack([x, y, (2 - x - y) / 2])
    return (0.1 + 0.8 * planes).astype(np.float32)


def find_out(network: Network, title: str) -> NetworkRestorer:
    """Find a network's scale and pixel range by restoring a smooth colour picture.

    The scale is how many times larger the result is. The range is the one, of [0, 1] and [0, 255], in which
    the result, shrunk again, is the probe: networks restore what they are given, and one that is fed the
    wrong range drowns it in its biases or leaves its linear part. Where both serve, [0, 1] is taken. Whether
    a network was trained on RGB or BGR does not show in this way; RGB is what it is given.

    Args:
        network: Runs it.
        title: For messages.

    Raises:
        ModelError: Its result is no enlarged picture, or does not resemble the probe in either range.
    """
    wanted, scale = probe(), 0
    differences = {}
    for pixel_range in (1.0, 255.0):
        sr = network(wanted * np.float32(pixel_range)) / np.float32(pixel_range)
        scale, remainder = divmod(sr.shape[-1], _PROBE)
        if sr.shape != (3, scale * _PROBE, scale * _PROBE) or scale < 1 or remainder:
            raise ModelError(
                f"{title}: makes {sr.shape} of a picture of {wanted.shape}, which is no enlarged picture"
            )
        shrunk = sr.reshape(3, _PROBE, scale, _PROBE, scale).mean(axis=(2, 4))
        difference = float(np.abs(shrunk - wanted).mean())
        if difference < _LIKE:  # never true of NaN
            return NetworkRestorer(title, network, scale, pixel_range)
        differences[pixel_range] = difference
    raise ModelError(
        f"{title}: what it makes of a picture does not resemble it (mean difference "
        f"{differences[1.0]:.2g} with pixels in [0, 1], {differences[255.0]:.2g} in [0, 255]); "
        "is it an untrained network, or one of another kind?"
    )
