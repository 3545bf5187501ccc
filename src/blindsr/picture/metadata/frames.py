"""Frames of animations, counted by what their files are made of."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import IO

from blindsr.picture.jpeg_xl.reading import layers
from blindsr.picture.metadata import gif, png, webp


def count_frames(file: IO[bytes], kind: str, most: int = 1 << 20) -> int:
    """Frames of a GIF, WebP, PNG or JPEG XL file, no more than `most`; 1 of one that is no animation.

    Args:
        file: The file; where it stands does not matter.
        kind: Of the file, as in `loaders`.
        most: So many are enough.
    """
    if kind == "gif":
        found: Iterator[object] = (one for one in gif.blocks(file) if one.sign == gif.FRAME)
    elif kind == "webp":
        found = (one for one in webp.chunks(file) if one[0] == b"ANMF")
    elif kind == "png" and png.is_animated(file):
        found = (one for one in png.chunks(file) if one.name == b"fcTL")
    elif kind == "jxl":
        file.seek(0)
        found = (one for one in layers(file.read()) if one.shown)
    else:
        return 1
    try:
        return max(1, sum(1 for _ in islice(found, most)))
    except ModuleNotFoundError:  # what reads it is missing, which whoever decodes it says
        return 1
