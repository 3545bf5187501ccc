"""What a network takes and how far it sees, found out by running it: for files that no card describes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from blindsr.engine.foreign import ForeignNetwork, Pixels
from blindsr.engine.inputs import all_finite
from blindsr.errors import ModelError
from blindsr.models.card import TILE_MEMORY
from blindsr.system.memory import peak

__all__ = ["UNKNOWN_HALO", "Probed", "probe_network", "probe_picture"]

UNKNOWN_HALO = 32
"""LR pixels around a tile where a network sees farther than can be measured and somebody wants tiles."""

MOST_SCALE = 16

_SIDE = 64  # of the picture that tells scale and range, LR pixels
_LIKE = 0.1  # mean difference up to which a restored picture, shrunk again, is taken for the picture
_MULTIPLES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)

_REACHES = (16, 48, 176)
"""How far changes are followed, LR pixels: no farther than need be, for each step takes ten times as long."""
_HEIGHT = 64  # of the strips on which they are
_SEEN = 0.02 / 255
"""A change of less is rounding: fast convolutions compute neighbours together."""
_SMALL = 0.25 / 255
"""A change of less cannot be seen. Where a network's sight fades slowly this is where it is taken to end."""
_CROP = 0.5 / 255
"""What a tile may differ by from the same place of the whole picture."""


@dataclass(frozen=True)
class Probed:
    """What was found out of a network; see `blindsr.models.card.Model` for what each means.

    Args:
        scale: How many times larger its pictures are.
        pixel_range: 1 or 255.
        halo: How far it sees, LR pixels; `UNKNOWN_HALO` where that was not to be measured.
        tiled: Whether it was.
        multiple: Sides and tiles are multiples of this.
        tile_memory: Bytes for each LR pixel of a tile.
        channels: Planes that it takes.
        window: The one (height, width) that it takes; None: any.
    """

    scale: int
    pixel_range: float
    halo: int
    tiled: bool
    multiple: int
    tile_memory: int
    channels: int
    window: tuple[int, int] | None


def probe_network(network: ForeignNetwork, what: str) -> Probed:
    """Find out what a network takes, and how far it sees.

    Its scale is how many times larger its result is. Its range is the one, of [0, 1] and [0, 255], in which
    the result, shrunk again, is the picture that it was given: networks restore what they are given, and one
    that is fed the wrong range drowns it in its biases or leaves its linear part. Where both serve, [0, 1]
    is taken. Whether a network was trained on RGB or BGR does not show in this way; RGB is what it is given.

    Its halo is measured: a picture is replaced by others beyond some places, and how far the result changes
        is
    looked at. That of a deep network is a fraction of what its layers could see, for what comes from far away
    fades. At last tiles are compared with the whole: they must begin at multiples that make no difference. A
    network for which there is no halo, or no such multiple, is no network for tiles.

    Args:
        network: Runs it.
        what: What it is called in messages.

    Raises:
        ModelError: Its result is no enlarged picture, or does not resemble the picture in either range, or it
            cannot run.
        MemoryError: There is not enough memory even for small pictures.

    Example:
        >>> twice = ForeignNetwork(lambda planes: planes.repeat(2, axis=1).repeat(2, axis=2))
        >>> found = probe_network(twice, "a network that repeats each pixel")
        >>> found.scale, found.pixel_range, found.halo, found.multiple
        (2, 1.0, 0, 1)
    """
    multiple = network.multiple if network.window else _least_multiple(network, what)
    scale, pixel_range = _scale_and_range(network, multiple, what)
    tile_memory = _tile_memory(network, scale, pixel_range, multiple)
    strips = _Strips(network, scale, pixel_range, multiple)
    found = next(filter(None, map(strips.measure, _reaches(network.window))), None)
    return Probed(
        scale,
        pixel_range,
        *(found if found is not None else (UNKNOWN_HALO, False, multiple)),
        tile_memory=tile_memory,
        channels=network.channels,
        window=network.window,
    )


def probe_picture(height: int, width: int) -> Pixels:
    """A smooth colour picture, each channel of its own, (3, height, width) in [0.1, 0.9]."""
    y, x = np.mgrid[0:height, 0:width] / np.array([height - 1, width - 1]).reshape(2, 1, 1)
    planes = np.stack([x, y, (2 - x - y) / 2])
    return (0.1 + 0.8 * planes).astype(np.float32)


def _least_multiple(network: ForeignNetwork, what: str) -> int:
    """What the sides must be multiples of for the network to run and to enlarge both alike."""
    fault = ""
    for multiple in (one for one in _MULTIPLES if one % network.multiple == 0):
        least = math.ceil(_SIDE / multiple)
        # Sides that are multiples of it and of nothing more; not square, so that none is taken for the other.
        height, width = ((least + 1 - least % 2) * multiple, (least + 3 - least % 2) * multiple)
        try:
            sr = network.restore(probe_picture(height, width), 1.0)
        except (RuntimeError, ModelError) as error:
            fault = str(error)
            continue
        fault = f"it makes {sr.shape} of a picture of {(3, height, width)}, which is no enlarged picture"
        if sr.shape in ((3, scale * height, scale * width) for scale in range(1, MOST_SCALE + 1)):
            return multiple
    raise ModelError(f"{what}: {fault.removeprefix(f'{what}: ')}")


def _scale_and_range(network: ForeignNetwork, multiple: int, what: str) -> tuple[int, float]:
    height, width = network.window or (math.ceil(_SIDE / multiple) * multiple,) * 2
    wanted = probe_picture(height, width)
    differences = {}
    for pixel_range in (1.0, 255.0):
        try:
            sr = network.restore(wanted, pixel_range)
        except RuntimeError as error:
            raise ModelError(f"{what}: cannot run on a picture of {width}x{height} ({error})") from error
        scale = sr.shape[-1] // width
        if not 1 <= scale <= MOST_SCALE or sr.shape != (3, scale * height, scale * width):
            raise ModelError(
                f"{what}: makes {sr.shape} of a picture of {wanted.shape}, which is no enlarged picture"
            )
        difference = float(np.abs(_shrunk(sr, scale) - wanted).mean())
        if difference < _LIKE:  # never true of NaN
            return scale, pixel_range
        differences[pixel_range] = difference
    raise ModelError(
        f"{what}: what it makes of a picture does not resemble it (mean difference "
        f"{differences[1.0]:.2g} with pixels in [0, 1], {differences[255.0]:.2g} in [0, 255]); "
        "is it an untrained network, or one of another kind?"
    )


def _shrunk(sr: Pixels, scale: int) -> Pixels:
    """Means of blocks."""
    planes, height, width = sr.shape
    blocks = sr.reshape(planes, height // scale, scale, width // scale, scale)
    means: Pixels = blocks.mean(axis=(2, 4))
    return means


def _reaches(window: tuple[int, int] | None) -> Iterator[int]:
    """How far to look; of a network of one window, a quarter of it."""
    if window is None:
        yield from _REACHES
    else:
        yield min(window) // 4


@dataclass
class _Strips:
    """Runs a network on strips that are long in one direction, and changes what lies at their ends."""

    network: ForeignNetwork
    scale: int
    pixel_range: float
    multiple: int

    def measure(self, reach: int) -> tuple[int, bool, int] | None:
        """Halo, True, and multiple, as far as they show within a reach; None where they do not."""
        # The farthest look takes too long for both directions, and few networks tell them apart.
        lines = [
            _Line(self, reach, across) for across in ((True, False) if reach < _REACHES[-1] else (True,))
        ]
        halo = self._halo(lines, reach)
        if halo is None:
            return None
        for multiple in (one for one in _MULTIPLES if one % self.multiple == 0):
            if all(line.holds_from(multiple, halo) for line in lines):
                return halo, True, multiple
        return None

    def _halo(self, lines: list[_Line], reach: int) -> int | None:
        """Smallest distance beyond which nothing changes; or, where one looks far, nothing to be seen."""
        changes = np.zeros(reach, np.float32)
        halo: int | None = 0
        for line in lines:
            for change in line.changes():
                changes = np.maximum(changes, change)
                halo = self._end_of(changes, reach)
                if halo is None:  # nothing makes up for it
                    return None
        return halo

    @staticmethod
    def _end_of(changes: Pixels, reach: int) -> int | None:
        """Where changes end, if that leaves enough beyond it to be sure."""
        most = reach * 3 // 4
        exact = _first_below(changes, _SEEN)
        if exact is not None and exact <= most:
            return exact
        small = _first_below(changes, _SMALL) if reach > _REACHES[0] else None
        with_margin = None if small is None else small + small // 4 + 2
        return with_margin if with_margin is not None and with_margin <= most else None

    def run(self, picture: Pixels) -> Pixels:
        """The restored picture, or nothing but infinity where it is no picture."""
        sr = self.network.restore(picture, self.pixel_range)
        wanted = (3, self.scale * picture.shape[1], self.scale * picture.shape[2])
        return sr if sr.shape == wanted and all_finite(sr) else np.full(wanted, np.inf, np.float32)


class _Line:
    """A strip in one direction: a core of twice the reach between two ends, and what is made of it.

    Args:
        strips: What runs the network.
        reach: Half the core, LR pixels.
        across: Whether it lies; else it stands.
    """

    def __init__(self, strips: _Strips, reach: int, across: bool) -> None:
        self._strips, self._reach, self._across = strips, reach, across
        if strips.network.window is not None:
            self._height, self._length = strips.network.window[:: 1 if across else -1]
        else:
            end, step = max(8, reach // 4), strips.multiple
            self._height = math.ceil(_HEIGHT / step) * step
            self._length = math.ceil(2 * (reach + end) / step) * step
        # Longer by what tiles are moved by later.
        self._whole = _made_picture(self._height, self._length + max(_MULTIPLES[-1], self._length // 3))

    @cached_property
    def _restored(self) -> Pixels:
        return self._run(self._whole[:, :, : self._length])

    def _run(self, strip: Pixels) -> Pixels:
        """A lying strip in and out, whatever the direction in which the network sees it."""
        given = strip if self._across else strip.transpose(0, 2, 1)
        sr = self._strips.run(np.ascontiguousarray(given))
        return sr if self._across else sr.transpose(0, 2, 1)

    def changes(self) -> Iterator[Pixels]:
        """Greatest change of the core at each distance from its ends, (reach,), by what replaces these."""
        end = (self._length - 2 * self._reach) // 2
        core = slice(end, end + 2 * self._reach)
        noise = np.random.default_rng(1).uniform(0, 1, self._whole.shape)
        for other in (0.0, noise):
            replaced = np.broadcast_to(np.asarray(other, np.float32), self._whole.shape).copy()
            replaced[:, :, core] = self._whole[:, :, core]
            sr = self._run(replaced[:, :, : self._length])
            column = self._columns(np.abs(sr - self._restored))[core]
            yield np.maximum(column[: self._reach], column[: -self._reach - 1 : -1])

    def holds_from(self, multiple: int, halo: int) -> bool:
        """Whether a tile that begins at a multiple restores what the whole strip does, but for its halo."""
        # Far from the first one, where places count; by a number of multiples in which no other hides.
        times = next(n for n in range(max(1, self._length // (3 * multiple)), 0, -1) if math.gcd(n, 30) == 1)
        start, scale = multiple * times, self._strips.scale
        if self._length <= start + 2 * halo:  # too little is left to be sure
            return False
        moved = self._run(self._whole[:, :, start : start + self._length])
        inside = slice((start + halo) * scale, (self._length - halo) * scale)
        beside = slice(halo * scale, (self._length - halo - start) * scale)
        difference = np.abs(self._restored[:, :, inside] - moved[:, :, beside])
        return bool(difference.max() <= _CROP)

    def _columns(self, difference: Pixels) -> Pixels:
        """Greatest value of each LR column, (length,)."""
        greatest: Pixels = difference.max(axis=(0, 1)).reshape(-1, self._strips.scale).max(axis=1)
        return greatest


def _first_below(changes: Pixels, bound: float) -> int | None:
    """Smallest distance from which on no change exceeds a bound."""
    beyond = np.flatnonzero(~(changes <= bound))  # NaN exceeds it
    first = int(beyond[-1]) + 1 if beyond.size else 0
    return first if first < len(changes) else None


def _made_picture(height: int, width: int) -> Pixels:
    """What a photo has: smooth parts, edges, flat shapes and a little noise, (3, height, width)."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0:height, 0:width]
    picture = probe_picture(height, width)
    for _ in range(4 + width // 16):
        far = np.hypot(y - rng.uniform(0, height), x - rng.uniform(0, width))
        disc = far < rng.uniform(3, height / 3)
        picture[:, disc] = 0.3 * picture[:, disc] + 0.7 * rng.uniform(0, 1, (3, 1)).astype(np.float32)
    picture += rng.normal(0, 0.02, picture.shape).astype(np.float32)
    return picture.clip(0, 1)


def _tile_memory(network: ForeignNetwork, scale: int, pixel_range: float, multiple: int) -> int:
    """Bytes for each LR pixel of a tile: what the process grows by for a picture of four times as many.

    At least what the result and copies of it take. A process that has taken more before does not grow; then
    it is what a card without a word of it means.
    """
    before, side = peak(), 2 * math.ceil(_SIDE / multiple) * multiple
    if network.window is not None or before is None:
        return TILE_MEMORY
    with suppress(RuntimeError, ModelError):  # what it cannot run, it need not have room for
        network.restore(probe_picture(side, side), pixel_range)
    grown = ((peak() or before) - before) * 4 // (3 * side**2)
    return max(grown or TILE_MEMORY, 4 * 4 * 3 * (1 + scale**2))
