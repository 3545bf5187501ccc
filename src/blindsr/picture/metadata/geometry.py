"""From a picture as its metadata describe it to the picture as it is now: turned upright, and enlarged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from blindsr.picture.samples import TURNS


@dataclass(frozen=True)
class Change:
    """What became of a picture: first it was turned, then it was resized.

    Args:
        before: (height, width) that places in its metadata are told in, pixels.
        after: (height, width) that it has now.
        orientation: How it was turned: EXIF orientation of what was before, 1 to 8.
    """

    before: tuple[int, int]
    after: tuple[int, int]
    orientation: int = 1

    @classmethod
    def upright(cls, height: int, width: int, orientation: int) -> Change:
        """The turn alone, of a stored picture of this size."""
        swap = orientation in TURNS and TURNS[orientation][2]
        return cls((height, width), (width, height) if swap else (height, width), orientation)

    @property
    def turned(self) -> bool:
        """Whether it was turned or mirrored."""
        return any(self._turn)

    @property
    def swapped(self) -> bool:
        """Whether rows became columns."""
        return self._turn[2]

    @property
    def scales(self) -> tuple[float, float]:
        """Times by which columns and rows became more, (across, down), after the turn."""
        height, width = self.before[::-1] if self.swapped else self.before
        return self.after[1] / max(1, width), self.after[0] / max(1, height)

    @property
    def same_shape(self) -> bool:
        """Whether it is as wide for its height as it was, but for rounding, and lies as it did."""
        across, down = self.scales
        height, width = self.before
        near = abs(self.after[1] - down * width) <= 1 or abs(self.after[0] - across * height) <= 1
        return near and not self.turned

    def share(self, x: float, y: float) -> tuple[float, float]:
        """A place told in parts of the width and the height; resizing leaves it where it is."""
        reverse_rows, reverse_columns, swap = self._turn
        x, y = (1 - x if reverse_columns else x), (1 - y if reverse_rows else y)
        return (y, x) if swap else (x, y)

    def place(self, x: float, y: float) -> tuple[float, float]:
        """A pixel, told by the column and the row of its centre."""
        height, width = (max(1, side) for side in self.before)
        across, down = self.share((x + 0.5) / width, (y + 0.5) / height)
        return across * self.after[1] - 0.5, down * self.after[0] - 0.5

    def extent(self, width: float, height: float) -> tuple[float, float]:
        """Sides of a box in pixels."""
        across, down = self.scales
        width, height = self.sides(width, height)
        return width * across, height * down

    def sides(self, width: float, height: float) -> tuple[float, float]:
        """Sides of a box in parts of those of the picture, or any other pair that tells across, then down."""
        return (height, width) if self.swapped else (width, height)

    def corner(self, x: float, y: float, width: float, height: float) -> tuple[float, float]:
        """The upper left corner of a box told by its own one and its sides, all in parts of the picture's."""
        x, y = self.share(x + width / 2, y + height / 2)
        width, height = self.sides(width, height)
        return x - width / 2, y - height / 2

    def subject(self, numbers: Sequence[float]) -> list[int]:
        """A subject as EXIF tells it, pixels: a point; one and a diameter; or one and a box around it."""
        told = [*self.place(*numbers[:2]), *numbers[2:]]
        if len(told) == 3:
            told[2] *= sum(self.scales) / 2
        elif len(told) == 4:
            told[2:] = self.extent(*told[2:])
        return [max(0, round(number)) for number in told]

    @property
    def _turn(self) -> tuple[bool, bool, bool]:
        return TURNS.get(self.orientation, TURNS[1])
