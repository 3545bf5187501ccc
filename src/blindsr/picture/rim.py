"""What a network sees beyond a photo's rim: the photo's own reflection. Geometry only.

Convolutions see zeros beyond their input. At the rim of a photo these are a black frame that was never there,
and the outermost rows of a white page come out gray. So every photo is extended before a network sees it, and
what is made of the extension is cut off: by `blindsr.upscaling.tiling`, which tells where, and
`Colours.window`, which reads there.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MARGIN = 8
"""LR pixels of reflection on each side of a photo. Zeros still lie beyond them, but change next to nothing
(docs/results/robustness.md)."""


def margins(length: int, halo: int, multiple: int = 1) -> tuple[int, int]:
    """How far one side of a photo is extended before its first pixel and after its last one.

    By `MARGIN`, or what the network sees of it; by a little more where it works on groups of pixels, so that
    a group begins with the photo and the last one is whole.

    Args:
        length: Of the side, LR pixels.
        halo: Receptive radius of the network, LR pixels.
        multiple: Side of a group, LR pixels.
    """
    seen = min(MARGIN, halo)
    return seen + -seen % multiple, seen + -(length + seen) % multiple


def reflected(start: int, stop: int, length: int) -> NDArray[np.intp]:
    """Which pixels of a photo's side are seen at the places start..stop, which may lie beyond it.

    The mirror is the photo's edge, so the pixel at the rim is seen twice. (In the middle of that pixel, as
    NumPy's "reflect" has it, the mirror would cut through what is restored of it: on photos that costs the
    outermost rows 1.6 to 4.3 dB, see docs/results/robustness.md.) A side that is shorter than what it is
    extended by is reflected again and again.

    Args:
        start: First place; the photo's first pixel is 0.
        stop: End of the places.
        length: Of the side, pixels, 1 or more.

    Example:
        >>> reflected(-3, 6, 4).tolist()
        [2, 1, 0, 0, 1, 2, 3, 3, 2]
    """
    places = np.arange(start, stop) % (2 * length)
    return np.minimum(places, 2 * length - 1 - places)
