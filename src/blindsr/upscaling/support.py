"""Support sets: which patches of a photo, or of many, tell their degradation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blindsr.models.card import SupportSpec
from blindsr.picture import Picture
from blindsr.picture.colours import Colours

_CANDIDATES = 3  # per axis of a support cell


def select_support(pixels: NDArray[np.float32], count: int, patch: int) -> NDArray[np.float32]:
    """Choose support patches from one image: the same ones every time, evenly spread, with content.

    The image is divided into `count` cells, and each gives one patch, so that every part of the image is
    heard, flat ones too. Within a cell the patch at the upper quartile of gradient energy is taken: blur
    shows only where there are edges and noise best where there are none, so neither the flattest nor the
    busiest patch would tell both; and the network was trained on crops taken anywhere, which the extremes do
    not resemble.

    Args:
        pixels: (H, W, 3), [0, 1]. An image smaller than a patch is continued by reflection.
        count: Patches wanted.
        patch: Side of a patch, pixels.

    Returns:
        Support set, (P, 3, patch, patch); P is less than `count` where the image has fewer positions.
    """
    return _select_support(Colours(Picture(pixels)), count, patch)


def _select_support(image: Colours, count: int, patch: int) -> NDArray[np.float32]:
    """As `select_support`, of which only the places looked at are read."""
    sides = image.picture.height, image.picture.width
    if min(sides) < patch:
        missing = [max(0, patch - side) for side in sides]
        padding = [*((lack // 2, lack - lack // 2) for lack in missing), (0, 0)]
        pixels = np.pad(image.window(slice(0, sides[0]), slice(0, sides[1])), padding, mode="reflect")
        image, sides = Colours(Picture(pixels)), pixels.shape[:2]
    height, width = (side - patch + 1 for side in sides)  # positions of a patch's corner
    rows = min(max(1, round((count * height / width) ** 0.5)), count, height)
    corners: dict[tuple[int, int], None] = {}  # a dict keeps the order
    for row, (top, bottom) in enumerate(_cells(height, rows)):
        columns = (row + 1) * count // rows - row * count // rows  # cells of this row
        for left, right in _cells(width, min(columns, width)):
            candidates = [(y, x) for y in _positions(top, bottom) for x in _positions(left, right)]
            candidates.sort(key=lambda at: (_gradient_energy(image, at, patch), at))
            corners[candidates[(3 * (len(candidates) - 1) + 2) // 4]] = None
    patches = [image.window(slice(y, y + patch), slice(x, x + patch)) for y, x in corners]
    return np.ascontiguousarray(np.stack(patches).transpose(0, 3, 1, 2))


def gather_support(images: Iterable[Colours], count: int, spec: SupportSpec) -> NDArray[np.float32]:
    """The support set that a model wants, shared evenly by so many images."""
    shares = [(i + 1) * spec.count // count - i * spec.count // count for i in range(count)]
    support = np.concatenate(
        [_select_support(image, share, spec.patch) for image, share in zip(images, shares, strict=True)]
    )
    return repeated(support, spec.count) if spec.fixed_count else support


def repeated(support: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """A support set of so many patches, (count, 3, h, w): the first ones again where there are fewer."""
    return support[np.arange(count) % len(support)]


def spread(images: Sequence[Any], most: int) -> list[Any]:
    """At most so many of the images, taken evenly over the sequence."""
    count = min(len(images), most)
    return [images[i * len(images) // count] for i in range(count)]


def _cells(length: int, count: int) -> list[tuple[int, int]]:
    """Divide 0..length into `count` parts, as (start, end)."""
    return [(i * length // count, (i + 1) * length // count) for i in range(count)]


def _positions(start: int, end: int) -> list[int]:
    """A few positions spread over start..end, without its ends where there is room."""
    count = min(_CANDIDATES, end - start)
    return [start + (2 * i + 1) * (end - start) // (2 * count) for i in range(count)]


def _gradient_energy(image: Colours, corner: tuple[int, int], side: int) -> float:
    """Sum of the squared luma gradient over a square; its first row and column look to those before them."""
    (top, left), start = corner, [max(0, place - 1) for place in corner]
    pixels = image.window(slice(start[0], top + side), slice(start[1], left + side))
    luma = (pixels @ np.array([0.299, 0.587, 0.114], np.float32)).astype(np.float64)
    down = np.diff(luma, axis=0)[:, left - start[1] :]
    across = np.diff(luma, axis=1)[top - start[0] :]
    return float(np.square(down).sum() + np.square(across).sum())
