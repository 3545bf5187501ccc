"""Files of the PPM family that Pillow cuts to 8 bit or does not know: wide samples, PAM, floating point."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

_HEADER = 1 << 16
"""Bytes in which a file's sizes are told; programs write a line of comment."""

_PAM_LINE = re.compile(rb"(WIDTH|HEIGHT|DEPTH|MAXVAL)\s+([0-9]{1,10})")


class DamagedError(ValueError):
    """A header or samples that are not whole."""


@dataclass(frozen=True)
class Layout:
    """What a header says.

    Args:
        width: Columns.
        height: Rows.
        bands: Samples a pixel.
        white: The sample that means 1.
        dtype: Type of a sample in the file.
        start: Where the samples begin.
        upwards: Whether the last row comes first.
    """

    width: int
    height: int
    bands: int
    white: float
    dtype: np.dtype[Any]
    start: int
    upwards: bool = False

    @property
    def size(self) -> int:
        """Bytes of all samples."""
        return self.width * self.height * self.bands * self.dtype.itemsize


def layout(file: IO[bytes]) -> Layout | None:
    """The layout of a file that is to be read here; None of one that Pillow reads as well.

    Raises:
        DamagedError: Its header is not whole.
    """
    file.seek(0)
    head = file.read(_HEADER)
    kind = head[:2]
    if kind == b"P7":
        return _pam(head)
    if kind in (b"PF", b"Pf"):
        width, height, scale, start = _numbers(head, float)
        dtype = np.dtype("<f4" if scale < 0 else ">f4")
        return _checked(width, height, 3 if kind == b"PF" else 1, 1.0, dtype, start, upwards=True)
    if kind in (b"P5", b"P6"):
        width, height, white, start = _numbers(head, int)
        if white > 255:
            return _checked(width, height, 3 if kind == b"P6" else 1, float(white), np.dtype(">u2"), start)
    return None


def samples(file: IO[bytes], told: Layout) -> NDArray[Any]:
    """The samples, (H, W, C), as uint8 or uint16 whose largest value means 1, or float32.

    Raises:
        DamagedError: The file ends before them.
    """
    file.seek(told.start)
    content = file.read(told.size)
    if len(content) < told.size:
        raise DamagedError("the file ends before its pixels do")
    levels: NDArray[Any] = np.frombuffer(content, told.dtype).reshape(told.height, told.width, told.bands)
    levels = levels[::-1] if told.upwards else levels
    if told.dtype.kind == "f":
        return levels.astype(np.float32)
    top = 255 if told.white <= 255 else 65535
    if told.white != top:
        levels = np.round(np.minimum(levels, told.white) * (top / told.white))
    return levels.astype(np.uint8 if top == 255 else np.uint16)


def _numbers(head: bytes, last: type[float]) -> tuple[int, int, Any, int]:
    """Width, height and a number of another type, behind the first two bytes; and where the samples begin."""
    place, words = 2, []
    for _ in range(3):
        found = re.compile(rb"(?:\s|#[^\r\n]*[\r\n])*([-+.0-9eE]{1,20})").match(head, place)
        if found is None:
            raise DamagedError("damaged PPM header")
        words.append(found[1].decode())
        place = found.end()
    try:
        return int(words[0]), int(words[1]), last(words[2]), place + 1
    except ValueError as error:
        raise DamagedError("damaged PPM header") from error


def _pam(head: bytes) -> Layout:
    text, ending, _ = head.partition(b"ENDHDR\n")
    told = {name: int(number) for name, number in _PAM_LINE.findall(text)}
    if not ending or len(told) < 4:
        raise DamagedError("damaged PAM header")
    white = told[b"MAXVAL"]
    dtype = np.dtype("u1" if white <= 255 else ">u2")
    start = len(text) + len(ending)
    return _checked(told[b"WIDTH"], told[b"HEIGHT"], told[b"DEPTH"], float(white), dtype, start)


def _checked(
    width: int, height: int, bands: int, white: float, dtype: np.dtype[Any], start: int, upwards: bool = False
) -> Layout:
    if min(width, height) < 1 or not 1 <= bands <= 4 or not 0 < white <= 65535:
        raise DamagedError("damaged PPM header")
    return Layout(width, height, bands, white, dtype, start, upwards)
