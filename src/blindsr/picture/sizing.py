"""How large a result is to be. Geometry only."""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import floor, inf

from blindsr.errors import InputError
from blindsr.system.untrusted import shorten

MAX_OUTPUT_PIXELS = 1 << 31
"""Largest result that may be asked for, in pixels: a slip in a number must not fill the disk."""

_ENDLESS = 10**15


@dataclass(frozen=True, kw_only=True, repr=False)
class OutputSize:
    """The size asked for, in exactly one way; the sides keep their proportion.

    Nothing in it changes, so threads may share one.

    Args:
        scale: Times as long as the input's sides; need not be whole.
        width: Columns of pixels; the height follows.
        height: Rows of pixels; the width follows.
        fit: (width, height) of a box in pixels: the largest size that lies within it.

    Raises:
        InputError: None or several are given, or a number is not positive.

    Example:
        >>> size = blindsr.OutputSize(fit=(3840, 2160))
        >>> size
        OutputSize(fit=(3840, 2160))
        >>> size.of(height=400, width=600)
        (2160, 3240)
    """

    scale: float | None = None
    width: int | None = None
    height: int | None = None
    fit: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        given = [name for name, value in vars(self).items() if value is not None]
        if len(given) != 1:
            raise InputError(
                f"{' and '.join(given) or 'no size'}: give exactly one of scale, width, height and fit"
            )
        (value,) = (value for value in vars(self).values() if value is not None)
        sides = value if isinstance(value, tuple) else (value,)
        # A whole number may have more digits than fit a float; what is merely too large `of` tells.
        if not all(0 < side < (_ENDLESS if isinstance(side, int) else inf) for side in sides):
            raise InputError(f"{given[0]} {shorten(value)}: a size must be above 0, and finite")

    def __repr__(self) -> str:
        given = (f"{name}={value!r}" for name, value in vars(self).items() if value is not None)
        return f"OutputSize({', '.join(given)})"

    @classmethod
    def parse_fit(cls, text: str) -> OutputSize:
        """Read a box such as "3840x2160".

        Raises:
            InputError: The text is no such box.
        """
        sides = text.lower().split("x")
        if len(sides) != 2 or not all(re.fullmatch("[0-9]{1,15}", side) for side in sides):
            raise InputError(f"fit {text[:40]!r}: give the box as WIDTHxHEIGHT, such as 3840x2160")
        return cls(fit=(int(sides[0]), int(sides[1])))

    @classmethod
    def parse_print(cls, text: str) -> tuple[OutputSize, float]:
        """Read the size of a print, such as "30cm@300dpi" (its longer side) or "30x20cm@300dpi" (a box).

        Args:
            text: One length or two, in cm, mm or in; and pixels per inch.

        Returns:
            The box in pixels, and pixels per inch.

        Raises:
            InputError: The text is no such size.
        """
        number = r"([0-9]{1,6}(?:\.[0-9]{1,6})?)"
        match = re.fullmatch(rf"{number}(?:x{number})?(cm|mm|in)@{number}dpi", text.replace(" ", "").lower())
        if match is None:
            raise InputError(f"print {text[:40]!r}: give a size and a resolution, such as 30cm@300dpi")
        dpi = float(match[4])
        pixels = dpi / {"cm": 2.54, "mm": 25.4, "in": 1.0}[match[3]]
        width, height = (round(float(side) * pixels) for side in (match[1], match[2] or match[1]))
        return cls(fit=(width, height)), dpi

    @property
    def label(self) -> str:
        """What was asked for, short, fit for a file's name: "x2.5", "1920w", "1080h" or "3840x2160"."""
        if self.scale is not None:
            return f"x{self.scale:g}"
        if self.width is not None:
            return f"{self.width}w"
        if self.height is not None:
            return f"{self.height}h"
        assert self.fit is not None
        return "{}x{}".format(*self.fit)

    def of(self, height: int, width: int) -> tuple[int, int]:
        """The (height, width) that an image becomes: rounded to whole pixels, each side at least 1.

        Args:
            height: Rows of the input.
            width: Columns of the input.

        Raises:
            InputError: The result would have more than `MAX_OUTPUT_PIXELS`.
        """
        if self.scale is not None:
            sides = height * self.scale, width * self.scale
        elif self.width is not None:
            sides = height * self.width / width, float(self.width)
        elif self.height is not None:
            sides = float(self.height), width * self.height / height
        else:
            assert self.fit is not None
            factor = min(self.fit[0] / width, self.fit[1] / height)
            sides = height * factor, width * factor
        # Bounded before it is rounded: a huge float has no place among whole pixels.
        if sides[0] * sides[1] > MAX_OUTPUT_PIXELS or max(sides) > MAX_OUTPUT_PIXELS:
            raise InputError(
                f"{sides[1]:.10g}x{sides[0]:.10g} pixels are more than the {MAX_OUTPUT_PIXELS // 10**6} "
                "million a result may have; ask for less"
            )
        rows, columns = (max(1, floor(side + 0.5)) for side in sides)
        return rows, columns
