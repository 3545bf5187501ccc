"""JPEG files of 12 bit, as scanners and medical devices write them; libvips decodes none of them."""

from __future__ import annotations

import struct
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from blindsr.picture.metadata import jpeg

WHITE = 4095.0
_FRAMES = (0xC0, 0xC1, 0xC2)
_PROFILE = b"ICC_PROFILE\0"


def size_told(file: IO[bytes]) -> tuple[int, int] | None:
    """(width, height) as its frame tells; None where there is none."""
    for one in jpeg.segments(file):
        if one.marker in _FRAMES and len(one.head) >= 5:
            height, width = struct.unpack_from(">HH", one.head, 1)
            return (width, height) if width and height else None
    return None


def decoded(file: IO[bytes], size: tuple[int, int]) -> NDArray[np.uint16]:
    """Its samples, (H, W) or (H, W, 3), up to 4095.

    Args:
        file: The file.
        size: (width, height) that it tells and that was found not too large.

    Raises:
        ModuleNotFoundError: imagecodecs reads it, and is not installed.
        ValueError: It is damaged, or has colours that nobody here reads.
    """
    import imagecodecs

    file.seek(0)
    try:
        levels: NDArray[Any] = imagecodecs.jpeg8_decode(file.read())
    except Exception as error:  # its decoders raise what they meet
        raise ValueError(str(error) or type(error).__name__) from error
    if levels.dtype != np.uint16 or levels.shape[:2] != size[::-1] or levels.ndim not in (2, 3):
        raise ValueError("it holds other pixels than it says")
    if levels.ndim == 3 and levels.shape[2] != 3:
        raise ValueError(f"{levels.shape[2]} colours a pixel")
    return np.asarray(np.minimum(levels, 4095), np.uint16)


def blocks(file: IO[bytes], xmp: bytes | None) -> dict[str, bytes | None]:
    """Its colour profile and EXIF block, with the XMP packet that was found before."""
    exif, parts = None, {}
    for one in jpeg.segments(file):
        if one.marker == 0xE1 and one.head.startswith(jpeg.EXIF) and exif is None:
            exif = one.content(file)[len(jpeg.EXIF) :]
        elif one.marker == 0xE2 and one.head.startswith(_PROFILE) and one.size > len(_PROFILE) + 2:
            content = one.content(file)[len(_PROFILE) :]
            parts[content[0]] = content[2:]
    return {"icc": b"".join(parts[number] for number in sorted(parts)) or None, "exif": exif, "xmp": xmp}
