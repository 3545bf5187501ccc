"""Resizing of lines of pixels: which input pixels make an output pixel, and how much each counts.

Everything large is resized by `Axis`, which answers for any stretch of a line, so that a picture can be
resized piece by piece: the sums over its pieces are the picture resized whole.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

_BLOCK = 128
"""Outputs that are made by one product of matrices: in larger blocks most of the matrix would be zeros."""

Kernel = Callable[[NDArray[np.float64]], NDArray[np.float64]]


def cubic(t: NDArray[np.float64]) -> NDArray[np.float64]:
    """The cubic convolution kernel, a = -1/2 (Keys 1981, doi 10.1109/TASSP.1981.1163711, eq. 15)."""
    t = np.abs(t)
    near = (1.5 * t - 2.5) * t**2 + 1.0
    far = ((-0.5 * t + 2.5) * t - 4.0) * t + 2.0
    return np.where(t <= 1, near, np.where(t <= 2, far, 0.0))


def linear(t: NDArray[np.float64]) -> NDArray[np.float64]:
    """The triangle kernel of linear interpolation."""
    return np.maximum(0.0, 1.0 - np.abs(t))


def lanczos(t: NDArray[np.float64]) -> NDArray[np.float64]:
    """The Lanczos kernel of three lobes (Duchon 1979, J. Appl. Meteorol. 18(8), 1016-1022)."""
    return np.where(np.abs(t) < 3, np.sinc(t) * np.sinc(t / 3), 0.0)


_RADII: dict[Kernel, int] = {linear: 1, cubic: 2, lanczos: 3}


@lru_cache(maxsize=256)
def contributions(
    length: int, out: int, scale: float, kernel: Kernel = cubic
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Which pixels make each output pixel, and how much: antialiased, the edge repeated at the borders.

    Args:
        length: Pixels in the line.
        out: Pixels wanted.
        scale: The exact factor, which `out` may have been rounded from.
        kernel: `linear`, `cubic` or `lanczos`; stretched by the inverse scale when shrinking.

    Returns:
        Positions and weights, both (out, taps); the weights of a row sum to 1.
    """
    stretch = min(scale, 1.0)
    support = 2 * _RADII[kernel] / stretch
    centre = (np.arange(out) + 0.5) / scale - 0.5
    first = np.floor(centre - support / 2).astype(np.int64)
    positions = first[:, None] + np.arange(math.ceil(support) + 2)
    weights = kernel(stretch * (centre[:, None] - positions))
    weights /= weights.sum(axis=1, keepdims=True)
    positions = positions.clip(0, length - 1)
    for shared in (positions, weights):  # by all that ask for the same, in any thread
        shared.flags.writeable = False
    return positions, weights


class Axis:
    """One axis of a picture and the length it is to have.

    Enlarging is cubic. Shrinking is by Lanczos: on waves its error is 0.2 to 0.6 of the antialiased cubic's.

    Args:
        length: Pixels along the axis.
        out: Pixels wanted.
    """

    def __init__(self, length: int, out: int) -> None:
        self.length, self.out = length, out
        self._positions, self._weights = contributions(
            length, out, out / length, lanczos if out < length else cubic
        )
        # Positions rise along the taps and along the outputs, also where they are cut at the borders.
        self._first, self._last = self._positions[:, 0], self._positions[:, -1]

    def needed(self, start: int, stop: int) -> tuple[int, int]:
        """The inputs (start, stop) that make these outputs."""
        return int(self._first[start]), int(self._last[stop - 1]) + 1

    def reached(self, start: int, stop: int) -> tuple[int, int]:
        """The outputs (start, stop) that these inputs have a part in."""
        return (
            int(np.searchsorted(self._last, start, "left")),
            int(np.searchsorted(self._first, stop, "left")),
        )

    def matrix(self, outputs: tuple[int, int], inputs: tuple[int, int]) -> NDArray[np.float32]:
        """Weights of the inputs in the outputs, (outputs, inputs)."""
        positions = self._positions[slice(*outputs)] - inputs[0]
        rows, taps = np.nonzero((positions >= 0) & (positions < inputs[1] - inputs[0]))
        matrix = np.zeros((outputs[1] - outputs[0], inputs[1] - inputs[0]))
        # At the borders several positions name the same pixel, so their weights must add up.
        np.add.at(matrix, (rows, positions[rows, taps]), self._weights[slice(*outputs)][rows, taps])
        return matrix.astype(np.float32)

    def apply(
        self, pieces: NDArray[np.float32], inputs: tuple[int, int], outputs: tuple[int, int]
    ) -> NDArray[np.float32]:
        """What some inputs add to some outputs.

        Args:
            pieces: (..., n): the n inputs `inputs` (start, stop), on the last axis.
            inputs: Where they lie on the axis.
            outputs: Which outputs (start, stop) are wanted.

        Returns:
            (..., m), the sums over these inputs alone.
        """
        result = np.zeros((*pieces.shape[:-1], outputs[1] - outputs[0]), np.float32)
        for start in range(outputs[0], outputs[1], _BLOCK):
            stop = min(start + _BLOCK, outputs[1])
            low, high = self.needed(start, stop)
            low, high = max(low, inputs[0]), min(high, inputs[1])
            if low < high:
                piece = pieces[..., low - inputs[0] : high - inputs[0]]
                block = slice(start - outputs[0], stop - outputs[0])
                result[..., block] = piece @ self.matrix((start, stop), (low, high)).T
        return result
